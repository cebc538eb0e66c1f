//! Columns of numbers, and the table of steps that D4RL and `.npz` files are.

use std::path::{Path, PathBuf};

use super::EpisodeError;
use super::columns::{EpisodeColumns, Tail, Wanted};
use super::steps::{End, Episodes, Steps};

/// Bytes of numbers read in one go, over all columns.
const BLOCK_BYTES: usize = 4 << 20;

/// Numbers in a row that no observation has: more is a damaged header.
const MAX_WIDTH: u64 = 1 << 20;

/// Deflate makes at most 1032 bytes of one. A header that promises more
/// numbers than that is damaged, and would be read for ever.
pub(super) const MAX_EXPANSION: u64 = 1032;

/// A column of a file, read from the top down.
pub(super) struct Column {
    path: PathBuf,
    name: String,
    rows: u64,
    width: usize,
    /// Whether the shape is `[n]`, not `[n, k]`.
    is_flat: bool,
    next: u64,
    from: Box<dyn Numbers>,
}

/// Where a column's numbers come from.
pub(super) trait Numbers: Send {
    /// The numbers of the rows `from..from + count`, which follow the ones read
    /// before, or why they cannot be had.
    fn read(&mut self, from: u64, count: u64) -> Result<Vec<f32>, EpisodeError>;
}

impl Column {
    /// A column of this shape, in a file of `bytes` bytes.
    pub(super) fn new(
        path: &Path,
        name: &str,
        shape: &[u64],
        bytes: u64,
        from: Box<dyn Numbers>,
    ) -> Result<Self, EpisodeError> {
        let refuse = |expected: &str| {
            Err(EpisodeError::Shape {
                path: path.to_owned(),
                column: name.to_owned(),
                found: shape.to_vec(),
                expected: expected.to_owned(),
            })
        };
        let (rows, width) = match *shape {
            [rows] => (rows, 1),
            [rows, width] => (rows, width),
            _ => return refuse("[steps, numbers]; flatten each row"),
        };
        if width == 0 || width > MAX_WIDTH {
            return refuse("1 to 1048576 numbers in a row; the file may be damaged");
        }
        if rows.saturating_mul(width) > bytes.saturating_mul(MAX_EXPANSION) {
            return refuse("as many numbers as the file can hold; it is damaged");
        }
        Ok(Self {
            path: path.to_owned(),
            name: name.to_owned(),
            rows,
            width: width as usize,
            is_flat: shape.len() == 1,
            next: 0,
            from,
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Refuses a column of more than one number a row.
    pub(super) fn single(self) -> Result<Self, EpisodeError> {
        self.of_width(1, "[steps], one number a step")
    }

    /// Refuses a column that has not `width` numbers a row.
    pub(super) fn of_width(self, width: usize, expected: &str) -> Result<Self, EpisodeError> {
        if self.width == width {
            return Ok(self);
        }
        Err(EpisodeError::Shape {
            path: self.path,
            column: self.name,
            found: vec![self.rows, self.width as u64],
            expected: expected.to_owned(),
        })
    }

    /// Refuses a column that has not `rows` rows.
    pub(super) fn of_rows(self, rows: u64, why: &str) -> Result<Self, EpisodeError> {
        if self.rows == rows {
            return Ok(self);
        }
        Err(EpisodeError::Rows {
            path: self.path,
            column: self.name,
            found: self.rows,
            expected: rows,
            why: why.to_owned(),
        })
    }

    /// The numbers of the next `count` rows, or of those that are left.
    pub(super) fn read(&mut self, count: u64) -> Result<Vec<f32>, EpisodeError> {
        let count = count.min(self.rows - self.next);
        let numbers = self.from.read(self.next, count)?;
        if numbers.len() as u64 != count * self.width as u64 {
            return Err(EpisodeError::Damaged {
                path: self.path.clone(),
                place: format!("`{}`", self.name),
                reason: format!("{} numbers in {count} rows", numbers.len()),
            });
        }
        if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
            let (row, index) = (self.next + (at / self.width) as u64, at % self.width);
            return Err(EpisodeError::NotFinite {
                path: self.path.clone(),
                place: match self.is_flat {
                    true => format!("{}[{row}]", self.name),
                    false => format!("{}[{row}, {index}]", self.name),
                },
                found: numbers[at],
            });
        }
        self.next += count;
        Ok(numbers)
    }

    /// The next rows as bools.
    pub(super) fn read_flags(&mut self, count: u64) -> Result<Vec<bool>, EpisodeError> {
        let first = self.next;
        let numbers = self.read(count)?;
        if let Some(at) = numbers
            .iter()
            .position(|&number| number != 0.0 && number != 1.0)
        {
            return Err(EpisodeError::Flag {
                path: self.path.clone(),
                column: self.name.clone(),
                row: first + at as u64,
                found: numbers[at],
            });
        }
        Ok(numbers.into_iter().map(|number| number == 1.0).collect())
    }
}

/// A file's columns by name.
pub(super) trait ColumnFile {
    /// The column `name`, which `field` of [`EpisodeColumns`] asked for.
    ///
    /// # Errors
    /// [`EpisodeError::Missing`] if there is none.
    fn column(&self, name: &str, field: &'static str) -> Result<Column, EpisodeError>;

    /// The same, or none where it is optional and not there.
    fn optional(
        &self,
        wanted: Option<Wanted<'_>>,
        field: &'static str,
    ) -> Result<Option<Column>, EpisodeError> {
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        match self.column(wanted.name, field) {
            Err(EpisodeError::Missing { .. }) if !wanted.required => Ok(None),
            column => column.map(Some),
        }
    }
}

/// Episodes from a file that holds all steps in one table.
pub(super) struct Table {
    path: PathBuf,
    observations: Column,
    actions: Column,
    rewards: Column,
    terminals: Column,
    timeouts: Option<Column>,
    next_observations: Option<Column>,
    episode: Option<Column>,
    infos: Vec<Column>,
    info_names: Vec<String>,
    /// Rows in a block.
    block: u64,
    tail: Tail,
    pending: Pending,
    over: bool,
    dropped: usize,
    found_any: bool,
}

/// Steps read whose episode is not known to be over.
#[derive(Default)]
struct Pending {
    steps: Steps,
    /// What ends with each of them.
    ends: Vec<End>,
    /// The number in the column `episode` of the last of them.
    number: Option<f32>,
}

impl Table {
    pub(super) fn open(
        path: &Path,
        file: &dyn ColumnFile,
        columns: &EpisodeColumns,
        tail: Tail,
    ) -> Result<Self, EpisodeError> {
        let actions = file.column(columns.actions(), "actions")?;
        let n = actions.rows();
        let why = format!("as many as `{}`", columns.actions());
        let all = |column: Column| column.of_rows(n, &why);
        let one = |column: Column| all(column)?.single();

        let observations = all(file.column(columns.observations(), "observations")?)?;
        let o = observations.width();
        let like_observations = format!("[{n}, {o}], as `{}`", columns.observations());
        let next = file
            .optional(columns.next_observations(), "next_observations")?
            .map(|next| all(next)?.of_width(o, &like_observations))
            .transpose()?;
        let flag = |wanted, field| file.optional(wanted, field)?.map(one).transpose();
        let table = Self {
            path: path.to_owned(),
            rewards: one(file.column(columns.rewards(), "rewards")?)?,
            terminals: one(file.column(columns.terminals("terminals"), "terminals")?)?,
            timeouts: flag(columns.timeouts("timeouts"), "timeouts")?,
            episode: flag(columns.episode(), "episode")?,
            infos: columns
                .infos
                .iter()
                .map(|name| all(file.column(name, "infos")?))
                .collect::<Result<_, _>>()?,
            info_names: columns.infos.clone(),
            block: 0,
            tail,
            pending: Pending {
                steps: Steps {
                    infos: vec![Vec::new(); columns.infos.len()],
                    ..Steps::default()
                },
                ..Pending::default()
            },
            over: false,
            dropped: 0,
            found_any: false,
            next_observations: next,
            observations,
            actions,
        };
        if n == 0 {
            return Err(EpisodeError::NoSteps {
                path: path.to_owned(),
                place: "the file".to_owned(),
                remedy: "record some, or leave the file out",
            });
        }
        Ok(Self {
            block: (BLOCK_BYTES / (4 * table.row_width())).max(1) as u64,
            ..table
        })
    }

    pub(super) fn observation_size(&self) -> usize {
        self.observations.width()
    }

    pub(super) fn action_size(&self) -> usize {
        self.actions.width()
    }

    /// Steps left out at the end, known once all is read.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Numbers in a row of all columns.
    fn row_width(&self) -> usize {
        let infos: usize = self.infos.iter().map(Column::width).sum();
        2 * self.observation_size() + self.action_size() + infos + 4
    }

    /// The episodes that end in the next block, and so on until some do.
    pub(super) fn next(&mut self) -> Result<Option<Episodes>, EpisodeError> {
        while !self.over {
            self.read_block()?;
            let whole = self.cut();
            if !whole.is_empty() {
                self.found_any = true;
                return Ok(Some(whole));
            }
            if self.over && !self.found_any {
                return Err(EpisodeError::NoEpisodes {
                    path: self.path.clone(),
                    steps: self.dropped,
                });
            }
        }
        Ok(None)
    }

    fn read_block(&mut self) -> Result<(), EpisodeError> {
        let count = self.block;
        let steps = Steps {
            observations: self.observations.read(count)?,
            actions: self.actions.read(count)?,
            rewards: self.rewards.read(count)?,
            next_observations: match &mut self.next_observations {
                Some(column) => column.read(count)?,
                None => Vec::new(),
            },
            infos: self
                .infos
                .iter_mut()
                .map(|column| column.read(count))
                .collect::<Result<_, _>>()?,
        };
        let timeouts = match &mut self.timeouts {
            Some(column) => column.read_flags(count)?,
            None => vec![false; steps.rewards.len()],
        };
        let terminals = self.terminals.read_flags(count)?;
        let pending = &mut self.pending;
        let first = pending.ends.len();
        pending
            .ends
            .extend(terminals.into_iter().zip(timeouts).map(end_of));
        if let Some(column) = &mut self.episode {
            for (index, number) in column.read(count)?.into_iter().enumerate() {
                if pending.number.is_some_and(|before| before != number) {
                    // Where an earlier call cut behind that step, it is gone.
                    if let Some(before) = (first + index).checked_sub(1) {
                        time_out(&mut pending.ends[before]);
                    }
                }
                pending.number = Some(number);
            }
        }
        if first == 0 {
            pending.steps = steps;
        } else {
            pending.steps.extend(&steps);
        }
        self.over = self.actions.next == self.actions.rows;
        if self.over
            && self.episode.is_some()
            && let Some(last) = pending.ends.last_mut()
        {
            time_out(last);
        }
        Ok(())
    }

    /// Takes the episodes that are over out of the pending steps.
    fn cut(&mut self) -> Episodes {
        let none = Episodes::with_infos(
            self.observation_size(),
            self.action_size(),
            &self.info_names,
        );
        let ends = &mut self.pending.ends;
        let unfinished = |end: &End| *end == End::Unfinished;
        let mut count = ends.len() - ends.iter().rev().take_while(|end| unfinished(end)).count();
        if self.over && self.tail == Tail::Keep {
            count = ends.len();
        }
        if self.over {
            self.dropped = ends.len() - count;
        }
        let mut steps = self.pending.steps.take_first(count);
        let rest = ends.split_off(count);
        let ends = std::mem::replace(ends, rest);
        let cuts: Vec<_> = ends
            .iter()
            .enumerate()
            .filter(|(index, end)| !unfinished(end) || index + 1 == count)
            .map(|(index, &end)| (index + 1, end))
            .collect();
        if self.next_observations.is_none() {
            steps.next_observations =
                following(&steps.observations, none.observation_size(), &cuts);
        }
        none.of_steps(steps, &cuts)
    }
}

/// How an episode ends with a step of these flags.
pub(super) fn end_of((terminal, timeout): (bool, bool)) -> End {
    match (terminal, timeout) {
        (true, _) => End::Terminal,
        (false, true) => End::Timeout,
        (false, false) => End::Unfinished,
    }
}

fn time_out(end: &mut End) {
    if *end == End::Unfinished {
        *end = End::Timeout;
    }
}

/// The observation behind each step, from the one of the next step.
fn following(observations: &[f32], o: usize, cuts: &[(usize, End)]) -> Vec<f32> {
    let mut next = Vec::with_capacity(observations.len());
    let mut start = 0;
    for &(step, end) in cuts {
        next.extend_from_slice(&observations[(start + 1) * o..step * o]);
        match end {
            End::Terminal => next.extend_from_slice(&observations[(step - 1) * o..step * o]),
            End::Timeout | End::Unfinished => next.resize(step * o, f32::NAN),
        }
        start = step;
    }
    next
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
