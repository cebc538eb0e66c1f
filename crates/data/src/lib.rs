//! Curated trajectories: rows are read from files, encoded, filtered, put into
//! an order, and packed into micro-batches. Recorded episodes of a continuous
//! policy have formats of their own: see [`episodes`].
//!
//! # Files
//! `.jsonl` has one JSON object a line, `.json` one list of objects, both also
//! as `.jsonl.gz` and `.json.gz`; `.parquet` has the same columns, and so has
//! `.csv`, where all values are text. Text is UTF-8. A row has its text in one of three forms:
//!
//! ```json
//! {"messages": [{"role": "user", "content": "2 + 2?"},
//!               {"role": "assistant", "content": "4", "weight": 0.5}]}
//! {"prompt": "2 + 2 =", "completion": " 4"}
//! {"prompt": [{"role": "user", "content": "2 + 2?"}],
//!  "completion": [{"role": "assistant", "content": "4"}]}
//! {"text": "Once upon a time there was a fox."}
//! ```
//!
//! (On one line each, in JSONL.) Loss is on the assistant's messages, on the
//! completion, or on the whole text. A message has a `role` and `content` (or
//! `tool_calls`); whatever else it has goes to the chat template, except its
//! `weight`, a factor on the loss of its tokens. Beside the text a row may
//! have:
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `reward` | number or bool | how well it did; rows are selected by it |
//! | `score` | number >= 0 | quality, in proportion to which rows are drawn or weighted |
//! | `weight` | number >= 0 | factor on the row's loss, 1 by default |
//! | `ref_log_probs` | list of numbers | log pi_ref of each token that carries loss |
//! | `completion_tokens` | list of numbers | the completion's tokens as they were drawn, beside `prompt` and `completion` |
//! | `tools` | list | functions, for the chat template |
//! | `id` | string or number | the row's name |
//!
//! Null counts as absent, and other columns are ignored. Where a file names
//! its columns otherwise, [`Columns`] says how:
//! `columns = { prompt = "problem", reward = "correct" }`; naming a column of
//! one form of text also settles which form is meant, where a file has more
//! than one, and `score = ""` ignores a column of that name.
//!
//! A row that is not as described is refused with file and line, what was
//! found, what was expected, and what to do: see [`DataError`].
//!
//! # From file to micro-batch
//! [`read`] streams [`Row`]s; [`Dataset::build`] encodes them (the caller
//! brings tokenizer and template) under [`Rules`] and says in a [`Report`]
//! what became of them; [`Mixture::load`] does both for several [`Source`]s;
//! [`EpochOrder`] shuffles, mixes and draws by quality, reproducibly; [`pack`]
//! fills micro-batches.
//!
//! Which rows are worth keeping in the first place is for [`curation`]: rules
//! over graded rows, before training; [`RowWriter`] writes what they leave.
//!
//! ```
//! use std::{convert::Infallible, path::Path};
//! use iwsft_data::{Columns, Dataset, Encoded, EpochOrder, Mixture, Rules, read};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = &folder.path().join("answers.jsonl");
//! # std::fs::write(path, "{\"text\": \"one\"}\n{\"text\": \"three\"}\n")?;
//! let rows = read(path, &Columns::default())?;
//! let (dataset, report) = Dataset::build(
//!     path,
//!     rows,
//!     |row| {
//!         // One token a byte of the row, all with loss (but the first).
//!         let tokens: Vec<u32> = format!("{:?}", row.content).bytes().map(u32::from).collect();
//!         Ok::<_, Infallible>(Encoded {
//!             step_weight: vec![1.0; tokens.len()],
//!             tokens,
//!             ..Encoded::default()
//!         })
//!     },
//!     &Rules::default(),
//! )?;
//! println!("{report}");
//!
//! let order = EpochOrder::new(Mixture::whole(dataset.len()), None, 42)?;
//! let lengths: Vec<_> = order.epoch(0).iter().map(|&i| (i, dataset.length(i))).collect();
//! let batches = iwsft_data::pack(&lengths, 4096);
//! assert_eq!(batches.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alpaca;
mod arrow_value;
mod column_type;
mod columns;
mod csv_rows;
pub mod curation;
mod encode;
pub mod episodes;
mod epoch;
mod error;
mod findings;
mod form;
mod json_lines;
mod json_list;
mod json_text;
mod message;
mod mixture;
mod object;
mod pack;
mod parquet_pages;
mod parquet_rows;
mod parquet_writer;
mod reader;
mod report;
mod row;
mod template;
mod trajectory;
mod writer;

pub use columns::Columns;
pub use encode::{EmptyMask, Rules, TooLong, Unlearnable};
pub use epoch::EpochOrder;
pub use error::DataError;
pub use findings::Findings;
pub use form::Form;
pub use json_text::{MAX_DEPTH, MAX_ROW_BYTES, MAX_ROW_VALUES};
pub use message::{Message, Text};
pub use mixture::{Mixture, Pool, Source};
pub use object::Object;
pub use pack::{MicroBatch, pack};
pub use reader::{Objects, Rows, read, read_objects};
pub use report::{LISTED, Report};
pub use row::{Content, Location, Row};
pub use template::{Template, TemplateError};
pub use trajectory::{Dataset, Encoded, Trajectory};
pub use writer::RowWriter;
