//! The weights over time, as a map of their histograms.

use std::ops::Range;

use iwsft_objective::HISTOGRAM_EDGES;

use super::axis::Axis;
use super::curve::{Points, smooth};
use super::markup::escape;
use super::plot::{Figure, Plot};
use super::run::Run;

/// Most columns of a map.
const COLUMNS: usize = 90;

/// Shades of a map.
const SHADES: usize = 8;

/// One map for each run whose weights differ; `None` where none does.
pub(super) fn figure(runs: &[Run]) -> Option<Figure> {
    let mut panels = String::new();
    let mut equal = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        match run.has_weights().then(|| map(run)).flatten() {
            Some(plot) => {
                let name = escape(&run.name);
                panels += &format!(
                    "<div class=\"panel r{index}\">\n<h4><i class=\"chip r{index}\"></i>{name}</h4>\n{}</div>\n",
                    plot.html()
                );
            }
            None => equal.push(escape(&run.name)),
        }
    }
    if panels.is_empty() {
        return None;
    }
    let mut says =
        "The stronger a cell, the more of a step's weights lie there; the strong line is their mean, the fine ones the least and the greatest. \
        All start at 1, and spread as the policy comes to prefer some of the data over the rest."
            .to_owned();
    if !equal.is_empty() {
        says += &format!(
            " Not shown, because their weights are all equal: {}.",
            equal.join(", ")
        );
    }
    Some(Figure {
        id: "weights",
        title: "Weights over time",
        says,
        body: format!("<div class=\"panels\">\n{panels}</div>\n"),
    })
}

fn map(run: &Run) -> Option<Plot> {
    let bins = HISTOGRAM_EDGES.len() + 1;
    let steps: Vec<_> = run
        .steps
        .iter()
        .filter(|step| step.weight_histogram.len() == bins)
        .collect();
    let mut columns = Vec::new();
    for piece in steps.chunks(steps.len().div_ceil(COLUMNS).max(1)) {
        let mut counts = vec![0; bins];
        for step in piece {
            counts
                .iter_mut()
                .zip(&step.weight_histogram)
                .for_each(|(sum, count)| *sum += count);
        }
        let (first, last) = (piece.first()?.step as f64, piece.last()?.step as f64);
        columns.push((first - 1.0, last, counts));
    }
    let used = used_bins(columns.iter().map(|(_, _, counts)| counts.as_slice()))?;

    let x = Axis::exactly(0.0, steps.last()?.step as f64);
    let y = Axis::exactly(used.start as f64, used.end as f64);
    let mut plot = Plot::new(
        x,
        y,
        format!("Histogram of the weights over the steps of {}", run.name),
    );
    let mut shades = vec![Vec::new(); SHADES];
    for (start, end, counts) in &columns {
        let total: u64 = counts.iter().sum();
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // The root shows what is rare.
            let shade = (*count as f64 / total as f64).sqrt() * SHADES as f64;
            let shade = (shade.ceil() as usize).clamp(1, SHADES);
            shades[shade - 1].push([*start, bin as f64, *end, bin as f64 + 1.0]);
        }
    }
    for (shade, boxes) in shades.iter().enumerate() {
        let opacity = (shade + 1) as f64 / SHADES as f64;
        plot.boxes(
            &format!("class=\"heat\" fill-opacity=\"{opacity:.3}\""),
            boxes,
        );
    }
    let mean = run.curve(|step| step.weight_mean);
    let least = run.curve(|step| step.weight_min);
    let greatest = run.curve(|step| step.weight_max);
    let in_bins =
        |points: Points| -> Points { points.into_iter().map(|[x, y]| [x, place(y)]).collect() };
    plot.level("one", place(1.0));
    plot.line("end-of-range", &in_bins(least.clone()));
    plot.line("end-of-range", &in_bins(greatest.clone()));
    plot.line("mean", &in_bins(smooth(&mean)));
    plot.y_ticks(ticks(&used));
    plot.readout("j", "mean", &mean);
    plot.readout("j", "least", &least);
    plot.readout("j", "greatest", &greatest);
    Some(plot)
}

/// Bins that hold anything and the one of weight 1, with a neighbour on either
/// side.
fn used_bins<'a>(columns: impl Iterator<Item = &'a [u64]>) -> Option<Range<usize>> {
    let one = place(1.0) as usize;
    let (mut low, mut high) = (one - 1, one);
    let mut any = false;
    for counts in columns {
        for (bin, _) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            (low, high, any) = (low.min(bin), high.max(bin), true);
        }
    }
    any.then(|| low.saturating_sub(1)..(high + 2).min(HISTOGRAM_EDGES.len() + 1))
}

/// Where a weight lies among the bins: edge `k` at `k + 1`.
fn place(weight: f64) -> f64 {
    let half_octaves = 2.0 * (weight.max(1e-9) / HISTOGRAM_EDGES[0]).log2();
    (half_octaves + 1.0).clamp(0.0, (HISTOGRAM_EDGES.len() + 1) as f64)
}

/// Powers of two, as few as can be read.
fn ticks(used: &Range<usize>) -> Vec<(f64, String)> {
    let octaves = used.len() / 2;
    let every = octaves.div_ceil(6).max(1) as i32;
    (-6..=10)
        .filter(|power| power % every == 0)
        .map(|power| (place(2f64.powi(power)), power))
        .filter(|(place, _)| (used.start as f64..=used.end as f64).contains(place))
        .map(|(place, power)| {
            let text = match power {
                0.. => (1 << power).to_string(),
                _ => format!("1/{}", 1 << -power),
            };
            (place, text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_placed_in_the_bin_that_counts_it() {
        for weight in [0.02, 0.5, 1.0, 1.3, 7.0, 900.0] {
            let bin = HISTOGRAM_EDGES.partition_point(|edge| *edge <= weight);
            assert_eq!(place(weight + 1e-9) as usize, bin, "{weight}");
        }
        assert_eq!(place(0.0), 0.0);
    }

    #[test]
    fn the_map_shows_the_bins_in_use_and_always_weight_1() {
        let mut counts = vec![0; HISTOGRAM_EDGES.len() + 1];
        assert_eq!(used_bins([counts.as_slice()].into_iter()), None);
        counts[20] = 3;
        let used = used_bins([counts.as_slice()].into_iter());
        assert_eq!(used, Some(11..22));
        counts[0] = 1;
        counts[33] = 1;
        let used = used_bins([counts.as_slice()].into_iter());
        assert_eq!(used, Some(0..34));
        let labels: Vec<_> = ticks(&(11..22)).into_iter().map(|(_, text)| text).collect();
        assert_eq!(labels, ["1/2", "1", "2", "4", "8", "16"]);
    }
}
