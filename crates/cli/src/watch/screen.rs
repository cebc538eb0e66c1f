//! The full screen: takes the terminal, draws a few times a second while the
//! run computes on, listens for keys, and gives the terminal back whatever
//! happens.

use std::io::{self, Stderr, stderr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use iwsft_train::{
    EvaluationMetrics, Observer, Plan, RolloutMetrics, StepMetrics, ValidationMetrics,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::view::{self, View};
use crate::interrupt;
use crate::progress::say;

/// Time between two pictures.
const EVERY: Duration = Duration::from_millis(250);

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The screen of one run.
pub(super) struct Screen {
    view: Arc<Mutex<View>>,
    over: Arc<AtomicBool>,
    drawing: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal; `stop` is set when the user asks for it.
    pub(super) fn take(run: &Path, stop: &'static AtomicBool) -> io::Result<Self> {
        give_back_on_panic();
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let terminal = execute!(stderr(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stderr())));
        let terminal = terminal.inspect_err(|_| give_back())?;
        let view = Arc::new(Mutex::new(View::new(run)));
        let over = Arc::new(AtomicBool::new(false));
        let drawing = {
            let (view, over) = (Arc::clone(&view), Arc::clone(&over));
            std::thread::spawn(move || draw(terminal, &view, &over, stop))
        };
        let drawing = Some(drawing);
        Ok(Self {
            view,
            over,
            drawing,
        })
    }

    fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }
}

/// A thread that panicked while it drew leaves nothing half-done.
fn lock(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer for Screen {
    fn on_start(&mut self, plan: &Plan, step: u64) {
        self.view().start(plan, step);
    }

    fn on_rollouts(&mut self, metrics: &RolloutMetrics) {
        self.view().rollouts(metrics);
    }

    fn on_step(&mut self, metrics: &StepMetrics) {
        self.view().step(metrics);
    }

    fn on_validation(&mut self, metrics: &ValidationMetrics) {
        self.view().validation(metrics);
    }

    fn on_evaluation(&mut self, metrics: &EvaluationMetrics) {
        let told = crate::eval::in_words(&metrics.found);
        self.on_message(&format!("step {}: {told}", metrics.step));
    }

    fn on_checkpoint(&mut self, path: &Path, step: u64) {
        self.on_message(&format!("step {step}: saved {}", path.display()));
    }

    fn on_message(&mut self, message: &str) {
        self.view().message(message);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(drawing) = self.drawing.take() {
            let _ = drawing.join();
        }
        give_back();
        // What was said must not vanish with the screen.
        self.view().messages().for_each(say);
    }
}

/// Draws and listens until `over`.
fn draw(
    mut terminal: Terminal<CrosstermBackend<Stderr>>,
    view: &Mutex<View>,
    over: &AtomicBool,
    stop: &AtomicBool,
) {
    while !over.load(Ordering::SeqCst) {
        let stopping = stop.load(Ordering::Relaxed);
        let drawn = terminal.draw(|frame| view::draw(&lock(view), stopping, frame));
        // A terminal that is gone is no reason to stop a run.
        let (Ok(_), Ok(has_event)) = (drawn, event::poll(EVERY)) else {
            std::thread::sleep(EVERY);
            continue;
        };
        if has_event
            && let Ok(Event::Key(key)) = event::read()
            && asks_to_stop(key)
        {
            interrupt::ask(stop, true);
        }
    }
}

fn asks_to_stop(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (control_c || key.code == KeyCode::Char('q'))
}

/// Whether the terminal is taken: lines would go across the picture.
pub(crate) fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Gives the terminal back, where it is taken.
pub(crate) fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(
            stderr(),
            LeaveAlternateScreen,
            ratatui::crossterm::cursor::Show
        );
        let _ = disable_raw_mode();
    }
}

fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            report(panic);
        }));
    });
}
