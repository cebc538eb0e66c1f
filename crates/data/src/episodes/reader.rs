//! Reads episodes from whatever kind of file there is.

use std::fs::File;
use std::path::Path;

use iwsft_files::Looks;

use super::EpisodeError;
use super::columns::{EpisodeColumns, Tail};
use super::hdf5::{Hdf5, is_hdf5};
use super::minari::Minari;
use super::npz::Npz;
use super::steps::Episodes;
use super::table::Table;

/// Reads all episodes of a file or a Minari folder.
///
/// # Errors
/// See [`EpisodeError`]; nothing is returned of a file that is damaged
/// somewhere.
pub fn read_episodes(
    path: &Path,
    columns: &EpisodeColumns,
    tail: Tail,
) -> Result<Episodes, EpisodeError> {
    let mut reader = EpisodeReader::open(path, columns, tail)?;
    let mut all = Episodes::with_infos(
        reader.observation_size(),
        reader.action_size(),
        &columns.infos,
    );
    for some in &mut reader {
        all.append(&some?);
    }
    all.set_left_out(reader.dropped());
    Ok(all)
}

/// Streams the episodes of a file: each item holds the next ones, at least
/// one, in order. An error ends it.
///
/// Of a table it holds 4 MiB of numbers (or one row, where that is larger) and
/// what it takes to decode them, the rows of a chunk for each column of an HDF5
/// file, and the steps of the episode that is not over yet. Of a Minari folder it holds one episode, and where each
/// begins in the file.
pub struct EpisodeReader {
    from: From,
    over: bool,
}

enum From {
    Table(Box<Table>),
    Minari(Box<Minari>),
}

impl EpisodeReader {
    /// Opens a file or a folder; see [`crate::episodes`].
    ///
    /// # Errors
    /// See [`EpisodeError`].
    pub fn open(path: &Path, columns: &EpisodeColumns, tail: Tail) -> Result<Self, EpisodeError> {
        let table = |file| Table::open(path, file, columns, tail).map(Box::new);
        let from = match Kind::of(path)? {
            Kind::Folder => From::Minari(Box::new(Minari::open_folder(path, columns)?)),
            Kind::Npz => From::Table(table(&Npz::open(path)?)?),
            Kind::Hdf5 => {
                let file = Hdf5::open(path)?;
                if Minari::is_layout_of(&file)? {
                    From::Minari(Box::new(Minari::open(path, &file, columns)?))
                } else {
                    From::Table(table(&file)?)
                }
            }
        };
        Ok(Self { from, over: false })
    }

    /// Numbers in an observation.
    pub fn observation_size(&self) -> usize {
        match &self.from {
            From::Table(table) => table.observation_size(),
            From::Minari(minari) => minari.observation_size(),
        }
    }

    /// Numbers in an action.
    pub fn action_size(&self) -> usize {
        match &self.from {
            From::Table(table) => table.action_size(),
            From::Minari(minari) => minari.action_size(),
        }
    }

    /// Steps left out so far because their episode had no end ([`Tail::Drop`]).
    pub fn dropped(&self) -> usize {
        match &self.from {
            From::Table(table) => table.dropped(),
            From::Minari(_) => 0,
        }
    }
}

impl Iterator for EpisodeReader {
    type Item = Result<Episodes, EpisodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = match &mut self.from {
            From::Table(table) => table.next(),
            From::Minari(minari) => minari.next(),
        };
        self.over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

enum Kind {
    Hdf5,
    Folder,
    Npz,
}

impl Kind {
    /// What the first bytes say.
    fn of(path: &Path) -> Result<Self, EpisodeError> {
        let open_error = |reason| EpisodeError::Open {
            path: path.to_owned(),
            reason,
        };
        if std::fs::metadata(path).map_err(open_error)?.is_dir() {
            return Ok(Kind::Folder);
        }
        File::open(path).map_err(open_error)?;
        let found = match Looks::of_file(path) {
            Some(Looks::Zip) => return Ok(Kind::Npz),
            _ if is_hdf5(path) => return Ok(Kind::Hdf5),
            Some(looks @ (Looks::Numpy | Looks::Parquet)) => looks.found(),
            Some(looks) => {
                return Err(EpisodeError::Disguised {
                    path: path.to_owned(),
                    looks,
                });
            }
            None => "is none of the formats of episodes",
        };
        Err(EpisodeError::Format {
            path: path.to_owned(),
            found: found.to_owned(),
        })
    }
}
