//! One answer as it grows, and budget forcing: the thinking of a model is cut
//! short, or drawn out, as in s1 (arXiv 2501.19393, section 3.1).

use std::borrow::Cow;

use iwsft_lm::{Completion, Finish};
use serde::{Deserialize, Serialize};

/// How much a model is made to think.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forcing {
    /// Most tokens of thinking; those of an answer where nothing is said.
    pub(crate) thinking_tokens: Option<usize>,
    /// How many times thinking goes on where the model would end it.
    pub(crate) wait: usize,
    /// What ends thinking.
    pub(crate) end: String,
    /// What is put there instead, to go on.
    pub(crate) wait_text: String,
}

/// An answer, piece by piece: as many pieces of thinking as forcing makes, then
/// one that answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    /// All of it so far, what forcing put in included.
    pub(crate) text: String,
    /// Tokens drawn; 0 where a server does not tell them.
    pub(crate) tokens: usize,
    /// Pieces that it has.
    pub(crate) pieces: usize,
    /// Where the answer begins; of forced thinking, behind its end.
    begins: Option<usize>,
    /// Most tokens of the answer.
    max_tokens: usize,
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Thinking {
        forcing: Forcing,
        /// Tokens that are left.
        left: usize,
        /// Times to go on that are left.
        waits: usize,
    },
    Answering,
    Done(Finish),
    /// It cannot be had.
    Failed,
}

/// What a model drew at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) tokens: usize,
    pub(crate) finish: Finish,
}

impl From<Completion> for Piece {
    fn from(completion: Completion) -> Self {
        Self {
            tokens: completion.tokens.len().max(completion.log_probs.len()),
            text: completion.text,
            finish: completion.finish,
        }
    }
}

/// What is drawn next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Draw {
    pub(crate) max_tokens: usize,
    /// A text that ends the piece, beside what ends any.
    pub(crate) stop: Option<String>,
}

impl Attempt {
    pub(crate) fn new(max_tokens: usize, forcing: Option<&Forcing>) -> Self {
        let state = match forcing {
            None => State::Answering,
            Some(forcing) => State::Thinking {
                left: forcing.thinking_tokens.unwrap_or(max_tokens),
                waits: forcing.wait,
                forcing: forcing.clone(),
            },
        };
        Self {
            text: String::new(),
            tokens: 0,
            pieces: 0,
            begins: forcing.is_none().then_some(0),
            max_tokens,
            state,
        }
    }

    /// The text as it is graded: what was thought before, by force, is not the
    /// answer, whatever ends it. `thinks`: the prompt has opened thoughts.
    pub(crate) fn answer(&self, thinks: bool) -> Cow<'_, str> {
        match self.begins {
            Some(0) if !thinks => Cow::Borrowed(&self.text),
            Some(0) => Cow::Owned(format!("<think>{}", self.text)),
            Some(begins) => Cow::Borrowed(&self.text[begins..]),
            None => Cow::Owned(format!("<think>{}", self.text)),
        }
    }

    /// What is drawn next; `None` where it is complete.
    pub(crate) fn next(&self) -> Option<Draw> {
        match &self.state {
            State::Thinking { forcing, left, .. } => Some(Draw {
                max_tokens: *left,
                stop: Some(forcing.end.clone()),
            }),
            State::Answering => Some(Draw {
                max_tokens: self.max_tokens,
                stop: None,
            }),
            State::Done(_) | State::Failed => None,
        }
    }

    /// Adds what was drawn. Thinking ends, whether the model put its delimiter or
    /// its end token; as s1 does, both count as the end of thinking.
    pub(crate) fn push(&mut self, piece: Piece) {
        self.text += &piece.text;
        self.tokens += piece.tokens;
        self.pieces += 1;
        match &mut self.state {
            State::Thinking {
                forcing,
                left,
                waits,
            } => {
                // Before the cap only the model's context can have ended it.
                let is_full = piece.finish == Finish::Length && (1..*left).contains(&piece.tokens);
                *left = left.saturating_sub(piece.tokens);
                let goes_on = piece.finish == Finish::Stop && *waits > 0 && *left > 0;
                if is_full {
                    self.state = State::Done(Finish::Length);
                } else if goes_on {
                    *waits -= 1;
                    self.text += &forcing.wait_text;
                } else {
                    self.text += &forcing.end;
                    self.begins = Some(self.text.len());
                    self.state = State::Answering;
                }
            }
            State::Answering => self.state = State::Done(piece.finish),
            State::Done(_) | State::Failed => {}
        }
    }

    /// Ends it as it is: there is no room for more.
    pub(crate) fn cut(&mut self) {
        self.state = State::Done(Finish::Length);
    }

    /// Gives it up: what it has of a text is no answer.
    pub(crate) fn fail(&mut self) {
        self.state = State::Failed;
        self.text.clear();
        self.tokens = 0;
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// Why it ended; [`Finish::Length`] where it has not.
    pub(crate) fn finish(&self) -> Finish {
        match self.state {
            State::Done(finish) => finish,
            _ => Finish::Length,
        }
    }

    /// Whether there was no room for more of it.
    pub(crate) fn is_cut(&self) -> bool {
        !self.is_failed() && self.finish() == Finish::Length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, tokens: usize, finish: Finish) -> Piece {
        let text = text.to_owned();
        Piece {
            text,
            tokens,
            finish,
        }
    }

    fn forcing(thinking_tokens: usize, wait: usize) -> Forcing {
        Forcing {
            thinking_tokens: Some(thinking_tokens),
            wait,
            end: "</think>".to_owned(),
            wait_text: "Wait".to_owned(),
        }
    }

    fn draws(attempt: &Attempt) -> (usize, bool) {
        let draw = attempt.next().unwrap();
        (draw.max_tokens, draw.stop.is_some())
    }

    #[test]
    fn without_forcing_an_answer_is_one_piece() {
        let mut attempt = Attempt::new(9, None);
        assert_eq!(draws(&attempt), (9, false));
        attempt.push(piece("42", 2, Finish::Stop));
        assert_eq!(attempt.next(), None);
        assert_eq!((attempt.text.as_str(), attempt.tokens), ("42", 2));
        assert_eq!(attempt.answer(false), "42");
        assert_eq!(attempt.answer(true), "<think>42");
    }

    #[test]
    fn thinking_that_reaches_the_cap_is_ended_and_the_answer_drawn() {
        let mut attempt = Attempt::new(9, Some(&forcing(5, 3)));
        assert_eq!(draws(&attempt), (5, true));
        attempt.push(piece("hm hm", 5, Finish::Length));
        assert_eq!(draws(&attempt), (9, false));
        attempt.push(piece("42", 2, Finish::Stop));
        assert_eq!(attempt.text, "hm hm</think>42");
        assert_eq!(attempt.answer(true), "42");
        assert!(attempt.is_done());
    }

    #[test]
    fn thinking_that_fills_the_context_before_its_cap_gets_no_answer() {
        let mut attempt = Attempt::new(9, Some(&forcing(50, 3)));
        attempt.push(piece("hm hm", 5, Finish::Length));
        assert!(attempt.is_done());
        assert_eq!(
            (attempt.text.as_str(), attempt.finish()),
            ("hm hm", Finish::Length)
        );
        assert_eq!(attempt.answer(false), "<think>hm hm");
    }

    #[test]
    fn thinking_goes_on_as_often_as_it_is_told_within_one_cap() {
        let mut attempt = Attempt::new(9, Some(&forcing(10, 2)));
        attempt.push(piece("a.", 4, Finish::Stop));
        assert_eq!(draws(&attempt), (6, true));
        attempt.push(piece(" b.", 3, Finish::Stop));
        assert_eq!(draws(&attempt), (3, true));
        attempt.push(piece(" c.", 2, Finish::Stop));
        assert_eq!(draws(&attempt), (9, false));
        attempt.push(piece("42", 1, Finish::Length));
        assert_eq!(attempt.text, "a.Wait b.Wait c.</think>42");
        assert_eq!((attempt.tokens, attempt.finish()), (10, Finish::Length));
    }
}
