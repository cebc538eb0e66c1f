//! J between its bounds: the picture of the method.

use super::axis::Axis;
use super::curve::{Points, smooth};
use super::markup::escape;
use super::plot::{Figure, Plot};
use super::run::{Run, Step};
use super::summary::Summary;

/// One panel for each run that tells J; `None` where none does.
pub(super) fn figure(runs: &[Run], summaries: &[Summary]) -> Option<Figure> {
    let mut panels = String::new();
    let mut without = Vec::new();
    for (index, (run, summary)) in runs.iter().zip(summaries).enumerate() {
        if run.has_bounds() {
            panels += &panel(index, run, summary);
        } else {
            without.push(escape(&run.name));
        }
    }
    if panels.is_empty() {
        return None;
    }
    let mut says =
        "The strong line is J, the estimated return of the policy; training climbs a bound \
        below it, and the shaded distance is what that bound misses: SFT's loosens as the policy \
        moves away from the reference, iw-SFT's stays close as long as q follows the policy."
            .to_owned();
    says += " Each run's J is in the measure of its own objective, so compare a run with itself.";
    if !without.is_empty() {
        says += &format!(
            " Not shown, for want of a reference: {}; an empty <code>[reference]</code> section in the recipe gives one.",
            without.join(", ")
        );
    }
    Some(Figure {
        id: "bounds",
        title: "J and its bounds",
        says,
        body: format!("<div class=\"panels\">\n{panels}</div>\n"),
    })
}

fn panel(index: usize, run: &Run, summary: &Summary) -> String {
    // Only steps that tell all three, so that the smoothed bounds stay below.
    let whole =
        |step: &Step| step.j.is_some() && step.sft_bound.is_some() && step.iw_sft_bound.is_some();
    let curve = |value: fn(&Step) -> Option<f64>| -> (Points, Points) {
        let points = run.curve(|step| value(step).filter(|_| whole(step)));
        (smooth(&points), points)
    };
    let (j, raw) = curve(|step| step.j);
    let (sft, _) = curve(|step| step.sft_bound);
    let (iw, _) = curve(|step| step.iw_sft_bound);
    let mut heights: Vec<f64> = raw.iter().map(|[_, y]| *y).collect();
    heights.sort_by(f64::total_cmp);
    // A few wild batches must not flatten everything else.
    let trimmed = &heights[heights.len() / 20..heights.len() - heights.len() / 20];
    let shown = [&j, &sft, &iw].into_iter().flatten().map(|[_, y]| *y);
    let y = Axis::around(shown.chain(trimmed.iter().copied()), false);
    let x = Axis::exactly(0.0, run.steps.last().map_or(1.0, |step| step.step as f64));

    let about = format!("J and its bounds over the steps of {}", run.name);
    let mut plot = Plot::new(x, y, about);
    plot.band("sft-gap", &iw, &sft);
    plot.band("iw-gap", &j, &iw);
    plot.line("j raw", &raw);
    plot.line("sft", &sft);
    plot.line("j", &j);
    plot.line("iw", &iw);
    let end = |points: &Points| points.last().map_or(0.0, |[_, y]| *y);
    plot.end_label("j", end(&j), "J");
    plot.end_label("iw", end(&iw), "iw-SFT bound");
    plot.end_label("sft", end(&sft), "SFT bound");
    plot.readout("j", "J", &j);
    plot.readout("iw", "iw-SFT bound", &iw);
    plot.readout("sft", "SFT bound", &sft);
    format!(
        "<div class=\"panel r{index}\">\n<h4><i class=\"chip r{index}\"></i>{name}</h4>\n{plot}\
         <p class=\"gaps\"><span>At the end:</span> <span><b class=\"sft\">SFT's bound</b> misses <b>{sft}</b></span> \
         <span><b class=\"iw\">iw-SFT's bound</b> misses <b>{iw}</b></span></p>\n</div>\n",
        name = escape(&run.name),
        plot = plot.html(),
        sft = Summary::gap(summary.sft_gap_end),
        iw = Summary::gap(summary.iw_sft_gap_end),
    )
}
