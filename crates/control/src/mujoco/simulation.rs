//! MuJoCo's physics through its C interface.
//!
//! Models and states are opaque pointers here, and only functions touch what is
//! behind them, so that no version's memory layout is assumed. There is one
//! exception, [`CONTACT_FORCES`].

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use super::{MujocoError, camera};

/// The oldest version with all functions that are used.
const OLDEST: [u32; 2] = [3, 2];

/// Elements of a state, as `mj_getState` knows them (`mjtState`).
const POSITIONS: c_int = 1 << 1;
const VELOCITIES: c_int = 1 << 2;

/// Where `mjData` has its pointer to `cfrc_ext`, in bytes, by version; no
/// function gives it. Measured with the Python package of the same version, and
/// tested with the traces of Ant-v5. Right where pointers have 64 bits.
#[cfg(target_pointer_width = "64")]
const CONTACT_FORCES: [(&str, usize); 2] = [("3.3.7", 162_360), ("4.0.0", 161_480)];
#[cfg(not(target_pointer_width = "64"))]
const CONTACT_FORCES: [(&str, usize); 0] = [];

/// Numbers of a body's external force, `cfrc_ext`: torque, then force.
pub(super) const FORCE_SIZE: usize = 6;

/// MuJoCo's library, loaded.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    version: String,
    functions: Functions,
    /// The bit of the controls in a state; it has moved once.
    controls: c_int,
    contact_forces: Option<usize>,
    /// What pictures are made with, if this version has it.
    pub(super) renderer: Option<camera::Functions>,
}

pub(super) type Model = *mut c_void;
pub(super) type Data = *mut c_void;
type Description = *mut c_void;

/// The functions that are used, as `mujoco.h` declares them.
#[derive(Debug)]
struct Functions {
    parse: unsafe extern "C" fn(*const c_char, *const c_void, *mut c_char, c_int) -> Description,
    compile: unsafe extern "C" fn(Description, *const c_void) -> Model,
    compile_error: unsafe extern "C" fn(Description) -> *const c_char,
    delete_description: unsafe extern "C" fn(Description),
    delete_model: unsafe extern "C" fn(Model),
    make_data: unsafe extern "C" fn(Model) -> Data,
    delete_data: unsafe extern "C" fn(Data),
    reset: unsafe extern "C" fn(Model, Data),
    forward: unsafe extern "C" fn(Model, Data),
    step: unsafe extern "C" fn(Model, Data),
    contact_forces: unsafe extern "C" fn(Model, Data),
    state_size: unsafe extern "C" fn(Model, c_int) -> c_int,
    get_state: unsafe extern "C" fn(Model, Data, *mut f64, c_int),
    set_state: unsafe extern "C" fn(Model, Data, *const f64, c_int),
    to_global: unsafe extern "C" fn(Data, *mut f64, *mut f64, *const f64, *const f64, c_int, u8),
}

impl Library {
    /// Loads a file, or what the system's loader finds by that name.
    pub(super) fn open(path: &Path) -> Result<Self, MujocoError> {
        let failed = |error: libloading::Error| MujocoError::Load {
            path: path.to_owned(),
            // The loader's own words are the cause of this error.
            reason: error
                .source()
                .map_or(error.to_string(), |cause| cause.to_string()),
        };
        // SAFETY: loading runs the library's initialisers. The user has
        // installed or named the library, and MuJoCo's only fill its tables.
        let library = unsafe { libloading::Library::new(path) }.map_err(failed)?;
        // SAFETY: `mj_versionString` is declared so in every version, and
        // returns a text of static lifetime.
        let version = unsafe {
            let version: unsafe extern "C" fn() -> *const c_char =
                symbol(&library, b"mj_versionString\0").map_err(failed)?;
            CStr::from_ptr(version()).to_string_lossy().into_owned()
        };
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        if [numbers.next(), numbers.next()] < OLDEST.map(Some) {
            return Err(MujocoError::TooOld {
                path: path.to_owned(),
                version,
            });
        }
        // SAFETY: the types are those of `mujoco.h`, which these functions have
        // kept since OLDEST. (`mjtState` was an unsigned int at first; the two
        // are passed alike.)
        let functions = unsafe { Functions::of(&library) }.map_err(failed)?;
        // SAFETY: both are variables of this type in every version, and nothing
        // else of this process uses the library yet.
        unsafe {
            let handler = |name: &[u8], handler| {
                let variable: *mut Handler = symbol(&library, name)?;
                *variable = Some(handler);
                Ok(())
            };
            handler(b"mju_user_warning\0", ignore_warning).map_err(failed)?;
            handler(b"mju_user_error\0", stop).map_err(failed)?;
        }
        // SAFETY: only whether there is such a function is asked.
        let has_history =
            unsafe { library.get::<unsafe extern "C" fn()>(b"mj_readCtrl\0") }.is_ok();
        // SAFETY: this is MuJoCo's library.
        let renderer = unsafe { camera::Functions::of(&library) }.ok();
        let known = CONTACT_FORCES.iter().find(|(known, _)| *known == version);
        let contact_forces = known.map(|&(_, offset)| offset);
        // The functions are used until the process ends.
        std::mem::forget(library);
        Ok(Self {
            path: path.to_owned(),
            version,
            functions,
            controls: if has_history { 1 << 6 } else { 1 << 5 },
            contact_forces,
            renderer,
        })
    }

    /// The file; where the system's loader found it, its bare name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version, as `4.0.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether this is the version that results are to be made with.
    pub fn is_pinned(&self) -> bool {
        self.version == super::MUJOCO_VERSION
    }

    /// Offset of the contact forces in a state.
    fn contact_forces(&self) -> Result<usize, MujocoError> {
        self.contact_forces.ok_or_else(|| {
            let known: Vec<&str> = CONTACT_FORCES.iter().map(|(version, _)| *version).collect();
            MujocoError::ContactForces {
                version: self.version.clone(),
                known: known.join(" and "),
            }
        })
    }

    /// Compiles a model from its text.
    fn compile(&self, file: &'static str, text: &str) -> Result<Model, MujocoError> {
        let failed = |reason: String| MujocoError::Model {
            version: self.version.clone(),
            model: file,
            reason,
        };
        let text = CString::new(text).map_err(|error| failed(error.to_string()))?;
        let mut reason = [0; 1000];
        // SAFETY: the text ends with a 0; there is no virtual file system; at
        // most `reason.len()` bytes are written, the last of them a 0.
        let description = unsafe {
            (self.functions.parse)(
                text.as_ptr(),
                null(),
                reason.as_mut_ptr(),
                reason.len() as c_int,
            )
        };
        if description.is_null() {
            // SAFETY: as above; the array begins as zeros.
            let reason = unsafe { CStr::from_ptr(reason.as_ptr()) };
            return Err(failed(reason.to_string_lossy().into_owned()));
        }
        // SAFETY: the description is valid until it is deleted, once, here; so
        // is the error's text, which is copied before.
        unsafe {
            let model = (self.functions.compile)(description, null());
            let reason = (self.functions.compile_error)(description);
            let result = if model.is_null() && !reason.is_null() {
                Err(failed(
                    CStr::from_ptr(reason).to_string_lossy().into_owned(),
                ))
            } else if model.is_null() {
                Err(failed("no reason given".to_owned()))
            } else {
                Ok(model)
            };
            (self.functions.delete_description)(description);
            result
        }
    }
}

/// What a handler of warnings or errors is to MuJoCo.
type Handler = Option<unsafe extern "C" fn(*const c_char)>;

/// Without a handler a warning goes to `MUJOCO_LOG.TXT` in the working folder.
/// They tell of deprecated elements of a model, and of simulations that went
/// astray, which MuJoCo then resets, for Gymnasium as well.
unsafe extern "C" fn ignore_warning(_text: *const c_char) {}

/// An error of MuJoCo's is a broken invariant, and its handler must not return.
/// A panic in a C function ends the process.
unsafe extern "C" fn stop(text: *const c_char) {
    // SAFETY: MuJoCo hands over a text that ends with a 0.
    let text = unsafe { CStr::from_ptr(text) };
    panic!("MuJoCo: {}", text.to_string_lossy());
}

/// A function or variable of the library.
///
/// # Safety
/// `T` must be its type: a function pointer, or a pointer to the variable.
pub(super) unsafe fn symbol<T: Copy>(
    library: &libloading::Library,
    name: &[u8],
) -> Result<T, libloading::Error> {
    // SAFETY: the caller's promise.
    unsafe { library.get::<T>(name) }.map(|symbol| *symbol)
}

impl Functions {
    /// # Safety
    /// `library` must be MuJoCo's, of a version from [`OLDEST`] on.
    unsafe fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
        // SAFETY: the fields have the types that `mujoco.h` declares.
        unsafe {
            Ok(Self {
                parse: symbol(library, b"mj_parseXMLString\0")?,
                compile: symbol(library, b"mj_compile\0")?,
                compile_error: symbol(library, b"mjs_getError\0")?,
                delete_description: symbol(library, b"mj_deleteSpec\0")?,
                delete_model: symbol(library, b"mj_deleteModel\0")?,
                make_data: symbol(library, b"mj_makeData\0")?,
                delete_data: symbol(library, b"mj_deleteData\0")?,
                reset: symbol(library, b"mj_resetData\0")?,
                forward: symbol(library, b"mj_forward\0")?,
                step: symbol(library, b"mj_step\0")?,
                contact_forces: symbol(library, b"mj_rnePostConstraint\0")?,
                state_size: symbol(library, b"mj_stateSize\0")?,
                get_state: symbol(library, b"mj_getState\0")?,
                set_state: symbol(library, b"mj_setState\0")?,
                to_global: symbol(library, b"mj_local2Global\0")?,
            })
        }
    }
}

/// What a model must have, for the slices below to fit it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Positions (`nq`) and velocities (`nv`).
    pub(super) state: usize,
    /// Controls (`nu`).
    pub(super) controls: usize,
    /// Bodies, the world included (`nbody`).
    pub(super) bodies: usize,
}

/// A model and its state.
pub(super) struct Simulation {
    library: &'static Library,
    sizes: Sizes,
    model: Model,
    data: Data,
    /// Offset of the contact forces, where they are asked for.
    contact_forces: usize,
}

// SAFETY: model and data belong to this simulation alone; MuJoCo keeps nothing
// about them that is bound to a thread.
unsafe impl Send for Simulation {}

impl Simulation {
    /// Compiles a model and puts it into its initial state. `forces` says
    /// whether contact forces will be asked for.
    pub(super) fn new(
        library: &'static Library,
        file: &'static str,
        text: &str,
        sizes: Sizes,
        forces: bool,
    ) -> Result<Self, MujocoError> {
        let contact_forces = if forces { library.contact_forces()? } else { 0 };
        let mut simulation = Self {
            library,
            sizes,
            model: library.compile(file, text)?,
            data: null_mut(),
            contact_forces,
        };
        // SAFETY: the model is valid.
        simulation.data = unsafe { (library.functions.make_data)(simulation.model) };
        let size = |element| {
            // SAFETY: the model is valid.
            let size = unsafe { (library.functions.state_size)(simulation.model, element) };
            usize::try_from(size).unwrap_or(0)
        };
        // An external force for each body is an element of a state, two bits
        // above the controls.
        let found = [
            size(POSITIONS | VELOCITIES),
            size(library.controls),
            size(library.controls << 2),
        ];
        let expected = [sizes.state, sizes.controls, FORCE_SIZE * sizes.bodies];
        if simulation.data.is_null() || found != expected {
            return Err(MujocoError::Model {
                version: library.version.clone(),
                model: file,
                reason: format!("its sizes are {found:?}, not {expected:?}"),
            });
        }
        Ok(simulation)
    }

    /// Forgets everything and begins with these positions and velocities.
    pub(super) fn set_state(&mut self, state: &[f64]) {
        assert_eq!(state.len(), self.sizes.state, "a state of another model");
        let functions = &self.library.functions;
        // SAFETY: model and data are valid and belong together; `new` has
        // checked that a state has as many numbers as the slice.
        unsafe {
            (functions.reset)(self.model, self.data);
            (functions.set_state)(
                self.model,
                self.data,
                state.as_ptr(),
                POSITIONS | VELOCITIES,
            );
            (functions.forward)(self.model, self.data);
        }
    }

    /// Writes the positions, then the velocities.
    pub(super) fn state(&self, state: &mut [f64]) {
        assert_eq!(state.len(), self.sizes.state, "a state of another model");
        // SAFETY: as in `set_state`.
        unsafe {
            (self.library.functions.get_state)(
                self.model,
                self.data,
                state.as_mut_ptr(),
                POSITIONS | VELOCITIES,
            );
        }
    }

    /// Does so many steps under the same controls.
    pub(super) fn step(&mut self, controls: &[f64], count: usize) {
        assert_eq!(
            controls.len(),
            self.sizes.controls,
            "controls of another model"
        );
        let functions = &self.library.functions;
        // SAFETY: as in `set_state`, for the controls.
        unsafe {
            (functions.set_state)(
                self.model,
                self.data,
                controls.as_ptr(),
                self.library.controls,
            );
            for _ in 0..count {
                (functions.step)(self.model, self.data);
            }
        }
    }

    /// Where a body is: its frame's origin at the beginning of the last of the
    /// steps, because MuJoCo computes it from the positions before it moves them.
    pub(super) fn body_position(&self, body: usize) -> [f64; 3] {
        self.body_point(body, [0.0; 3])
    }

    /// Where a point in a body's frame is, at the same moment.
    pub(super) fn body_point(&self, body: usize, point: [f64; 3]) -> [f64; 3] {
        assert!(body < self.sizes.bodies, "a body of another model");
        let (mut position, mut rotation) = ([0.0; 3], [0.0; 9]);
        // SAFETY: the arrays have the lengths that `mujoco.h` declares, and
        // there is such a body.
        unsafe {
            (self.library.functions.to_global)(
                self.data,
                position.as_mut_ptr(),
                rotation.as_mut_ptr(),
                point.as_ptr(),
                [1.0, 0.0, 0.0, 0.0].as_ptr(),
                body as c_int,
                0,
            );
        }
        position
    }

    /// The model, for [`camera::Camera`].
    pub(super) fn model(&self) -> Model {
        self.model
    }

    /// The state, for [`camera::Camera`].
    pub(super) fn data(&self) -> Data {
        self.data
    }

    /// Computes and writes the external forces on all bodies
    /// `[bodies, FORCE_SIZE]`, those of contacts included.
    pub(super) fn contact_forces(&mut self, forces: &mut [f64]) {
        assert_eq!(
            forces.len(),
            FORCE_SIZE * self.sizes.bodies,
            "forces of another model"
        );
        assert_ne!(self.contact_forces, 0, "`new` was not told of forces");
        // SAFETY: model and data are valid. In this version `mjData` has a
        // pointer at this offset, to FORCE_SIZE numbers for each body.
        unsafe {
            (self.library.functions.contact_forces)(self.model, self.data);
            let pointer: *const f64 = self
                .data
                .byte_add(self.contact_forces)
                .cast::<*const f64>()
                .read();
            forces.copy_from_slice(std::slice::from_raw_parts(pointer, forces.len()));
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // SAFETY: both are valid or, for the data, null, which is ignored; they
        // are deleted once.
        unsafe {
            (self.library.functions.delete_data)(self.data);
            (self.library.functions.delete_model)(self.model);
        }
    }
}
