//! The frame that all plots share, and the lines in it.
//!
//! A drawing is stretched to the width that the page has; its lines keep their
//! thickness, and all text stands beside it as ordinary text, so that it can be
//! read on a telephone as well as on paper.

use std::fmt::Write;

use serde_json::json;

use super::axis::{Axis, LENGTH};
use super::curve::{nearest, thin};
use super::markup::{escape, number};

/// A figure: a heading, a plain sentence, and what it is about.
pub(super) struct Figure {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) says: String,
    pub(super) body: String,
}

impl Figure {
    pub(super) fn html(&self) -> String {
        let Self {
            id,
            title,
            says,
            body,
        } = self;
        format!(
            "<figure id=\"{id}\">\n<h3>{title}</h3>\n{body}<figcaption>{says}</figcaption>\n</figure>\n"
        )
    }
}

/// A plot: axes, drawing, labels at the right, and values for the read-out.
pub(super) struct Plot {
    x: Axis,
    y: Axis,
    drawing: String,
    /// Labels at the right end, by height.
    ends: Vec<(f64, String, String)>,
    /// Names, classes and values of the read-out.
    readouts: Vec<(String, String, Vec<[f64; 2]>)>,
    /// Ticks of the y-axis, where they are not the axis's own.
    y_ticks: Option<Vec<(f64, String)>>,
    x_name: &'static str,
    about: String,
}

/// Places at which the read-out tells values.
const READOUTS: usize = 160;

impl Plot {
    /// An empty plot; `about` tells what it shows to those who cannot see it.
    pub(super) fn new(x: Axis, y: Axis, about: impl Into<String>) -> Self {
        Self {
            x,
            y,
            drawing: String::new(),
            ends: Vec::new(),
            readouts: Vec::new(),
            y_ticks: None,
            x_name: "step",
            about: about.into(),
        }
    }

    /// Other ticks on the y-axis.
    pub(super) fn y_ticks(&mut self, ticks: Vec<(f64, String)>) {
        self.y_ticks = Some(ticks);
    }

    /// A line through `points`.
    pub(super) fn line(&mut self, class: &str, points: &[[f64; 2]]) {
        let path = self.path(&thin(points));
        if !path.is_empty() {
            let _ = writeln!(self.drawing, "<path class=\"line {class}\" d=\"{path}\"/>");
        }
    }

    /// Dots at `points`: lines of no length with round ends.
    pub(super) fn dots(&mut self, class: &str, points: &[[f64; 2]]) {
        let mut path = String::new();
        for [x, y] in points {
            let _ = write!(path, "M{:.1} {:.1}h0", self.x.at(*x), self.down(*y));
        }
        if !path.is_empty() {
            let _ = writeln!(self.drawing, "<path class=\"dots {class}\" d=\"{path}\"/>");
        }
    }

    /// The area between two curves over the same x.
    pub(super) fn band(&mut self, class: &str, upper: &[[f64; 2]], lower: &[[f64; 2]]) {
        let back: Vec<_> = thin(lower).into_iter().rev().collect();
        let (there, back) = (self.path(&thin(upper)), self.path(&back));
        if !there.is_empty() && !back.is_empty() {
            let back = back.replacen('M', "L", 1);
            let _ = writeln!(
                self.drawing,
                "<path class=\"band {class}\" d=\"{there}{back}Z\"/>"
            );
        }
    }

    /// A level across the plot.
    pub(super) fn level(&mut self, class: &str, y: f64) {
        let y = self.down(y);
        if (0.0..=LENGTH).contains(&y) {
            let _ = writeln!(
                self.drawing,
                "<path class=\"line {class}\" d=\"M0 {y:.1}H{LENGTH}\"/>"
            );
        }
    }

    /// Filled boxes `[x0, y0, x1, y1]` in the axes' values.
    pub(super) fn boxes(&mut self, attributes: &str, boxes: &[[f64; 4]]) {
        let mut path = String::new();
        for [x0, y0, x1, y1] in boxes {
            let (left, top) = (self.x.at(*x0), self.down(*y1));
            let (width, height) = (self.x.at(*x1) - left, self.down(*y0) - top);
            let _ = write!(
                path,
                "M{left:.1} {top:.1}h{width:.1}v{height:.1}h{:.1}z",
                -width
            );
        }
        if !path.is_empty() {
            let _ = writeln!(self.drawing, "<path {attributes} d=\"{path}\"/>");
        }
    }

    /// A name at the right end, at the height of `y`.
    pub(super) fn end_label(&mut self, class: &str, y: f64, text: impl Into<String>) {
        self.ends.push((y, class.to_owned(), text.into()));
    }

    /// Values for the read-out under the pointer.
    pub(super) fn readout(&mut self, class: &str, name: &str, points: &[[f64; 2]]) {
        let row = (name.to_owned(), class.to_owned(), points.to_vec());
        self.readouts.push(row);
    }

    fn down(&self, y: f64) -> f64 {
        LENGTH - self.y.at(y)
    }

    fn path(&self, points: &[[f64; 2]]) -> String {
        let mut path = String::new();
        for (index, [x, y]) in points.iter().enumerate() {
            let pen = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{pen}{:.1} {:.1}", self.x.at(*x), self.down(*y));
        }
        // A single point is a line that ends where it begins.
        if points.len() == 1 {
            path += "h0";
        }
        path
    }

    /// The plot as part of the page.
    pub(super) fn html(&self) -> String {
        let (x_ticks, own) = (self.x.ticks(6), self.y.ticks(5));
        let y_ticks = self.y_ticks.as_ref().unwrap_or(&own);
        let mut grid = String::new();
        let mut heights = String::new();
        for (value, text) in y_ticks {
            let at = self.down(*value);
            let _ = write!(grid, "M0 {at:.1}H{LENGTH}");
            heights += &label("", "top", at, text);
        }
        let steps: String = x_ticks
            .iter()
            .map(|(value, text)| label("", "left", self.x.at(*value), text))
            .collect();
        let ends: String = self
            .end_places()
            .into_iter()
            .map(|(at, (class, text))| label(class, "top", at, text))
            .collect();
        let wide = if self.ends.is_empty() {
            ""
        } else {
            " with-ends"
        };
        format!(
            "<div class=\"plot{wide}\" data-readout=\"{readout}\">\n\
             <svg viewBox=\"0 0 {LENGTH} {LENGTH}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{about}\">\n\
             <path class=\"grid\" d=\"{grid}\"/>\n{drawing}</svg>\n<div class=\"labels-y\">{heights}</div>\n\
             <div class=\"labels-x\">{steps}</div>\n<div class=\"labels-end\">{ends}</div>\n\
             <span class=\"x-name\">{x_name}</span>\n</div>\n",
            readout = escape(&self.readout_data()),
            about = escape(&self.about),
            drawing = self.drawing,
            x_name = self.x_name,
        )
    }

    /// End labels with their places, moved apart where they would touch.
    fn end_places(&self) -> Vec<(f64, (&String, &String))> {
        /// Height of a line of text in a plot of usual height.
        const LINE: f64 = 70.0;
        let mut places: Vec<_> = self
            .ends
            .iter()
            .map(|(y, class, text)| (self.down(*y).clamp(20.0, LENGTH - 20.0), (class, text)))
            .collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        for index in 1..places.len() {
            places[index].0 = places[index].0.max(places[index - 1].0 + LINE);
        }
        // What was pushed out below pushes back up.
        let mut ceiling = LENGTH;
        for place in places.iter_mut().rev() {
            place.0 = place.0.min(ceiling);
            ceiling = place.0 - LINE;
        }
        places
    }

    /// `{"x": [text], "rows": [{"name", "class", "y": [text]}]}`, by place.
    fn readout_data(&self) -> String {
        if self.readouts.is_empty() {
            return String::new();
        }
        let at = |place: usize| self.x.value(place as f64 / (READOUTS - 1) as f64);
        let rows: Vec<_> = self
            .readouts
            .iter()
            .map(|(name, class, points)| {
                let value = |place| nearest(points, at(place)).map_or(String::new(), number);
                let values: Vec<_> = (0..READOUTS).map(value).collect();
                json!({"name": name, "class": class, "y": values})
            })
            .collect();
        let x: Vec<_> = (0..READOUTS)
            .map(|place| format!("{:.0}", at(place)))
            .collect();
        json!({"x": x, "rows": rows}).to_string()
    }
}

/// A label at `at` of [`LENGTH`] along one side of the drawing.
fn label(class: &str, side: &str, at: f64, text: &str) -> String {
    let (text, percent) = (escape(text), at / LENGTH * 100.0);
    format!("<span class=\"{class}\" style=\"{side}:{percent:.2}%\">{text}</span>")
}
