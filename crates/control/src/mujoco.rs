//! MuJoCo's robots: a physics library that is found when the program runs.
//!
//! Nothing is linked. [`library`] looks for `libmujoco` once, and what needs it
//! says how to install it where it is missing.

mod camera;
mod limbs;
mod locomotion;
mod offscreen;
mod search;
mod simulation;

use std::path::PathBuf;
use std::sync::OnceLock;

pub use camera::Camera;
pub(crate) use locomotion::{Locomotion, Robot, Rules};
pub use simulation::Library;

/// The version that results are to be made with. Contacts are chaotic: another
/// version gives other numbers after some dozens of steps.
pub const MUJOCO_VERSION: &str = "4.0.0";

/// Installs [`MUJOCO_VERSION`], into a virtual environment or for the user.
pub const MUJOCO_INSTALL: &str = "pip install mujoco==4.0.0";

/// Why MuJoCo cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MujocoError {
    /// There is no library where one was looked for.
    #[error(
        "its library was not found. Searched: {searched}. \
         Install it with `{MUJOCO_INSTALL}`, or set LIBMUJOCO to the library's path"
    )]
    NotFound {
        /// The places, separated by commas.
        searched: String,
    },
    /// A file is no library of MuJoCo's, or cannot be loaded.
    #[error("{path}: cannot be loaded as MuJoCo's library: {reason}", path = path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
    /// The library is older than everything that is used of it.
    #[error(
        "{path}: MuJoCo {version} is too old; 3.2.0 is the oldest that works. \
         Install another with `{MUJOCO_INSTALL}`",
        path = path.display()
    )]
    TooOld {
        /// The library.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The library does not make of a model what it should.
    #[error("MuJoCo {version} cannot use the model {model}: {reason}")]
    Model {
        /// The library's version.
        version: String,
        /// The model's file.
        model: &'static str,
        /// The library's reason.
        reason: String,
    },
    /// Where the library keeps contact forces is not known.
    #[error(
        "contact forces cannot be read from MuJoCo {version}, only from {known}. \
         Install {MUJOCO_VERSION} with `{MUJOCO_INSTALL}`, or use the version v4 of the task"
    )]
    ContactForces {
        /// The library's version.
        version: String,
        /// The versions that they can be read from.
        known: String,
    },
    /// Its renderer cannot draw here.
    #[error(
        "its renderer needs OpenGL without a screen. {reason}. Install EGL (Debian's \
         `libegl1`), or OSMesa (`libosmesa6`) and set MUJOCO_GL=osmesa, or let the \
         picture's name end in .svg"
    )]
    Renderer {
        /// What was tried.
        reason: String,
    },
}

/// The library, searched for and loaded once.
///
/// # Errors
/// If there is none, or it cannot be used.
pub fn library() -> Result<&'static Library, MujocoError> {
    static LIBRARY: OnceLock<Result<Library, MujocoError>> = OnceLock::new();
    LIBRARY
        .get_or_init(search::find)
        .as_ref()
        .map_err(MujocoError::clone)
}
