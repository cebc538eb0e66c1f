//! Completions from a server, for the commands that draw some.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use iwsft_endpoint::{Endpoint, Event, Notice, Query, Settings};
use iwsft_lm::{Completion, Sampling};

use crate::generator::{Generator, Prompt, Request};
use crate::mistake::Mistake;
use crate::progress::say;

/// Least time between two messages about requests that are repeated: when a
/// server restarts, every request in flight fails at the same time.
const BETWEEN_RETRIES: Duration = Duration::from_secs(5);

/// Where to find a server, and how hard to work it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Completions from a server")]
pub(crate) struct ServerArgs {
    /// Ask this OpenAI-compatible server (vLLM, SGLang, llama.cpp, a service)
    /// instead of a model folder.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The server's name for the model; not needed where it serves only one.
    #[arg(
        id = "server_model",
        long = "model",
        value_name = "NAME",
        requires = "endpoint"
    )]
    model: Option<String>,
    /// Environment variable with the server's key.
    #[arg(
        long,
        value_name = "VARIABLE",
        default_value = KEY,
        requires = "endpoint"
    )]
    api_key_env: String,
    /// Requests in flight.
    #[arg(long, value_name = "N", default_value_t = 16, requires = "endpoint",
          value_parser = clap::value_parser!(u64).range(1..=4096))]
    concurrency: u64,
    /// Most requests a minute.
    #[arg(long, value_name = "N", requires = "endpoint", value_parser = rate)]
    requests_per_minute: Option<f64>,
    /// Most tokens a minute, of prompts and completions together.
    #[arg(long, value_name = "N", requires = "endpoint", value_parser = rate)]
    tokens_per_minute: Option<f64>,
    /// How often a request that fails is repeated before it counts as failed.
    #[arg(long, value_name = "N", default_value_t = 10, requires = "endpoint")]
    retries: u32,
    /// Longest wait for one completion.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "endpoint",
          value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Finish without completions that fail: they are left out of samples, and
    /// count as wrong in an evaluation. Otherwise the command ends with an error,
    /// keeps the others, and asks for the failed ones again when it is repeated.
    #[arg(long, requires = "endpoint")]
    pub(crate) skip_failed: bool,
}

/// The variable that other programs read a key from, too.
const KEY: &str = "OPENAI_API_KEY";

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("expected a number above 0".into()),
    }
}

impl ServerArgs {
    /// Connects to the server, if one is named.
    pub(crate) fn connect(&self) -> anyhow::Result<Option<Server>> {
        let Some(url) = &self.endpoint else {
            return Ok(None);
        };
        let settings = Settings {
            url: url.clone(),
            model: self.model.clone(),
            api_key: self.key()?,
            concurrency: self.concurrency as usize,
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            retries: self.retries,
            timeout: Duration::from_secs(self.timeout),
        };
        let endpoint = Endpoint::connect(settings, |notice| say(&notice.to_string()))?;
        say(&format!(
            "asking {} at {}",
            endpoint.model(),
            endpoint.address()
        ));
        Ok(Some(Server { endpoint }))
    }

    fn key(&self) -> anyhow::Result<Option<String>> {
        let variable = &self.api_key_env;
        match std::env::var(variable) {
            Ok(key) if key.is_empty() => Ok(None),
            Ok(key) if key.chars().all(|c| c.is_ascii_graphic()) => Ok(Some(key)),
            Err(std::env::VarError::NotPresent) if variable == KEY => Ok(None),
            Err(std::env::VarError::NotPresent) if is_name(variable) => {
                let message = format!("--api-key-env {variable}: the variable is not set");
                Err(Mistake::new(message).into())
            }
            // It may be the key itself.
            Err(std::env::VarError::NotPresent) => Err(Mistake::new(
                "--api-key-env: expected the name of an environment variable that holds the key, \
                 such as OPENAI_API_KEY, and not the key itself",
            )
            .into()),
            // Not repeated: it is a secret.
            _ => {
                let message = format!(
                    "{variable}: a key has only visible ASCII characters; \
                     is there a line break or a blank in the variable?"
                );
                Err(Mistake::new(message).into())
            }
        }
    }
}

/// Whether a text is the name of a variable rather than a key.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.len() <= 64 && text.chars().all(is_plain)
}

/// A model behind a server.
pub(crate) struct Server {
    endpoint: Endpoint,
}

impl Generator for Server {
    fn name(&self) -> String {
        self.endpoint.model().into()
    }

    /// A server's log-probabilities are the model's own.
    fn log_probs_differ(&self, sampling: &Sampling) -> Option<&'static str> {
        if sampling.temperature != 1.0 {
            return Some("the temperature is not 1");
        }
        if sampling.top_p < 1.0 || sampling.top_k.is_some() || sampling.min_p > 0.0 {
            return Some("top-p, top-k or min-p is set");
        }
        let told = self.endpoint.takes_truncation();
        (!told).then_some("the server cannot be told not to truncate")
    }

    fn complete(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
        on_drawn: &mut dyn FnMut(usize, anyhow::Result<Completion>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let queries: Vec<Query> = requests.iter().map(query).collect();
        // Ctrl-C ends the program at once; the journal has what is done.
        let never = AtomicBool::new(false);
        let mut notices = Notices::default();
        let result = self
            .endpoint
            .complete(&queries, sampling, &never, |event| match event {
                Event::Completion { index, completion } => on_drawn(index, Ok(completion)),
                Event::Failed { index, error, ends } => {
                    let error = anyhow::Error::from(error).context(requests[index].name.clone());
                    match ends {
                        true => Err(error),
                        false => on_drawn(index, Err(error)),
                    }
                }
                Event::Notice { index, notice } => {
                    notices.add(&requests[index].name, &notice);
                    Ok(())
                }
            });
        notices.end();
        result
    }
}

/// What happens while completions are drawn, told once where it happens often.
#[derive(Default)]
struct Notices {
    /// When a repetition was told last.
    retry: Option<Instant>,
    /// Completions without log-probabilities that they should have.
    log_probs: usize,
    /// Completions whose end is not told.
    untold: usize,
}

impl Notices {
    fn add(&mut self, name: &str, notice: &Notice) {
        let tell = match notice {
            Notice::Retry { .. } => {
                let recently = self.retry.is_some_and(|at| at.elapsed() < BETWEEN_RETRIES);
                if !recently {
                    self.retry = Some(Instant::now());
                }
                !recently
            }
            Notice::LogProbs(_) => {
                self.log_probs += 1;
                self.log_probs == 1
            }
            Notice::Untold { .. } => {
                self.untold += 1;
                self.untold == 1
            }
            // It holds for all requests.
            Notice::Without(_) | Notice::KeyInClear { .. } => return say(&notice.to_string()),
        };
        if tell {
            say(&format!("{name}: {notice}"));
        }
    }

    fn end(&self) {
        if self.log_probs > 1 {
            say(&format!(
                "log-probabilities of {} completions are left out, as they cannot be right",
                self.log_probs
            ));
        }
        if self.untold > 1 {
            say(&format!(
                "of {} completions it is not known why they ended; they count as ended by themselves",
                self.untold
            ));
        }
    }
}

fn query(request: &Request) -> Query {
    Query {
        prompt: match &request.prompt {
            Prompt::Text(text) => iwsft_endpoint::Prompt::Text(text.clone()),
            Prompt::Messages(messages) => iwsft_endpoint::Prompt::Messages(messages.clone()),
        },
        prefix: request.prefix.clone(),
        draw: request.draw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, clap::Parser)]
    struct Command {
        model: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    }

    #[test]
    fn the_servers_model_and_a_folder_are_different_arguments() {
        let command = |line: &str| Command::try_parse_from(line.split(' '));
        let asked = command("x --endpoint http://h/v1 --model m --concurrency 3").unwrap();
        assert!(asked.model.is_none() && asked.server.endpoint.is_some());
        assert_eq!(asked.server.model.as_deref(), Some("m"));
        let folder = command("x folder").unwrap();
        assert!(folder.server.connect().unwrap().is_none());
    }

    #[test]
    fn options_of_a_server_need_a_server_and_sensible_values() {
        let refused = |line: &str| {
            Command::try_parse_from(line.split(' '))
                .unwrap_err()
                .to_string()
        };
        assert!(refused("x folder --concurrency 3").contains("--endpoint"));
        assert!(refused("x folder --model m").contains("--endpoint"));
        for option in [
            "--concurrency 0",
            "--timeout 0",
            "--requests-per-minute 0",
            "--tokens-per-minute nan",
        ] {
            let said = refused(&format!("x --endpoint http://h/v1 {option}"));
            assert!(said.contains("invalid value"), "{said}");
        }
    }

    #[test]
    fn a_key_that_is_named_must_be_there() {
        let line = "x --endpoint http://h/v1 --api-key-env IWSFT_NO_SUCH_VARIABLE";
        let command = Command::try_parse_from(line.split(' ')).unwrap();
        let error = command.server.connect().err().unwrap();
        assert!(
            error.to_string().contains("IWSFT_NO_SUCH_VARIABLE"),
            "{error}"
        );
    }

    #[test]
    fn a_key_in_the_place_of_its_variable_is_not_repeated() {
        let line = "x --endpoint http://h/v1 --api-key-env sk-s3cret";
        let command = Command::try_parse_from(line.split(' ')).unwrap();
        let error = command.server.connect().err().unwrap().to_string();
        assert!(
            error.contains("the name of an environment variable"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
    }
}
