//! What the full screen shows, and how it is laid out.

use std::path::Path;
use std::time::Instant;

use iwsft_train::{Plan, RolloutMetrics, StepMetrics, ValidationMetrics};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, LineGauge, Paragraph};

use crate::progress::duration;

/// Messages that are kept.
const MESSAGES: usize = 200;

/// Everything that was told of a run.
pub(super) struct View {
    run: String,
    total: u64,
    /// Where this session began.
    begun: (u64, Instant),
    last: Option<StepMetrics>,
    nll: Curve,
    validation: Curve,
    j: Curve,
    iw_bound: Curve,
    sft_bound: Curve,
    share: Curve,
    /// Mean reward of rollouts, where the run is on rollouts.
    reward: Curve,
    messages: Vec<String>,
}

/// `(step, value)`.
type Curve = Vec<(f64, f64)>;

impl View {
    pub(super) fn new(run: &Path) -> Self {
        Self {
            run: run.display().to_string(),
            total: 0,
            begun: (0, Instant::now()),
            last: None,
            nll: Curve::new(),
            validation: Curve::new(),
            j: Curve::new(),
            iw_bound: Curve::new(),
            sft_bound: Curve::new(),
            share: Curve::new(),
            reward: Curve::new(),
            messages: Vec::new(),
        }
    }

    pub(super) fn start(&mut self, plan: &Plan, step: u64) {
        self.total = plan.total_steps;
        self.begun = (step, Instant::now());
        if step > 0 {
            self.message(&format!("resuming behind step {step}"));
        }
    }

    pub(super) fn step(&mut self, metrics: &StepMetrics) {
        let (x, told) = (metrics.step as f64, &metrics.diagnostics);
        let mut add = |curve: fn(&mut Self) -> &mut Curve, value: Option<f64>| {
            let value = value.filter(|value| value.is_finite());
            curve(self).extend(value.map(|value| (x, value)));
        };
        add(|view| &mut view.nll, Some(told.nll));
        add(|view| &mut view.j, told.j);
        add(|view| &mut view.iw_bound, told.iw_sft_bound);
        add(|view| &mut view.sft_bound, told.sft_bound);
        add(|view| &mut view.share, Some(100.0 * told.effective_share));
        self.last = Some(metrics.clone());
    }

    pub(super) fn rollouts(&mut self, metrics: &RolloutMetrics) {
        self.reward.push((metrics.step as f64, metrics.reward));
    }

    pub(super) fn validation(&mut self, metrics: &ValidationMetrics) {
        if metrics.nll.is_finite() {
            self.validation.push((metrics.step as f64, metrics.nll));
        }
        let (step, nll) = (metrics.step, metrics.nll);
        self.message(&format!("step {step}: validation nll {nll:.4}"));
    }

    pub(super) fn message(&mut self, message: &str) {
        self.messages.extend(message.lines().map(str::to_owned));
        let surplus = self.messages.len().saturating_sub(MESSAGES);
        self.messages.drain(..surplus);
    }

    /// What was said, the oldest first.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().map(String::as_str)
    }

    fn step_now(&self) -> u64 {
        self.last.as_ref().map_or(self.begun.0, |last| last.step)
    }

    /// Seconds to the end, from the pace of this session.
    fn seconds_left(&self) -> Option<f64> {
        let made = self
            .step_now()
            .checked_sub(self.begun.0)
            .filter(|made| *made > 0)?;
        let each = self.begun.1.elapsed().as_secs_f64() / made as f64;
        Some(each * self.total.saturating_sub(self.step_now()) as f64)
    }
}

const NLL: Color = Color::Cyan;
const VALIDATION: Color = Color::Yellow;
const J: Color = Color::White;
const IW_BOUND: Color = Color::LightBlue;
const SFT_BOUND: Color = Color::LightRed;
const SHARE: Color = Color::Green;

/// Draws the whole screen.
pub(super) fn draw(view: &View, stopping: bool, frame: &mut Frame<'_>) {
    let messages = if frame.area().height >= 36 { 6 } else { 4 };
    let [top, gauge, charts, below, said, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(messages),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let halves = |area| Layout::horizontal([Constraint::Fill(1); 2]).areas::<2>(area);
    heading(view, frame, top);
    progress(view, frame, gauge);
    let [left, right] = halves(charts);
    likelihood(view, frame, left);
    bounds(view, frame, right);
    let [left, right] = halves(below);
    share(view, frame, left);
    numbers(view, frame, right);
    recent(view, frame, said);
    let help = if stopping {
        Span::styled(
            " stopping after this step and saving; q again stops at once and loses what is not saved",
            Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        )
    } else {
        Span::styled(" q  stop after this step and save", dim())
    };
    frame.render_widget(Line::from(help), keys);
}

fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}

fn heading(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![
        Span::styled(" iwsft ", bold.fg(Color::Black).bg(Color::Cyan)),
        Span::styled(format!(" {}/{} ", view.step_now(), view.total), bold),
    ];
    if let Some(last) = &view.last {
        spans.push(Span::raw(format!(" epoch {:.2}  ", last.epoch)));
        spans.push(Span::raw(format!(
            "{:.0} tokens/s  ",
            last.tokens_per_second
        )));
    }
    if let Some(left) = view.seconds_left() {
        spans.push(Span::raw(format!("{} left  ", duration(left))));
    }
    spans.push(Span::styled(view.run.as_str(), dim()));
    frame.render_widget(Line::from(spans), area);
}

fn progress(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let share = view.step_now() as f64 / view.total.max(1) as f64;
    let gauge = LineGauge::default()
        .ratio(share.clamp(0.0, 1.0))
        .filled_style(Style::new().fg(Color::Cyan))
        .unfilled_style(dim());
    frame.render_widget(gauge, area);
}

fn likelihood(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let now = |curve: &Curve| {
        curve
            .last()
            .map_or("-".to_owned(), |(_, y)| format!("{y:.4}"))
    };
    let title = vec![
        Span::styled(format!(" nll {} ", now(&view.nll)), NLL),
        Span::styled(
            format!(" validation {} ", now(&view.validation)),
            VALIDATION,
        ),
    ];
    let curves = [(&view.nll, NLL), (&view.validation, VALIDATION)];
    chart(view, frame, area, title, &curves);
}

fn bounds(view: &View, frame: &mut Frame<'_>, area: Rect) {
    if let Some((_, now)) = view.reward.last() {
        let title = vec![Span::styled(format!(" mean reward {now:.3} "), J)];
        chart(view, frame, area, title, &[(&view.reward, J)]);
        return;
    }
    if view.j.is_empty() {
        let text = "No reference, so no J and no bounds: an empty [reference] section in the recipe gives one.";
        let block = Block::bordered()
            .border_style(dim())
            .title(" J and its bounds ");
        let text = Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true });
        frame.render_widget(text.style(dim()).block(block), area);
        return;
    }
    let now = |curve: &Curve| curve.last().map_or(f64::NAN, |(_, y)| *y);
    let (j, iw, sft) = (now(&view.j), now(&view.iw_bound), now(&view.sft_bound));
    let title = vec![
        Span::styled(format!(" J {j:.3} "), J),
        Span::styled(format!(" iw-SFT -{:.3} ", (j - iw).abs()), IW_BOUND),
        Span::styled(format!(" SFT -{:.3} ", (j - sft).abs()), SFT_BOUND),
    ];
    let curves = [
        (&view.sft_bound, SFT_BOUND),
        (&view.j, J),
        (&view.iw_bound, IW_BOUND),
    ];
    chart(view, frame, area, title, &curves);
}

fn share(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let now = view.share.last().map_or(f64::NAN, |(_, y)| *y);
    let title = vec![Span::styled(format!(" effective sample {now:.1}% "), SHARE)];
    chart(view, frame, area, title, &[(&view.share, SHARE)]);
}

fn chart(
    view: &View,
    frame: &mut Frame<'_>,
    area: Rect,
    title: Vec<Span<'_>>,
    curves: &[(&Curve, Color)],
) {
    // A braille dot is half a column wide.
    let columns = usize::from(area.width) * 2;
    let thinned: Vec<(Curve, Color)> = curves
        .iter()
        .map(|(curve, colour)| (means(curve, columns), *colour))
        .collect();
    let datasets = thinned
        .iter()
        .map(|(curve, colour)| {
            Dataset::default()
                .marker(Marker::Braille)
                .graph_type(GraphType::Line)
                .style(Style::new().fg(*colour))
                .data(curve)
        })
        .collect();
    let [low, high] = range(thinned.iter().flat_map(|(curve, _)| curve));
    let begin = view.begun.0 as f64;
    let end = (view.step_now() as f64).max(begin + 1.0);
    let label = |value: f64| Span::styled(short(value), dim());
    let y = Axis::default()
        .bounds([low, high])
        .labels([label(low), label(0.5 * (low + high)), label(high)])
        .style(dim());
    let x = Axis::default()
        .bounds([begin, end])
        .labels([label(begin), label(end)])
        .style(dim());
    let block = Block::bordered()
        .border_style(dim())
        .title(Line::from(title));
    frame.render_widget(Chart::new(datasets).x_axis(x).y_axis(y).block(block), area);
}

/// The curve as the means of up to `count` pieces.
fn means(curve: &Curve, count: usize) -> Curve {
    let size = curve.len().div_ceil(count.max(1)).max(1);
    let mean = |piece: &[(f64, f64)]| {
        let (x, y) = piece
            .iter()
            .fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
        (x / piece.len() as f64, y / piece.len() as f64)
    };
    curve.chunks(size).map(mean).collect()
}

/// What an axis must span, with some air.
fn range<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> [f64; 2] {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (_, y) in points {
        (low, high) = (low.min(*y), high.max(*y));
    }
    if low > high {
        return [0.0, 1.0];
    }
    let air = (0.05 * (high - low)).max(1e-3 * high.abs()).max(1e-9);
    [low - air, high + air]
}

/// A number for the edge of a chart.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..0.01 => format!("{value:.0e}"),
        ..10.0 => format!("{value:.2}"),
        ..1e5 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

fn numbers(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().border_style(dim()).title(" this step ");
    let Some(last) = &view.last else {
        frame.render_widget(block, area);
        return;
    };
    let told = &last.diagnostics;
    let rows = [
        ("loss", format!("{:.4}", told.loss)),
        (
            "weights",
            format!(
                "{:.3} to {:.3}, mean {:.3}",
                told.weight_min, told.weight_max, told.weight_mean
            ),
        ),
        ("clipped", format!("{:.1}%", 100.0 * told.clipped)),
        ("learning rate", format!("{:.2e}", last.learning_rate)),
        ("gradient norm", format!("{:.3}", last.grad_norm)),
        ("time", duration(last.seconds)),
    ];
    let lines: Vec<Line<'_>> = rows
        .into_iter()
        .map(|(name, value)| {
            Line::from(vec![
                Span::styled(format!(" {name:<14}"), dim()),
                Span::raw(value),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn recent(view: &View, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::bordered().border_style(dim()).title(" messages ");
    let room = usize::from(area.height.saturating_sub(2));
    let first = view.messages.len().saturating_sub(room);
    let lines: Vec<Line<'_>> = view.messages[first..]
        .iter()
        .map(|text| Line::from(format!(" {text}")))
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn told(step: u64, j: Option<f64>) -> StepMetrics {
        StepMetrics {
            step,
            epoch: 0.5,
            learning_rate: 1e-3,
            grad_norm: 2.0,
            grad_clipped: false,
            tokens: 100,
            total_tokens: 100 * step,
            micro_batches: 1,
            tokens_per_second: 4321.0,
            seconds: 65.0,
            diagnostics: iwsft_objective::Diagnostics {
                loss: 1.5,
                nll: 1.25,
                j,
                iw_sft_bound: j.map(|j| j - 0.125),
                sft_bound: j.map(|j| j - 0.5),
                effective_share: 0.75,
                ..iwsft_objective::Summary::default().diagnostics()
            },
        }
    }

    fn picture(view: &View, stopping: bool, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(view, stopping, frame)).unwrap();
        terminal.backend().to_string()
    }

    fn started() -> View {
        let mut view = View::new(Path::new("runs/answers"));
        view.total = 50;
        view
    }

    #[test]
    fn the_screen_shows_where_the_run_stands() {
        let mut view = started();
        for step in 1..=20 {
            view.step(&told(step, Some(2.0)));
        }
        view.message("step 20: saved a checkpoint");
        let shown = picture(&view, false, 100, 30);
        for text in [
            "20/50",
            "4321 tokens/s",
            "runs/answers",
            "nll 1.2500",
            "J 2.000",
            "iw-SFT -0.125",
            "SFT -0.500",
            "effective sample 75.0%",
            "1m05s",
            "saved a checkpoint",
            "q  stop",
        ] {
            assert!(shown.contains(text), "no {text:?} in\n{shown}");
        }
        assert!(picture(&view, true, 100, 30).contains("stopping after this step"));
    }

    #[test]
    fn without_a_reference_the_screen_says_how_to_get_the_bounds() {
        let mut view = started();
        view.step(&told(1, None));
        assert!(picture(&view, false, 100, 30).contains("[reference]"));
    }

    #[test]
    fn the_screen_can_be_drawn_at_any_size_and_before_the_first_step() {
        let mut view = started();
        for (width, height) in [(1, 1), (20, 5), (80, 24), (250, 80)] {
            picture(&view, false, width, height);
        }
        view.step(&told(1, Some(1.0)));
        for (width, height) in [(1, 1), (20, 5), (80, 24), (250, 80)] {
            picture(&view, false, width, height);
        }
    }

    #[test]
    fn a_long_curve_is_averaged_to_the_width_of_the_screen() {
        let curve: Curve = (0..1000)
            .map(|i| (f64::from(i), f64::from(i % 2)))
            .collect();
        let means = means(&curve, 100);
        assert_eq!(means.len(), 100);
        assert!(means.iter().all(|(_, y)| *y == 0.5));
    }
}
