//! One model behind one server, asked by several threads at a time.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use iwsft_lm::{Completion, Sampling};
use serde_json::{Map, Value};

use crate::address::{Address, is_loopback};
use crate::answer::{self, Answer, Asked};
use crate::ask::Fields;
use crate::backoff;
use crate::error::EndpointError;
use crate::http::{Failure, Http, largest_answer};
use crate::models::{self, Listing};
use crate::notice::Notice;
use crate::pace::Pace;
use crate::proxy::Proxy;
use crate::query::{Prompt, Query};
use crate::refusal;
use crate::work::{GLANCE, Work};

/// Longest that a server may ask to wait; beyond it the work ends, to be
/// resumed later.
const PATIENCE: Duration = Duration::from_secs(600);

/// Longest wait for the list of models.
const INTRODUCTION: Duration = Duration::from_secs(30);

/// Repetitions of an answer that is none, from a server that has given no other:
/// it is most likely none that gives any.
const STRANGER: u32 = 2;

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
    model: String,
    /// What the server says that it serves, for messages.
    models: Vec<String>,
    settings: Settings,
    http: Http,
    fields: Fields,
    pace: Pace,
}

/// What happens while completions are drawn.
#[derive(Debug)]
pub enum Event {
    /// A query is complete.
    Completion {
        /// Which query.
        index: usize,
        /// What the model made of it.
        completion: Completion,
    },
    /// A query has no completion.
    Failed {
        /// Which query.
        index: usize,
        /// Why.
        error: EndpointError,
        /// Whether the work ends with it: it holds for every query, or too many
        /// in a row have failed.
        ends: bool,
    },
    /// Something that the user may want to know; nothing is lost.
    Notice {
        /// The query that it came up with.
        index: usize,
        /// What it is.
        notice: Notice,
    },
}

impl Endpoint {
    /// Finds out whether somebody answers, and which model to ask for. Waits for a
    /// server that is not ready yet as for completions; `on_notice` hears of it.
    ///
    /// # Errors
    /// If nobody answers at the address or the key is refused, and if no model
    /// is named where there is not exactly one.
    pub fn connect(
        settings: Settings,
        mut on_notice: impl FnMut(Notice),
    ) -> Result<Self, EndpointError> {
        let address = Address::parse(&settings.url)?;
        let proxy = Proxy::of(&address, |name| std::env::var(name).ok())?;
        let key = settings.api_key.as_deref();
        // A connection costs something only with TLS. llama.cpp gives each one a
        // thread for as long as it stays open: requests beyond its threads would
        // wait for the others to run out of work.
        let kept = match address.is_https {
            true => settings.concurrency,
            false => 0,
        };
        let http = |timeout, kept| Http::new(&address, proxy.as_ref(), key, timeout, kept);
        let introduction = http(INTRODUCTION.min(settings.timeout), 0);
        if let Some(host) = reader(&address, proxy.as_ref())
            && (key.is_some() || address.login.is_some())
        {
            on_notice(Notice::KeyInClear { host });
        }
        let (model, models) = introduce(&introduction, &settings, &mut on_notice)?;
        Ok(Self {
            http: http(settings.timeout, kept),
            fields: Fields::default(),
            pace: Pace::new(
                settings.requests_per_minute,
                settings.tokens_per_minute,
                Instant::now(),
            ),
            model,
            models,
            settings,
        })
    }

    /// The server's name for the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The address that requests go to and the proxy on the way, for messages:
    /// without user and password.
    pub fn address(&self) -> String {
        self.http.address()
    }

    /// Whether the server, as far as is known, draws from nothing but the whole
    /// distribution where that is asked for: it has not refused to be told so.
    pub fn takes_truncation(&self) -> bool {
        let fields = [
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "repetition_penalty",
        ];
        !fields.iter().any(|field| self.fields.has_refused(field))
    }

    /// Draws a completion for each query and hands it over as soon as it is
    /// there, in any order. A query that fails is handed over too, and the others
    /// go on. When what went wrong holds for all of them, or `on_event` fails, or
    /// `stop` is set, no new request is made, and what is in flight is still
    /// handed over.
    ///
    /// # Errors
    /// The first error of `on_event`; else [`EndpointError::Stopped`] if the work
    /// ended before every query was handed over.
    pub fn complete<E: From<EndpointError>>(
        &self,
        queries: &[Query],
        sampling: &Sampling,
        stop: &AtomicBool,
        mut on_event: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let work = Work::new(queries, sampling, stop);
        let (sender, receiver) = mpsc::channel();
        let threads = self.settings.concurrency.clamp(1, queries.len().max(1));
        thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, work) = (sender.clone(), &work);
                scope.spawn(move || self.work(work, &sender));
            }
            drop(sender);
            let (mut result, mut handed_over) = (Ok(()), 0);
            // A caller that failed by itself hears no more; one that passed on why
            // the work ends still gets what is in flight.
            let mut listening = true;
            for event in receiver {
                handed_over += usize::from(!matches!(event, Event::Notice { .. }));
                let ends = matches!(event, Event::Failed { ends: true, .. });
                if !listening {
                    continue;
                }
                let outcome = on_event(event);
                if outcome.is_err() {
                    work.end();
                    listening = ends;
                }
                // The first error is the cause of what follows.
                result = result.and(outcome);
            }
            if result.is_ok() && handed_over < queries.len() {
                return Err(EndpointError::Stopped.into());
            }
            result
        })
    }

    fn work(&self, work: &Work<'_>, sender: &Sender<Event>) {
        // Nobody listens only when the listener has panicked.
        let send = |event| drop(sender.send(event));
        while let Some(index) = work.take() {
            let completions = work.completions();
            let notice = |notice| send(Event::Notice { index, notice });
            match self.ask(&work.queries[index], work, &notice) {
                Ok(completion) => {
                    work.succeeded();
                    send(Event::Completion { index, completion });
                }
                Err(EndpointError::Stopped) => return,
                Err(error) => {
                    let ends = work.failed(&error, completions);
                    send(Event::Failed { index, error, ends });
                }
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
            let (path, failure) = match self.attempt(query, work, notice) {
                (_, Ok(answer)) => {
                    answer.notices.into_iter().for_each(notice);
                    return Ok(answer.completion);
                }
                (path, Err(failure)) => (path, failure),
            };
            let url = self.http.place(path);
            let (reason, asked) = match failure {
                Failure::Passing { reason, asked } => (reason, asked),
                Failure::Unusable { reason, may_pass } => {
                    let retries = match work.completions() {
                        0 => self.settings.retries.min(STRANGER),
                        _ => self.settings.retries,
                    };
                    if !may_pass || repetition >= retries {
                        return Err(EndpointError::Answer { url, reason });
                    }
                    let reason = format!("the server gave no answer that can be used: {reason}");
                    (reason, None)
                }
                failure => return Err(self.lasting(path, failure)),
            };
            let wait = self.again(url, reason, asked, repetition, notice)?;
            repetition += 1;
            work.wait(wait)?;
        }
    }

    /// How long to wait before asking again, if there is another time.
    fn again(
        &self,
        url: String,
        reason: String,
        asked: Option<Duration>,
        repetition: u32,
        notice: &dyn Fn(Notice),
    ) -> Result<Duration, EndpointError> {
        let wait = again(
            url,
            reason,
            asked,
            repetition,
            self.settings.retries,
            &mut |told| notice(told),
        )?;
        if let Some(asked) = asked {
            self.pace.close(Instant::now() + asked);
        }
        Ok(wait)
    }

    /// Asks once, or again at once without what the server does not take.
    fn attempt(
        &self,
        query: &Query,
        work: &Work<'_>,
        notice: &dyn Fn(Notice),
    ) -> (&'static str, Result<Answer, Failure>) {
        loop {
            let (path, body) = self.fields.body(&self.model, query, work.sampling);
            // Text that was continued does not come back; only a message may.
            let prefix = match &query.prompt {
                Prompt::Text(_) => "",
                Prompt::Messages(_) => query.prefix.as_str(),
            };
            let outcome = self.exchange(path, &body, prefix, work);
            let refusal = match &outcome {
                Err(Failure::Refused { status, words, .. }) => Some((*status, words)),
                Err(Failure::Passing { reason, .. }) => Some((500, reason)),
                _ => None,
            };
            if let Some((status, words)) = refusal {
                let (again, news) = self.fields.learn(status, words, &body, work.sampling);
                if !news.is_empty() {
                    notice(Notice::Without(news));
                }
                if again {
                    continue;
                }
            }
            return (path, outcome);
        }
    }

    fn exchange(
        &self,
        path: &str,
        body: &Map<String, Value>,
        prefix: &str,
        work: &Work<'_>,
    ) -> Result<Answer, Failure> {
        let body = Value::Object(body.clone()).to_string();
        let max_tokens = work.sampling.max_tokens;
        let taken = body.len() as f64 / BYTES_PER_TOKEN + max_tokens as f64;
        loop {
            match self.pace.admit(taken, Instant::now()) {
                Duration::ZERO => break,
                wait => work.wait(wait.min(GLANCE)).map_err(Failure::Lasting)?,
            }
        }
        let asked = Asked {
            prefix,
            max_tokens,
            secrets: &self.http.secrets,
        };
        let most = largest_answer(body.len(), max_tokens);
        let outcome = self
            .http
            .post(path, &body, most)
            .map_err(|error| self.http.trouble(path, &error))
            .and_then(|reply| self.http.accepted(reply))
            .and_then(|reply| answer::read(&asked, &reply));
        let used = match &outcome {
            Ok(answer) => answer.used.map_or(taken, |used| used as f64),
            Err(_) => 0.0,
        };
        self.pace.settle(taken, used);
        outcome
    }

    fn lasting(&self, path: &str, failure: Failure) -> EndpointError {
        lasting(&self.http, path, failure, &self.models)
    }
}

/// Who can read what goes to a server, if anybody on the way can.
fn reader(address: &Address, proxy: Option<&Proxy>) -> Option<String> {
    let forwarding = proxy.filter(|proxy| proxy.forwards(address));
    let host = forwarding.map_or(address.host.as_str(), |proxy| proxy.way.host());
    let is_near = is_loopback(host.trim_matches(['[', ']']));
    let is_private = address.is_https || is_near && address.is_loopback();
    (!is_private).then(|| address.host.clone())
}

/// The model to ask for, and those that the server lists.
fn introduce(
    http: &Http,
    settings: &Settings,
    on_notice: &mut dyn FnMut(Notice),
) -> Result<(String, Vec<String>), EndpointError> {
    let mut repetition = 0;
    let listing = loop {
        match (models::list(http), &settings.model) {
            (Ok(listing), _) => break listing,
            (Err(Failure::Lasting(error)), _) => return Err(error),
            // Whatever keeps the list back, completions will tell.
            (Err(_), Some(_)) => break Listing::None(String::new()),
            (Err(Failure::Passing { reason, asked }), None) => {
                let url = http.place(models::PATH);
                let wait = again(url, reason, asked, repetition, settings.retries, on_notice)?;
                repetition += 1;
                thread::sleep(wait);
            }
            (Err(failure), None) => return Err(lasting(http, models::PATH, failure, &[])),
        }
    };
    let reason = match (&settings.model, listing) {
        (Some(name), Listing::Models(models)) => return Ok((name.clone(), models)),
        (Some(name), Listing::None(_)) => return Ok((name.clone(), Vec::new())),
        (None, Listing::Models(models)) if models.len() == 1 => {
            return Ok((models[0].clone(), models));
        }
        (None, Listing::Models(models)) => {
            format!(
                "the server has several models: {}",
                models::in_words(&models)
            )
        }
        (None, Listing::None(reason)) => reason,
    };
    Err(EndpointError::NoModel {
        url: http.place(models::PATH),
        reason,
    })
}

/// How long to wait before asking again, if the server may be asked again.
fn again(
    url: String,
    reason: String,
    asked: Option<Duration>,
    repetition: u32,
    retries: u32,
    on_notice: &mut dyn FnMut(Notice),
) -> Result<Duration, EndpointError> {
    if let Some(wait) = asked.filter(|wait| *wait > PATIENCE) {
        return Err(EndpointError::ComeBackLater { url, reason, wait });
    }
    if repetition >= retries {
        return Err(EndpointError::GaveUp {
            url,
            reason,
            attempts: repetition + 1,
        });
    }
    let wait = backoff::delay(repetition, asked, rand::random());
    on_notice(Notice::Retry {
        reason,
        wait,
        repetition: repetition + 1,
        retries,
    });
    Ok(wait)
}

/// The error of a failure that asking again does not help.
fn lasting(http: &Http, path: &str, failure: Failure, models: &[String]) -> EndpointError {
    let url = http.place(path);
    match failure {
        Failure::Lasting(error) => error,
        Failure::Unusable { reason, .. } => EndpointError::Answer { url, reason },
        Failure::Refused {
            status,
            words,
            location,
        } => refusal::error(http, path, status, &words, location.as_deref(), models),
        Failure::Passing { reason, .. } => EndpointError::GaveUp {
            url,
            reason,
            attempts: 1,
        },
    }
}
