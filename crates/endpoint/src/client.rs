//! One model behind one server, asked by several threads at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use iwsft_lm::{Completion, Sampling};
use serde_json::{Map, Value};

use crate::answer::{self, Answer};
use crate::ask::Fields;
use crate::backoff;
use crate::error::EndpointError;
use crate::http::{Failure, Http, trouble};
use crate::pace::Pace;
use crate::query::{Prompt, Query};

/// Longest that a server may ask to wait; beyond it the work ends, to be
/// resumed later.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often a waiting thread looks whether it should stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Longest wait for the list of models.
const INTRODUCTION: Duration = Duration::from_secs(30);

/// Bytes of a prompt that are about a token; only for the pace, and corrected
/// by what the server says.
const BYTES_PER_TOKEN: f64 = 4.0;

/// How to reach a server, and how hard to work it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The address that `/chat/completions` is appended to, mostly ending in
    /// `/v1`. That is appended where the address has no path.
    pub url: String,
    /// The server's name for the model; not needed where it serves only one.
    pub model: Option<String>,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<String>,
    /// Requests in flight.
    pub concurrency: usize,
    /// Most requests a minute.
    pub requests_per_minute: Option<f64>,
    /// Most tokens a minute, prompts and completions together.
    pub tokens_per_minute: Option<f64>,
    /// How often a request is repeated before the work ends.
    pub retries: u32,
    /// Longest wait for an answer, its generation included.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "http://localhost:8000/v1".into(),
            model: None,
            api_key: None,
            concurrency: 16,
            requests_per_minute: None,
            tokens_per_minute: None,
            retries: 10,
            timeout: Duration::from_secs(600),
        }
    }
}

/// A model behind a server.
#[derive(Debug)]
pub struct Endpoint {
    base: String,
    model: String,
    /// What the server says that it serves, for messages.
    models: Vec<String>,
    settings: Settings,
    http: Http,
    fields: Fields,
    pace: Pace,
}

/// What happens while completions are drawn.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A query is complete.
    Completion {
        /// Which query.
        index: usize,
        /// What the model made of it.
        completion: Completion,
    },
    /// Something that the user may want to know; nothing is lost.
    Notice(Notice),
}

/// What the user may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A request failed and will be repeated.
    Retry {
        /// Why it failed.
        reason: String,
        /// When it is repeated.
        wait: Duration,
        /// Which repetition this will be, from 1.
        repetition: u32,
        /// How many there are at most.
        retries: u32,
    },
    /// The server does not take these fields; they are left out from now on.
    Without(Vec<&'static str>),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry {
                reason,
                wait,
                repetition,
                retries,
            } => {
                let seconds = wait.as_secs_f64();
                write!(
                    f,
                    "{reason}; asking again in {seconds:.1} s ({repetition} of {retries})"
                )
            }
            Self::Without(fields) => {
                let consequence = |field: &&str| match *field {
                    "logprobs" => "completions come without log-probabilities",
                    "return_token_ids" => "completions may come without token ids",
                    "seed" => "the same command will not draw the same again",
                    "max_tokens" => "it gets max_completion_tokens instead",
                    _ => "its own defaults hold, which may truncate what is drawn",
                };
                let mut consequences: Vec<&str> = fields.iter().map(consequence).collect();
                consequences.dedup();
                write!(
                    f,
                    "the server does not take {}: {}",
                    fields.join(", "),
                    consequences.join("; ")
                )
            }
        }
    }
}

/// What the threads of one piece of work share.
struct Work<'a> {
    queries: &'a [Query],
    sampling: &'a Sampling,
    next: AtomicUsize,
    /// The caller wants to stop.
    stop: &'a AtomicBool,
    /// Something went wrong; what is in flight is still awaited.
    over: AtomicBool,
}

impl Work<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.over.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.queries.len() && !self.is_over()).then_some(index)
    }

    fn wait(&self, duration: Duration) -> Result<(), EndpointError> {
        let until = Instant::now() + duration;
        loop {
            if self.is_over() {
                return Err(EndpointError::Stopped);
            }
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => thread::sleep(left.min(GLANCE)),
            }
        }
    }
}

impl Endpoint {
    /// Finds out whether somebody answers, and which model to ask for.
    ///
    /// # Errors
    /// If nobody answers at the address or the key is refused, and if no model
    /// is named where there is not exactly one.
    pub fn connect(settings: Settings) -> Result<Self, EndpointError> {
        let base = base(&settings.url)?;
        let key = settings.api_key.as_deref();
        let introduction = Http::new(INTRODUCTION.min(settings.timeout), 0, key);
        let url = format!("{base}/models");
        let models = models(&introduction, &url)?;
        let model = match (&settings.model, models.as_slice()) {
            (Some(name), _) => name.clone(),
            (None, [only]) => only.clone(),
            (None, several) => {
                let reason = match several {
                    [] => "the server does not say which models it serves".into(),
                    names => format!("the server has several models: {}", names.join(", ")),
                };
                return Err(EndpointError::NoModel { url, reason });
            }
        };
        // A connection costs something only with TLS. llama.cpp gives each one a
        // thread for as long as it stays open: requests beyond its threads would
        // wait for the others to run out of work.
        let kept = match base.starts_with("https") {
            true => settings.concurrency,
            false => 0,
        };
        Ok(Self {
            http: Http::new(settings.timeout, kept, key),
            fields: Fields::default(),
            pace: Pace::new(
                settings.requests_per_minute,
                settings.tokens_per_minute,
                Instant::now(),
            ),
            base,
            model,
            models,
            settings,
        })
    }

    /// The server's name for the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The address that requests go to, without a slash at its end.
    pub fn address(&self) -> &str {
        &self.base
    }

    /// Whether the server, as far as is known, draws from nothing but the whole
    /// distribution where that is asked for: it has not refused to be told so.
    pub fn takes_truncation(&self) -> bool {
        let fields = ["top_k", "min_p", "repetition_penalty"];
        !fields.iter().any(|field| self.fields.has_refused(field))
    }

    /// Draws a completion for each query and hands it over as soon as it is
    /// there, in any order. When something goes wrong, or `stop` is set, no new
    /// request is made, and what is in flight is still handed over.
    ///
    /// # Errors
    /// The first error of a query or of `on_event`; [`EndpointError::Stopped`]
    /// if `stop` was set before everything was complete.
    pub fn complete<E: From<EndpointError>>(
        &self,
        queries: &[Query],
        sampling: &Sampling,
        stop: &AtomicBool,
        mut on_event: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let work = Work {
            queries,
            sampling,
            next: AtomicUsize::new(0),
            stop,
            over: AtomicBool::new(false),
        };
        let (sender, receiver) = mpsc::channel();
        let threads = self.settings.concurrency.clamp(1, queries.len().max(1));
        thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, work) = (sender.clone(), &work);
                scope.spawn(move || self.work(work, &sender));
            }
            drop(sender);
            let (mut result, mut complete) = (Ok(()), 0);
            // Once the caller has failed, nothing more is handed over.
            let mut listening = true;
            for event in receiver {
                complete += usize::from(matches!(event, Ok(Event::Completion { .. })));
                let outcome = match event {
                    Ok(event) if listening => on_event(event).inspect_err(|_| listening = false),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.into()),
                };
                if outcome.is_err() {
                    work.over.store(true, Ordering::Relaxed);
                }
                // The first error is the cause of what follows.
                result = result.and(outcome);
            }
            if result.is_ok() && complete < queries.len() {
                return Err(EndpointError::Stopped.into());
            }
            result
        })
    }

    fn work(&self, work: &Work<'_>, sender: &Sender<Result<Event, EndpointError>>) {
        // Nobody listens only when the listener has panicked.
        let send = |event| drop(sender.send(event));
        while let Some(index) = work.take() {
            match self.ask(&work.queries[index], work, &|notice| {
                send(Ok(Event::Notice(notice)))
            }) {
                Ok(completion) => send(Ok(Event::Completion { index, completion })),
                Err(error) => return send(Err(error)),
            }
        }
    }

    /// One completion, asked for until it comes or cannot come.
    fn ask(
        &self,
        query: &Query,
        work: &Work<'_>,
        notice: &dyn Fn(Notice),
    ) -> Result<Completion, EndpointError> {
        let mut repetition = 0;
        loop {
            let (url, failure) = match self.attempt(query, work, notice) {
                (_, Ok(answer)) => return Ok(answer.completion),
                (url, Err(failure)) => (url, failure),
            };
            let (reason, asked) = match failure {
                Failure::Lasting(error) => return Err(error),
                Failure::Passing { reason, asked } => (reason, asked),
            };
            if let Some(wait) = asked.filter(|wait| *wait > PATIENCE) {
                return Err(EndpointError::ComeBackLater { url, reason, wait });
            }
            if repetition == self.settings.retries {
                let attempts = repetition + 1;
                return Err(EndpointError::GaveUp {
                    url,
                    reason,
                    attempts,
                });
            }
            let wait = backoff::delay(repetition, asked, rand::random());
            if let Some(asked) = asked {
                self.pace.close(Instant::now() + asked);
            }
            repetition += 1;
            notice(Notice::Retry {
                reason,
                wait,
                repetition,
                retries: self.settings.retries,
            });
            work.wait(wait)?;
        }
    }

    /// Asks once, or again at once without what the server does not take.
    fn attempt(
        &self,
        query: &Query,
        work: &Work<'_>,
        notice: &dyn Fn(Notice),
    ) -> (String, Result<Answer, Failure>) {
        loop {
            let (path, body) = self.fields.body(&self.model, query, work.sampling);
            let url = format!("{}/{path}", self.base);
            // Text that was continued does not come back; only a message may.
            let prefix = match &query.prompt {
                Prompt::Text(_) => "",
                Prompt::Messages(_) => query.prefix.as_str(),
            };
            let outcome = self.exchange(&url, &body, prefix, work);
            if let Err(Failure::Lasting(EndpointError::Refused {
                status: 400 | 422,
                message,
                ..
            })) = &outcome
            {
                let (again, news) = self.fields.learn(message, &body, work.sampling);
                if !news.is_empty() {
                    notice(Notice::Without(news));
                }
                if again {
                    continue;
                }
            }
            return (url, outcome);
        }
    }

    fn exchange(
        &self,
        url: &str,
        body: &Map<String, Value>,
        prefix: &str,
        work: &Work<'_>,
    ) -> Result<Answer, Failure> {
        let body = Value::Object(body.clone()).to_string();
        let taken = body.len() as f64 / BYTES_PER_TOKEN + work.sampling.max_tokens as f64;
        loop {
            match self.pace.admit(taken, Instant::now()) {
                Duration::ZERO => break,
                wait => work.wait(wait.min(GLANCE)).map_err(Failure::Lasting)?,
            }
        }
        let outcome = self
            .http
            .post(url, &body)
            .map_err(|error| trouble(url, &error))
            .and_then(|reply| reply.accepted(url, &self.models))
            .and_then(|reply| answer::read(url, &reply.body, prefix));
        let used = match &outcome {
            Ok(answer) => answer.used.map_or(taken, |used| used as f64),
            Err(_) => 0.0,
        };
        self.pace.settle(taken, used);
        outcome
    }
}

/// The address as requests are appended to it.
fn base(url: &str) -> Result<String, EndpointError> {
    let wrong = |reason: &str| EndpointError::Address {
        url: url.into(),
        reason: reason.into(),
    };
    let trimmed = url.trim().trim_end_matches('/');
    let (scheme, rest) = trimmed
        .split_once("://")
        .ok_or_else(|| wrong("it does not begin with http:// or https://"))?;
    if !["http", "https"].contains(&scheme.to_lowercase().as_str()) {
        return Err(wrong("it does not begin with http:// or https://"));
    }
    if rest.is_empty() || rest.starts_with(['/', ':']) {
        return Err(wrong("it names no host"));
    }
    if rest.contains(['?', '#', ' ']) {
        return Err(wrong("it has a query or a blank"));
    }
    let trimmed = ["/chat/completions", "/completions"]
        .iter()
        .find_map(|path| trimmed.strip_suffix(path))
        .unwrap_or(trimmed);
    Ok(match rest.contains('/') {
        true => trimmed.into(),
        false => format!("{trimmed}/v1"),
    })
}

/// The models that a server lists; none where it keeps that to itself.
fn models(http: &Http, url: &str) -> Result<Vec<String>, EndpointError> {
    let reply = match http.get(url) {
        Ok(reply) => reply,
        // It may be busy; it is there.
        Err(ureq::Error::Timeout(
            ureq::Timeout::RecvResponse | ureq::Timeout::RecvBody | ureq::Timeout::Global,
        )) => return Ok(Vec::new()),
        Err(error) => match trouble(url, &error) {
            Failure::Lasting(error) => return Err(error),
            Failure::Passing { reason, .. } => {
                return Err(EndpointError::Unreachable {
                    url: url.into(),
                    reason,
                });
            }
        },
    };
    match reply.accepted(url, &[]) {
        Ok(reply) => {
            let list: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let names = list["data"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let name = |model: &Value| model["id"].as_str().map(str::to_owned);
            Ok(names.iter().filter_map(name).collect())
        }
        Err(Failure::Lasting(error @ EndpointError::Refused { status: 401, .. })) => Err(error),
        Err(_) => Ok(Vec::new()),
    }
}
