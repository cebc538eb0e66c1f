//! A program of the user's that grades: rows go in as lines of JSON, rewards
//! come out as lines, in the same order.
//!
//! The program may answer each row at once or read them all first: a thread
//! writes the rows, another one reads the answers, and rows wait for theirs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use iwsft_data::Object;
use serde_json::Value;

use super::rows::Row;
use crate::interrupt::children::Followed;
use crate::mistake::Mistake;

/// Rows that are on their way to the program.
const AHEAD: usize = 16;

/// Time between looks for answers while the program takes no row.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Bytes of what the program said last that are shown in an error.
const LAST_WORDS: usize = 1000;

/// Longest answer, in bytes.
const MOST_LINE: u64 = 16 << 20;

/// A running program.
pub(super) struct Program {
    command: String,
    child: Child,
    /// Ends the program with all that it has started.
    followed: Option<Followed>,
    /// Lines for the program; gone once there are no more.
    rows: Option<SyncSender<String>>,
    answers: Receiver<std::io::Result<String>>,
    last_words: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
    limit: Duration,
    reward: String,
    /// Rows that the program was given, those it answered, and when it last
    /// took or gave one.
    waiting: VecDeque<Row>,
    answered: u64,
    active: Instant,
}

impl Program {
    /// Starts the program. `limit` is how long it may be silent; the reward of
    /// its answers goes to column `reward`.
    pub(super) fn start(command: &str, limit: Duration, reward: &str) -> anyhow::Result<Self> {
        let mistake = |reason: String| Mistake::new(format!("--command `{command}`: {reason}"));
        let words = shell_words::split(command).map_err(|error| mistake(error.to_string()))?;
        let Some((name, arguments)) = words.split_first() else {
            return Err(mistake("is empty; give a program to run".to_owned()).into());
        };
        let mut program = Command::new(name);
        program
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (mut child, followed) = Followed::spawn_group(&mut program)
            .map_err(|error| mistake(format!("cannot start `{name}`: {error}")))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(anyhow::anyhow!("the program has no standard streams"));
        };
        let (rows, to_write) = sync_channel::<String>(AHEAD);
        thread::spawn(move || write(stdin, to_write));
        let (send, answers) = channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            while let Some(line) = read_line(&mut stdout) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let words = last_words.clone();
        let listener = thread::spawn(move || listen(stderr, &words));
        Ok(Self {
            command: command.to_owned(),
            child,
            followed: Some(followed),
            rows: Some(rows),
            answers,
            last_words,
            listener,
            limit,
            reward: reward.to_owned(),
            waiting: VecDeque::new(),
            answered: 0,
            active: Instant::now(),
        })
    }

    /// Has all rows graded; `finish` takes each with the columns of its answer,
    /// in order.
    pub(super) fn grade(
        &mut self,
        rows: impl Iterator<Item = anyhow::Result<Row>>,
        mut finish: impl FnMut(Row, Object) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for row in rows {
            let row = row?;
            let mut line = serde_json::to_string(&row.object)?;
            line.push('\n');
            self.waiting.push_back(row);
            while let Some(refused) = self.offer(line)? {
                line = refused;
                self.answer(LOOK_EVERY, &mut finish)?;
            }
            while self.answer(Duration::ZERO, &mut finish)? {}
        }
        self.rows = None; // ends the program's standard input
        while !self.waiting.is_empty() {
            self.answer(self.limit, &mut finish)?;
        }
        self.end()
    }

    /// Rows that have their answers.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Gives a line to the writer, or gives it back where that has enough.
    fn offer(&mut self, line: String) -> anyhow::Result<Option<String>> {
        let Some(rows) = &self.rows else {
            return Ok(None);
        };
        match rows.try_send(line) {
            Ok(()) => {
                self.active = Instant::now();
                Ok(None)
            }
            Err(TrySendError::Full(line)) => Ok(Some(line)),
            // The program reads no more; it may still answer what it has read.
            Err(TrySendError::Disconnected(_)) => {
                self.rows = None;
                Ok(None)
            }
        }
    }

    /// Takes an answer, if one comes within `time`.
    fn answer(
        &mut self,
        time: Duration,
        finish: &mut impl FnMut(Row, Object) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let left = self.limit.saturating_sub(self.active.elapsed());
        let line = match self.answers.recv_timeout(time.min(left)) {
            Ok(line) => line?,
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended_early()),
            Err(RecvTimeoutError::Timeout) if left > time => return Ok(false),
            Err(RecvTimeoutError::Timeout) => {
                let (answered, limit) = (self.answered, self.limit.as_secs_f64());
                return Err(self.mistake(&format!(
                    "was silent for {limit} s behind line {answered}; --time-limit allows more. \
                     A program that keeps its output back must flush it after each line"
                )));
            }
        };
        self.active = Instant::now();
        let number = self.answered + 1;
        let columns = match columns(&line, &self.reward) {
            Ok(columns) => columns,
            Err(reason) => {
                return Err(self.mistake(&format!(
                    "line {number} of its output {reason}; expected a number, true or false, or \
                     an object with `reward`"
                )));
            }
        };
        let Some(row) = self.waiting.pop_front() else {
            return Err(self.mistake(&format!(
                "wrote more lines than it was given rows: line {number}"
            )));
        };
        self.answered = number;
        finish(row, columns)?;
        Ok(true)
    }

    /// Waits for the end, which must come with nothing more to say.
    fn end(&mut self) -> anyhow::Result<()> {
        match self.answers.recv_timeout(self.limit) {
            Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                let limit = self.limit.as_secs_f64();
                return Err(self.mistake(&format!("did not end within {limit} s of its input")));
            }
            Ok(_) => {
                let rows = self.answered;
                return Err(
                    self.mistake(&format!("wrote more lines than it was given rows: {rows}"))
                );
            }
        }
        // Whoever closes its output may live on.
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if begun.elapsed() >= self.limit {
                return Err(self.mistake(&format!(
                    "closed its output and did not end within {} s; --time-limit allows more",
                    self.limit.as_secs_f64()
                )));
            }
            thread::sleep(LOOK_EVERY);
        };
        match status.success() {
            true => Ok(()),
            false => Err(self.mistake(&format!("answered all rows and then failed with {status}"))),
        }
    }

    fn ended_early(&mut self) -> anyhow::Error {
        // Whoever closes its output may live on, and what it says last may
        // take a moment to arrive.
        let start = Instant::now();
        let mut status = None;
        while start.elapsed() < Duration::from_secs(1) {
            status = self.child.try_wait().ok().flatten();
            if status.is_some() && self.listener.is_finished() {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        let how = match status {
            Some(status) => format!("ended with {status}"),
            None => "closed its output".to_owned(),
        };
        let (answered, given) = (self.answered, self.answered + self.waiting.len() as u64);
        self.mistake(&format!(
            "{how} behind line {answered}, with {given} rows given"
        ))
    }

    /// An error with the program's last words.
    fn mistake(&self, what: &str) -> anyhow::Error {
        let words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let words = String::from_utf8_lossy(&words);
        let words = match words.trim() {
            "" => String::new(),
            words => format!(". It said last:\n{words}"),
        };
        Mistake::new(format!("--command `{}` {what}{words}", self.command)).into()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing to do where it has ended already.
        let _ = self.child.kill();
        self.followed = None;
        let _ = self.child.wait();
    }
}

/// Writes lines until there are no more, or nobody reads them.
fn write(to: ChildStdin, lines: Receiver<String>) {
    let mut to = BufWriter::new(to);
    while let Ok(line) = lines.recv() {
        let mut result = to.write_all(line.as_bytes());
        // Whatever is ready goes out together.
        while let (Ok(()), Ok(line)) = (&result, lines.try_recv()) {
            result = to.write_all(line.as_bytes());
        }
        if result.and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

/// The next line, without its end; `None` at the end.
fn read_line(from: &mut impl BufRead) -> Option<std::io::Result<String>> {
    let mut line = Vec::new();
    match from.take(MOST_LINE).read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) => Some(Ok(String::from_utf8_lossy(&line).trim().to_owned())),
        Err(error) => Some(Err(error)),
    }
}

/// Keeps the end of what comes from `from`.
fn listen(mut from: impl Read, words: &Mutex<Vec<u8>>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&piece[..length]);
        let excess = words.len().saturating_sub(LAST_WORDS);
        words.drain(..excess);
    }
}

/// The columns that an answer adds, the reward under its name; or what is wrong.
fn columns(line: &str, reward: &str) -> Result<Object, String> {
    let shown: String = line.chars().take(60).collect();
    let value: Value =
        serde_json::from_str(line).map_err(|_| format!("is no JSON value: `{shown}`"))?;
    let as_reward = |value: &Value| match value {
        Value::Bool(right) => Some(Value::from(u8::from(*right))),
        Value::Number(_) => Some(value.clone()),
        _ => None,
    };
    if value.is_object() {
        let mut columns: Object =
            serde_json::from_str(line).map_err(|_| format!("is no JSON value: `{shown}`"))?;
        let Some(given) = columns.remove("reward") else {
            return Err(format!("is an object without `reward`: `{shown}`"));
        };
        let given = as_reward(&given).ok_or_else(|| format!("has a `reward` of {given}"))?;
        columns.insert(reward, given);
        return Ok(columns);
    }
    let given = as_reward(&value).ok_or_else(|| format!("is no reward: `{shown}`"))?;
    let mut columns = Object::default();
    columns.insert(reward, given);
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_numbers_bools_or_objects_with_a_reward() {
        let read = |line| columns(line, "r").map(|columns| Value::Object(columns.into_values()));
        assert_eq!(read("0.5"), Ok(json!({"r": 0.5})));
        assert_eq!(read("true"), Ok(json!({"r": 1})));
        assert_eq!(
            read(r#"{"reward": false, "score": 2, "note": "no"}"#),
            Ok(json!({"score": 2, "note": "no", "r": 0}))
        );
        for wrong in [
            "",
            "right",
            "NaN",
            "1e999",
            "null",
            "[1]",
            "{}",
            r#"{"reward": "1"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
