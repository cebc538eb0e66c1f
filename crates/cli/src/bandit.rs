//! `iwsft bandit`: the two-armed bandit, as a table, a sketch and a plot.

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;

use clap::Parser;
use iwsft_objective::bandit::{Config, Method, Point, run as run_bandit};
use iwsft_train::write_atomically;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use serde::Serialize;

use crate::progress::say;

/// Run the two-armed bandit that shows what importance weighting does.
///
/// The reference pulls two arms equally often; the left one succeeds half of
/// the time, the right one always. A policy is fitted to the successes: by SFT
/// it copies their shares, 1/3 : 2/3; by iw-SFT it ends up pulling the right
/// arm alone. Everything is computed exactly, nothing is sampled.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  iwsft bandit
  iwsft bandit --plot bandit.svg
  iwsft bandit --learning-rate 2 --refresh 200 --plot slow-q.svg
  iwsft bandit --json | tail -n 1")]
pub(crate) struct Args {
    /// Number of gradient steps.
    #[arg(long, default_value_t = 4000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    updates: u32,

    /// Size of a gradient step. Above 2.25 SFT oscillates, from 4.5 on it does not converge.
    #[arg(long, default_value_t = 0.25, value_name = "X", value_parser = positive)]
    learning_rate: f64,

    /// Copy the policy to q before every N-th update.
    #[arg(long, default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    refresh: u32,

    /// Write a plot of both policies, the return and its bounds.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Print the table as JSON lines.
    #[arg(long)]
    json: bool,
}

/// Both runs, point for point.
struct Runs {
    sft: Vec<Point>,
    iw_sft: Vec<Point>,
}

/// A point as a line of JSON.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    point: Point,
    /// The policy that the method converges to.
    limit: [f64; 2],
}

/// Runs the bandit and prints it.
///
/// # Errors
///
/// When standard output or the plot cannot be written.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let points = run_bandit(&Config {
        updates: args.updates as usize,
        learning_rate: args.learning_rate,
        refresh: args.refresh as usize,
    })?;
    let (sft, iw_sft) = points.into_iter().partition(|p| p.method == Method::Sft);
    let runs = Runs { sft, iw_sft };
    // One write: a reader that stops early (`| head`) has had everything.
    let mut out = Vec::new();
    if args.json {
        json_lines(&runs, &mut out)?;
    } else {
        table(&runs, &mut out)?;
        sketch(&runs, &mut out)?;
        limits(&runs, &mut out)?;
    }
    io::stdout().lock().write_all(&out)?;
    if let Some(path) = &args.plot {
        write_atomically(path, svg(&runs)?.as_bytes())?;
        say(&format!("plot written to {}", path.display()));
    }
    Ok(())
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// Updates to show: 0, then 1, 2, 5 times each power of ten, and the last.
fn shown(updates: usize) -> Vec<usize> {
    let mut shown = vec![0];
    let mut power = 1;
    while power < updates {
        shown.extend(
            [1, 2, 5]
                .map(|k| k * power)
                .iter()
                .filter(|u| **u < updates),
        );
        power *= 10;
    }
    shown.push(updates);
    shown
}

fn json_lines(runs: &Runs, out: &mut impl Write) -> anyhow::Result<()> {
    for points in [&runs.sft, &runs.iw_sft] {
        for update in shown(points.len() - 1) {
            let point = points[update];
            let limit = point.method.limit();
            serde_json::to_writer(&mut *out, &Line { point, limit })?;
            writeln!(out)?;
        }
    }
    Ok(())
}

fn table(runs: &Runs, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:>7} | {:^29} | {:>23}", "", "SFT", "iw-SFT")?;
    writeln!(
        out,
        "{:>7} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} {:>10}",
        "update",
        "pi(right)",
        "true J",
        "SFT bound",
        "pi(right)",
        "true J",
        "SFT bound",
        "iw bound"
    )?;
    writeln!(out, "{:->8}+{:->31}+{:->42}", "", "", "")?;
    for update in shown(runs.sft.len() - 1) {
        let (sft, iw) = (runs.sft[update], runs.iw_sft[update]);
        writeln!(
            out,
            "{update:>7} | {:>9.6} {:>9.6} {:>9.6} | {:>9.6} {:>9.6} {:>9.6} {:>10.6}",
            sft.policy[1], sft.j, sft.sft_bound, iw.policy[1], iw.j, iw.sft_bound, iw.iw_sft_bound
        )?;
    }
    writeln!(out)
}

/// Columns and rows of the terminal sketch.
const SKETCH: (usize, usize) = (66, 13);

/// What its bottom row stands for; the top row is 1.
const SKETCH_BOTTOM: f64 = 0.4;

/// pi(right) of both runs over the updates, the latter spaced as logarithms.
fn sketch(runs: &Runs, out: &mut impl Write) -> io::Result<()> {
    let (columns, rows) = SKETCH;
    let updates = runs.sft.len() - 1;
    let step = (1.0 - SKETCH_BOTTOM) / (rows - 1) as f64;
    let mut grid = vec![vec![' '; columns]; rows];
    for (points, mark) in [(&runs.sft, 'o'), (&runs.iw_sft, '*')] {
        for column in 0..columns {
            let value = points[update_at(column, columns, updates)].policy[1];
            let below_top = ((1.0 - value) / step).round() as usize;
            grid[below_top.min(rows - 1)][column] = mark;
        }
    }
    writeln!(out, "pi(right)    * iw-SFT    o SFT")?;
    for (row, marks) in grid.iter().enumerate() {
        let marks: String = marks.iter().collect();
        let label = match row % 2 {
            0 => format!("{:.1}", 1.0 - row as f64 * step),
            _ => String::new(),
        };
        writeln!(out, "{label:>6} |{}", marks.trim_end())?;
    }
    writeln!(out, "{:>6} +{:-<columns$}", "", "")?;
    writeln!(
        out,
        "{:>8}0{updates:>width$} updates",
        "",
        width = columns - 1
    )?;
    writeln!(out)
}

/// The update that a column of the sketch shows: the first is the start, the
/// last the end, and between them `update + 1` grows by equal factors.
fn update_at(column: usize, columns: usize, updates: usize) -> usize {
    let share = column as f64 / (columns - 1) as f64;
    let update = ((updates + 1) as f64).powf(share) - 1.0;
    (update.round() as usize).min(updates)
}

fn limits(runs: &Runs, out: &mut impl Write) -> io::Result<()> {
    for (name, points, limit) in [
        ("SFT", &runs.sft, "1/3 : 2/3"),
        ("iw-SFT", &runs.iw_sft, "0 : 1"),
    ] {
        let [left, right] = points[points.len() - 1].policy;
        writeln!(
            out,
            "{name:<6} reached {left:.6} : {right:.6}, closed form {limit}"
        )?;
    }
    Ok(())
}

const SFT: RGBColor = RGBColor(0xc4, 0x5a, 0x11);
const IW_SFT: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const BOUND: RGBColor = RGBColor(0x2f, 0x8f, 0x5b);
const LIMIT: RGBColor = RGBColor(0x88, 0x88, 0x88);

/// Two panels: the policies, and the return with its bounds under iw-SFT.
fn svg(runs: &Runs) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (1080, 440)).into_drawing_area();
        let failed = |error| anyhow::anyhow!("cannot draw the plot: {error}");
        root.fill(&WHITE).map_err(failed)?;
        let (left, right) = root.split_horizontally(540);
        policies(&left, runs).map_err(failed)?;
        bounds(&right, runs).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// What a panel shows: a label, a colour, whether dashed, and a value a point.
type Curve<'a> = (&'static str, RGBColor, bool, &'a [Point], fn(&Point) -> f64);

fn policies<'a>(panel: &Panel<'a>, runs: &Runs) -> Drawn<'a> {
    let curves: [Curve<'_>; 4] = [
        ("closed forms, 1 and 2/3", LIMIT, true, &runs.sft, |_| {
            Method::IwSft.limit()[1]
        }),
        ("", LIMIT, true, &runs.sft, |_| Method::Sft.limit()[1]),
        ("iw-SFT", IW_SFT, false, &runs.iw_sft, |p| p.policy[1]),
        ("SFT", SFT, false, &runs.sft, |p| p.policy[1]),
    ];
    let corner = SeriesLabelPosition::LowerRight;
    draw(
        panel,
        "Probability of the better arm",
        0.45..1.02,
        corner,
        &curves,
    )
}

fn bounds<'a>(panel: &Panel<'a>, runs: &Runs) -> Drawn<'a> {
    let curves: [Curve<'_>; 4] = [
        ("true J, iw-SFT", IW_SFT, false, &runs.iw_sft, |p| p.j),
        ("its iw-SFT bound", BOUND, true, &runs.iw_sft, |p| {
            p.iw_sft_bound
        }),
        ("its SFT bound", BOUND, false, &runs.iw_sft, |p| p.sft_bound),
        ("true J, SFT", SFT, false, &runs.sft, |p| p.j),
    ];
    let lowest = runs.iw_sft.iter().map(|p| p.sft_bound.min(p.iw_sft_bound));
    let lowest = lowest.fold(0.4, f64::min) - 0.05;
    let corner = SeriesLabelPosition::LowerLeft;
    draw(
        panel,
        "Return and its bounds",
        lowest..1.05,
        corner,
        &curves,
    )
}

fn draw<'a>(
    panel: &Panel<'a>,
    title: &str,
    range: Range<f64>,
    legend: SeriesLabelPosition,
    curves: &[Curve<'_>],
) -> Drawn<'a> {
    let text = |size: u32| ("sans-serif", size).into_font().color(&BLACK);
    let updates = curves[0].3.len() - 1;
    // Update u stands at u + 1, so that the start has a place on the log axis.
    let mut chart = ChartBuilder::on(panel)
        .caption(title, text(18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(48)
        .build_cartesian_2d((1.0..(updates + 1) as f64).log_scale(), range)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(0xe4, 0xe4, 0xe4))
        .axis_style(RGBColor(0x66, 0x66, 0x66))
        .label_style(text(13))
        .axis_desc_style(text(14))
        .x_desc("updates + 1")
        .x_label_formatter(&|x| format!("{x:.0}"))
        // Adding 0 makes -0 a 0.
        .y_label_formatter(&|y| format!("{:.1}", (y * 10.0).round() / 10.0 + 0.0))
        .draw()?;
    for (label, colour, dashed, points, value) in curves {
        // A few hundred places, evenly spaced on the log axis, suffice.
        let mut shown: Vec<usize> = (0..400).map(|c| update_at(c, 400, updates)).collect();
        shown.dedup();
        let line = shown
            .into_iter()
            .map(|u| ((u + 1) as f64, value(&points[u])));
        let style = colour.stroke_width(2);
        let drawn = if *dashed {
            chart.draw_series(DashedLineSeries::new(line, 7, 5, style))?
        } else {
            chart.draw_series(LineSeries::new(line, style))?
        };
        if !label.is_empty() {
            let dashed = *dashed;
            drawn.label(*label).legend(move |(x, y)| {
                let (dash, space) = if dashed { (5, 3) } else { (22, 0) };
                DashedPathElement::new(vec![(x, y), (x + 22, y)], dash, space, style)
            });
        }
    }
    chart
        .configure_series_labels()
        .position(legend)
        .margin(12)
        .legend_area_size(30)
        .background_style(WHITE.mix(0.85))
        .label_font(text(14))
        .draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(updates: usize) -> Runs {
        let config = Config {
            updates,
            ..Config::default()
        };
        let points = run_bandit(&config).unwrap();
        let (sft, iw_sft) = points.into_iter().partition(|p| p.method == Method::Sft);
        Runs { sft, iw_sft }
    }

    fn printed(print: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_shows_the_start_and_the_end_and_each_update_once() {
        for updates in [1, 2, 3, 10, 11, 4000] {
            let shown = shown(updates);
            assert_eq!((shown[0], shown[shown.len() - 1]), (0, updates));
            assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "{shown:?}");
        }
    }

    #[test]
    fn json_lines_are_the_points_of_the_table_with_their_limits() {
        let runs = runs(4000);
        let text = printed(|out| json_lines(&runs, out).unwrap());
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2 * shown(4000).len());
        for (line, method) in [(&lines[0], "sft"), (&lines[lines.len() - 1], "iw-sft")] {
            assert_eq!(line["method"], method);
        }
        let last = &lines[lines.len() - 1];
        let gap = last["policy"][1].as_f64().unwrap() - last["limit"][1].as_f64().unwrap();
        assert!(gap.abs() < 1e-3);
    }

    #[test]
    fn the_sketch_starts_both_curves_together_and_ends_iw_sft_on_top() {
        let text = printed(|out| sketch(&runs(4000), out).unwrap());
        let rows: Vec<&str> = text.lines().skip(1).take(SKETCH.1).collect();
        assert!(rows[0].ends_with('*'), "{text}");
        assert!(rows[7].ends_with('o'), "SFT ends at 0.65: {text}");
        assert!(rows[10].contains("|*"), "both start at 0.5: {text}");
    }

    #[test]
    fn the_plot_is_a_whole_svg_with_every_label() {
        let svg = svg(&runs(50)).unwrap();
        assert!(svg.trim_end().ends_with("</svg>"));
        for label in [
            "iw-SFT",
            "SFT",
            "its iw-SFT bound",
            "true J, SFT",
            "updates + 1",
        ] {
            assert!(svg.contains(label), "{label}");
        }
        assert!(!svg.contains("NaN"));
    }
}
