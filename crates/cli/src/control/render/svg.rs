//! An episode as an SVG file: a few strokes, each of whose ends is animated.

use std::fmt::Write;

use iwsft_control::{Part, Scenery, Stroke};

/// Pixels a metre, in the picture's own size.
const SCALE: f64 = 160.0;

/// The whole file, for an episode of so many seconds.
pub(super) fn picture(
    title: &str,
    scenery: &Scenery,
    frames: &[Vec<Stroke>],
    seconds: f64,
) -> String {
    let [[left, bottom], [right, top]] = scenery.view;
    let (width, height) = (right - left, top - bottom);
    let mut svg = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = svg.write_fmt(text);
    };
    put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" \
         viewBox=\"{left:.3} {:.3} {width:.3} {height:.3}\">\n<title>{}</title>\n\
         <style>line{{stroke-linecap:round;stroke:#3b6ea8}}.o{{stroke:#d08a3c}}.g{{stroke:#3d9a5b}}\
         .w{{stroke:#9aa3ad;stroke-linecap:square}}</style>\n\
         <rect x=\"{left:.3}\" y=\"{:.3}\" width=\"100%\" height=\"100%\" fill=\"#f7f8fa\"/>\n<g>\n",
        SCALE * width,
        SCALE * height,
        -top,
        escape(title),
        -top,
    ));
    let duration = format!("dur=\"{seconds:.2}s\" repeatCount=\"indefinite\"");
    let place = |frame: &Vec<Stroke>| frame.first().map_or(0.0, |stroke| stroke.from[0]);
    if scenery.follows {
        let shifts: Vec<String> = frames
            .iter()
            .map(|frame| format!("{:.3} 0", -place(frame)))
            .collect();
        put(format_args!(
            "<animateTransform attributeName=\"transform\" type=\"translate\" values=\"{}\" {duration}/>\n",
            shifts.join(";")
        ));
        let ends = frames.iter().map(place);
        let [first, last] = [f64::min as fn(f64, f64) -> f64, f64::max]
            .map(|of| ends.clone().reduce(of).unwrap_or(0.0));
        put(format_args!(
            "<line class=\"w\" stroke-width=\"0.02\" x1=\"{:.2}\" y1=\"0.01\" x2=\"{:.2}\" y2=\"0.01\"/>\n",
            first - width,
            last + width
        ));
        // A mark each metre: how far it has come.
        for metre in (first - width).floor() as i64..=(last + width).ceil() as i64 {
            put(format_args!(
                "<line class=\"w\" stroke-width=\"0.02\" x1=\"{metre}\" y1=\"0.01\" x2=\"{metre}\" y2=\"0.08\"/>\n"
            ));
        }
    }
    for stroke in &scenery.strokes {
        put(format_args!("{}/>\n", opening(stroke)));
    }
    for (index, stroke) in frames[0].iter().enumerate() {
        put(format_args!("{}>", opening(stroke)));
        type End = fn(&Stroke) -> f64;
        let ends: [(&str, End); 4] = [
            ("x1", |stroke| stroke.from[0]),
            ("y1", |stroke| -stroke.from[1]),
            ("x2", |stroke| stroke.to[0]),
            ("y2", |stroke| -stroke.to[1]),
        ];
        for (name, of) in ends {
            let values: Vec<String> = frames
                .iter()
                .map(|frame| format!("{:.3}", of(&frame[index])))
                .collect();
            put(format_args!(
                "<animate attributeName=\"{name}\" values=\"{}\" {duration}/>",
                values.join(";")
            ));
        }
        put(format_args!("</line>\n"));
    }
    put(format_args!("</g>\n</svg>\n"));
    svg
}

/// The beginning of a stroke's element. A line without length is not drawn by all, so
/// a disc gets a little.
fn opening(stroke: &Stroke) -> String {
    let class = match stroke.part {
        Part::Body => "",
        Part::OtherSide => " class=\"o\"",
        Part::Goal => " class=\"g\"",
        Part::World => " class=\"w\"",
    };
    let ([x1, y1], [x2, y2]) = (stroke.from, stroke.to);
    format!(
        "<line{class} stroke-width=\"{:.3}\" x1=\"{x1:.3}\" y1=\"{:.3}\" x2=\"{:.3}\" y2=\"{:.3}\"",
        2.0 * stroke.radius,
        -y1,
        if stroke.from == stroke.to {
            x2 + 1e-3
        } else {
            x2
        },
        -y2
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
