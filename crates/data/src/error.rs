//! Everything that can be wrong with data, each with where, what and what to do.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use iwsft_files::Looks;
use iwsft_objective::ResampleError;

use crate::row::Location;

/// Why rows could not be read, or did not become trajectories.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file does not exist or may not be read.
    #[error("{}: cannot be opened ({reason}); check the path", path.display())]
    Open {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The path is a folder.
    #[error("{}: is a folder, expected a file; list the files in it one by one", path.display())]
    Folder {
        /// The path asked for.
        path: PathBuf,
    },
    /// The file is something else than its name says.
    #[error("{}: {looks}", path.display())]
    Disguised {
        /// The file asked for.
        path: PathBuf,
        /// What it is.
        looks: Looks,
    },
    /// The name ends in `.gz`, and the content is not compressed.
    #[error(
        "{}: is not compressed with gzip, as the name says; leave out the .gz, or compress it",
        path.display()
    )]
    NotPacked {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file's name does not say which format it has.
    #[error(
        "{}: the name has {found}, expected .jsonl, .json, .csv, one of these with .gz, or .parquet; \
         rename or convert the file",
        path.display()
    )]
    Extension {
        /// The file asked for.
        path: PathBuf,
        /// "the extension .txt", or "no extension".
        found: String,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written ({reason})", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The file's name asks for a format that is only read.
    #[error(
        "{}: this format is only read; name the output .jsonl, .jsonl.gz or .parquet",
        path.display()
    )]
    NotWritten {
        /// The file asked for.
        path: PathBuf,
    },
    /// A value cannot go into the Parquet column of the rows before it.
    #[error(
        "{at}: `{column}` is {found}, expected {expected}: a Parquet column has one type; \
         correct the value, or name the output .jsonl, which takes any"
    )]
    MixedColumn {
        /// The row, counted from 1 as rows are written.
        at: Location,
        /// The column, with the path inside it: `messages[].content`.
        column: String,
        /// The value that does not fit.
        found: String,
        /// What the rows before have.
        expected: String,
    },
    /// There is no row in the file.
    #[error("{}: holds no rows, expected at least one; remove it from the recipe or fill it", path.display())]
    NoRows {
        /// The empty file.
        path: PathBuf,
    },
    /// Reading stopped half-way.
    #[error(
        "{at}: cannot be read further ({reason}); the file may be cut off or damaged, fetch it again"
    )]
    Read {
        /// The line at which reading stopped.
        at: Location,
        /// What the operating system or the decompressor said.
        reason: io::Error,
    },
    /// A line is not text.
    #[error("{at}: byte {byte} of the row is not UTF-8; save the file as UTF-8 text")]
    NotUtf8 {
        /// The row.
        at: Location,
        /// Offset of the first offending byte, from 1.
        byte: usize,
    },
    /// A row is so long that it cannot be one.
    #[error("{at}: the row is longer than {limit} bytes; a line break may be missing")]
    RowTooLong {
        /// The row.
        at: Location,
        /// The longest row accepted, in bytes.
        limit: usize,
    },
    /// A row has so many values that it cannot be one.
    #[error(
        "{at}: the row has more than {limit} values, so many are not read; split the row, or \
         write it anew if it should be smaller"
    )]
    TooManyValues {
        /// The row.
        at: Location,
        /// The most values accepted.
        limit: usize,
    },
    /// A row has lists and objects inside of each other that could not be read again.
    #[error(
        "{at}: `{column}` has lists and objects inside of each other, {depth} deep; at most \
         {limit} are read again: flatten it, or keep it as text"
    )]
    TooDeep {
        /// The row.
        at: Location,
        /// The column.
        column: String,
        /// How deep it goes, the row counted.
        depth: usize,
        /// The deepest accepted.
        limit: usize,
    },
    /// A text has half a character.
    #[error(
        "{at}: `{found}` at column {column} is half a character: UTF-16 writes one in two halves, \
         and the other one is missing, as where a text was cut; write the text again, or remove \
         the escape"
    )]
    HalfCharacter {
        /// The line of the fault.
        at: Location,
        /// The column of the fault, in bytes from 1.
        column: usize,
        /// The escape: `\ud83d`.
        found: String,
    },
    /// A row is not JSON.
    #[error("{at}: broken JSON at column {column} ({reason}); correct or remove the row")]
    Json {
        /// The line of the fault.
        at: Location,
        /// The column of the fault, in bytes from 1.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// A `.json` file is not a list of rows.
    #[error(
        "{at}: the file starts with {found}, expected `[`, a list of rows; \
         if it has one object a line, name it .jsonl"
    )]
    NotAList {
        /// The first thing in the file.
        at: Location,
        /// What stands there.
        found: String,
    },
    /// A row is JSON, but no object.
    #[error("{at}: the row is {found}, expected an object such as {{\"text\": \"...\"}}")]
    NotAnObject {
        /// The row.
        at: Location,
        /// What the row is.
        found: String,
    },
    /// A Parquet file is damaged or uses something unsupported.
    #[error(
        "{at}: not readable as Parquet ({reason}); write the file again, or convert it to .jsonl"
    )]
    Parquet {
        /// The row at which reading stopped.
        at: Location,
        /// What the decoder said.
        reason: String,
    },
    /// A column of JSON has a text that is none.
    #[error(
        "{at}: `{column}` is a column of JSON by its type, but not JSON ({reason}); correct the \
         value, or write the column as text"
    )]
    JsonColumn {
        /// The row.
        at: Location,
        /// The column, with the path inside it.
        column: String,
        /// What the parser expected.
        reason: String,
    },
    /// A CSV file is damaged, or its rows are not all alike.
    #[error("{at}: not readable as CSV ({reason}); correct the row, or convert the file to .jsonl")]
    Csv {
        /// The row at which reading stopped.
        at: Location,
        /// What is wrong.
        reason: String,
    },
    /// A column holds a value of another type than it must.
    #[error(
        "{at}: `{column}` is {found}, expected {expected}; correct the value, or say in `columns` \
         which column to read instead (\"\" for none)"
    )]
    WrongType {
        /// The row.
        at: Location,
        /// The column, with the path inside it: `messages[2].content`.
        column: String,
        /// The type found, with the value where it is short.
        found: String,
        /// The types accepted.
        expected: &'static str,
    },
    /// A number is NaN, infinite, or too large for 32 bits.
    #[error(
        "{at}: `{column}` is {found}, expected a finite number; correct it, or leave it out \
         (null) where it is unknown"
    )]
    NotFinite {
        /// The row.
        at: Location,
        /// The column, as far as it is known.
        column: String,
        /// The number as written.
        found: String,
    },
    /// A score or a weight is below zero.
    #[error(
        "{at}: `{column}` is {found}, expected a number of at least 0; shift or clip the values first"
    )]
    Negative {
        /// The row.
        at: Location,
        /// The column, with the path inside it.
        column: String,
        /// The number found.
        found: f64,
    },
    /// One row holds its text in two forms.
    #[error(
        "{at}: has both `{first}` and `{second}`, expected one form of text; say which to use \
         with columns = {{ {form} = \"{first}\" }}"
    )]
    TwoForms {
        /// The row.
        at: Location,
        /// What `columns` calls the first column.
        form: &'static str,
        /// A column of one form.
        first: String,
        /// A column of another form.
        second: String,
    },
    /// A row holds no text at all.
    #[error("{at}: has none of {expected} (its columns: {found}); {remedy}")]
    NoText {
        /// The row.
        at: Location,
        /// The columns looked for.
        expected: String,
        /// The columns found.
        found: String,
        /// Which columns to name.
        remedy: String,
    },
    /// Two answers of which one is better.
    #[error(
        "{at}: has `chosen` and `rejected`, which is data for preference training (DPO); to learn \
         from the chosen answers, name them: columns = {remedy}"
    )]
    Preference {
        /// The row.
        at: Location,
        /// The columns to name.
        remedy: String,
    },
    /// Answers that may be bad ones.
    #[error(
        "{at}: `{column}` says whether the answer is a good one, as data for KTO have it; name it, \
         columns = {{ reward = \"{column}\" }}, and keep the good ones with min_reward = 1, or say \
         that it means something else: columns = {{ reward = \"\" }}"
    )]
    Label {
        /// The row.
        at: Location,
        /// The column with `true` and `false`.
        column: String,
    },
    /// A conversation that begins with one message of the system and has another.
    #[error(
        "{at}: `{column}` is another text than the conversation's first message, which is the \
         system's too; remove one, or do not read the column: columns = {{ system = \"\" }}"
    )]
    TwoSystems {
        /// The row.
        at: Location,
        /// The column beside the conversation.
        column: String,
    },
    /// A message whose speaker nobody knows.
    #[error(
        "{at}: `{message}` is from \"{found}\", expected human, gpt, system, tool, function_call, \
         observation or another usual name; rename it in the file"
    )]
    Speaker {
        /// The row.
        at: Location,
        /// The message: `conversations[2]`.
        message: String,
        /// The speaker.
        found: String,
    },
    /// Calls of functions that cannot be read.
    #[error(
        "{at}: `{message}` calls functions, and its text {reason}; expected JSON such as \
         {{\"name\": \"add\", \"arguments\": {{\"x\": 1}}}}"
    )]
    Calls {
        /// The row.
        at: Location,
        /// The message: `conversations[2]`.
        message: String,
        /// What is wrong.
        reason: String,
    },
    /// A prompt without its completion, or the reverse.
    #[error("{at}: has `{found}` but no `{missing}`, expected both; {remedy}")]
    HalfPair {
        /// The row.
        at: Location,
        /// The column that is there.
        found: String,
        /// The column that is not.
        missing: String,
        /// What to do.
        remedy: String,
    },
    /// A template names a column that a row cannot fill.
    #[error("{at}: the template: {reason}")]
    Template {
        /// The row.
        at: Location,
        /// What the row has instead.
        reason: String,
    },
    /// A list of messages is empty.
    #[error("{at}: `{column}` is an empty list, expected at least one message; remove the row")]
    NoMessages {
        /// The row.
        at: Location,
        /// The column.
        column: String,
    },
    /// A message lacks a field it must have.
    #[error(
        "{at}: `{message}` has no {missing} (its fields: {found}), expected a message such as \
         {{\"role\": \"user\", \"content\": \"...\"}}"
    )]
    MessageField {
        /// The row.
        at: Location,
        /// The message: `messages[2]`.
        message: String,
        /// The field or fields that are missing.
        missing: &'static str,
        /// The fields found.
        found: String,
    },
    /// Turning a row into tokens failed.
    #[error("{at}: the row cannot be turned into tokens: {reason}")]
    Encode {
        /// The row.
        at: Location,
        /// What the encoder said.
        reason: Box<dyn Error + Send + Sync>,
    },
    /// An encoder returned lists of different lengths.
    #[error(
        "{at}: {tokens} tokens but {weights} step weights, expected one weight a token; this is a fault of the encoder"
    )]
    Misaligned {
        /// The row.
        at: Location,
        /// Number of tokens.
        tokens: usize,
        /// Number of step weights.
        weights: usize,
    },
    /// A trajectory exceeds the longest length allowed.
    #[error(
        "{at}: {length} tokens, expected at most {max_length}; raise max_length, or set \
         too_long = \"drop\" or \"truncate\""
    )]
    TooLong {
        /// The row.
        at: Location,
        /// Its length in tokens.
        length: usize,
        /// The longest length allowed.
        max_length: usize,
    },
    /// What these rows want learnt is not all among their tokens.
    #[error(
        "{count} row(s) want learnt what does not get into their tokens{}\n\
         correct them, or set unlearnable = \"skip\" to leave them out",
        reasons(first, *count)
    )]
    Unlearnable {
        /// Number of such rows.
        count: usize,
        /// The first of them, and why.
        first: Vec<(Location, String)>,
    },
    /// No token of these rows carries loss.
    #[error(
        "{count} row(s) have no token that carries loss ({}); correct them, or set \
         empty_mask = \"skip\" to leave them out",
        listing(first, *count)
    )]
    EmptyMask {
        /// Number of such rows.
        count: usize,
        /// The first of them.
        first: Vec<Location>,
    },
    /// The last token that carries loss does not end the text.
    #[error(
        "{at}: the last token that carries loss is {found}, expected an end token ({expected:?}); \
         the text may be cut off: complete or remove the row, or ask for no end token (data.end_token)"
    )]
    NoEnd {
        /// The row.
        at: Location,
        /// The token found there.
        found: u32,
        /// The end tokens.
        expected: Vec<u32>,
    },
    /// Rows are selected by reward, and this one has none.
    #[error(
        "{at}: has no reward, expected one because min_reward = {min_reward}; add the column, or name it: columns = {{ reward = \"...\" }}"
    )]
    NoReward {
        /// The row.
        at: Location,
        /// The smallest reward kept.
        min_reward: f32,
    },
    /// Stored log-probabilities do not match the loss mask.
    #[error(
        "{at}: `ref_log_probs` has {found} numbers, expected {expected}, one for each token that \
         carries loss; compute them again with the same tokenizer and template, or drop the column"
    )]
    RefLogProbs {
        /// The row.
        at: Location,
        /// How many there are.
        found: usize,
        /// How many tokens carry loss.
        expected: usize,
    },
    /// The rules dropped every row.
    #[error("{}: none of the {rows_read} rows is left ({reasons}), expected at least one; relax the rules", path.display())]
    NothingKept {
        /// The file, or the first of them.
        path: PathBuf,
        /// Number of rows read.
        rows_read: usize,
        /// How many each rule dropped.
        reasons: String,
    },
    /// Data without a single source.
    #[error("no data file is named, expected at least one; add a source with its path")]
    NoSources,
    /// Some sources have a share and some have not.
    #[error(
        "{} has a share and {} has none; give every source a share, or none",
        with.display(), without.display()
    )]
    ShareMissing {
        /// A source with a share.
        with: PathBuf,
        /// A source without.
        without: PathBuf,
    },
    /// A share is not a positive number.
    #[error("{}: share = {found}, expected a number above 0; remove the source to leave it out", path.display())]
    Share {
        /// The source.
        path: PathBuf,
        /// Its share.
        found: f64,
    },
    /// Trajectories are drawn by quality, and this one has none.
    #[error(
        "{at}: has no {column}, expected one on every row, as trajectories are drawn by quality; \
         add the column, name it in `columns`, or turn quality off"
    )]
    NoQuality {
        /// The row.
        at: Location,
        /// "score", where any row has one; otherwise "reward".
        column: &'static str,
    },
    /// No trajectory of a source has a quality above 0.
    #[error(
        "trajectories {first} to {last} cannot be drawn by quality ({reason}); \
         expected a score or reward above 0 in every source with a share"
    )]
    Quality {
        /// First trajectory of the source.
        first: usize,
        /// Last trajectory of the source.
        last: usize,
        /// What is wrong.
        reason: ResampleError,
    },
}

/// "a.jsonl:3, a.jsonl:9 and 4 more"
fn listing(first: &[Location], count: usize) -> String {
    let mut listed = first
        .iter()
        .map(Location::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if count > first.len() {
        listed.push_str(&format!(" and {} more", count - first.len()));
    }
    listed
}

/// A line for each row, with the reason, behind a line break.
fn reasons(first: &[(Location, String)], count: usize) -> String {
    let mut lines: String = first
        .iter()
        .map(|(at, reason)| format!("\n  {at}: {reason}"))
        .collect();
    if count > first.len() {
        lines.push_str(&format!("\n  and {} more", count - first.len()));
    }
    lines
}
