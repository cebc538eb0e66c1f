//! MuJoCo's own renderer: photographs of a robot by the camera that its model has.

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};

use super::MujocoError;
use super::offscreen::Offscreen;
use super::simulation::{Data, Library, Model, Simulation, symbol};

/// Bytes for each structure of the renderer's. Their layouts are the library's own
/// affair; the largest has 62 kB in version 4.0.0.
const STRUCTURE: usize = 1 << 18;

/// Most geometries of a scene.
const GEOMETRIES: c_int = 1000;

/// The camera of a model's that is looked through; all robots have one, which follows.
const CAMERA: c_int = 0;

// Of `mjvisualize.h` and `mjrender.h`.
const FIXED: c_int = 2;
const ALL: c_int = 7;
const FONT: c_int = 150;
const OFFSCREEN: c_int = 1;

/// Memory for a structure that only the library looks into.
struct Structure(Box<[u64]>);

impl Structure {
    fn new() -> Self {
        Self(vec![0; STRUCTURE / size_of::<u64>()].into())
    }

    fn pointer(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// Which camera is looked through: how `mjvCamera` begins, and room for the rest.
#[repr(C)]
struct View {
    kind: c_int,
    camera: c_int,
    rest: [u64; 64],
}

/// `mjrRect`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Rectangle {
    left: c_int,
    bottom: c_int,
    width: c_int,
    height: c_int,
}

/// The renderer's functions, as `mujoco.h` declares them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Functions {
    default_option: unsafe extern "C" fn(*mut c_void),
    default_scene: unsafe extern "C" fn(*mut c_void),
    make_scene: unsafe extern "C" fn(Model, *mut c_void, c_int),
    free_scene: unsafe extern "C" fn(*mut c_void),
    update_scene: UpdateScene,
    default_context: unsafe extern "C" fn(*mut c_void),
    make_context: unsafe extern "C" fn(Model, *mut c_void, c_int),
    free_context: unsafe extern "C" fn(*mut c_void),
    set_buffer: unsafe extern "C" fn(c_int, *mut c_void),
    render: unsafe extern "C" fn(Rectangle, *mut c_void, *const c_void),
    read_pixels: unsafe extern "C" fn(*mut u8, *mut f32, Rectangle, *const c_void),
}

type UpdateScene =
    unsafe extern "C" fn(Model, Data, *const c_void, *const c_void, *mut View, c_int, *mut c_void);

impl Functions {
    /// # Safety
    /// `library` must be MuJoCo's.
    pub(super) unsafe fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
        // SAFETY: the fields have the types that `mujoco.h` declares.
        unsafe {
            Ok(Self {
                default_option: symbol(library, b"mjv_defaultOption\0")?,
                default_scene: symbol(library, b"mjv_defaultScene\0")?,
                make_scene: symbol(library, b"mjv_makeScene\0")?,
                free_scene: symbol(library, b"mjv_freeScene\0")?,
                update_scene: symbol(library, b"mjv_updateScene\0")?,
                default_context: symbol(library, b"mjr_defaultContext\0")?,
                make_context: symbol(library, b"mjr_makeContext\0")?,
                free_context: symbol(library, b"mjr_freeContext\0")?,
                set_buffer: symbol(library, b"mjr_setBuffer\0")?,
                render: symbol(library, b"mjr_render\0")?,
                read_pixels: symbol(library, b"mjr_readPixels\0")?,
            })
        }
    }
}

/// Looks at one robot and takes photographs of it; bound to the thread that made it.
pub struct Camera {
    functions: Functions,
    /// The model that the renderer knows the surfaces of.
    model: Model,
    option: Structure,
    scene: Structure,
    context: Structure,
    view: View,
    size: [c_int; 2],
    // Last, as fields are dropped in order: what the others are freed in.
    offscreen: Offscreen,
}

impl Camera {
    /// The largest width and height: what MuJoCo reserves where a model says nothing.
    pub const LARGEST: [usize; 2] = [640, 480];

    /// A camera for this simulation's robot, with pictures of so many pixels.
    pub(super) fn new(
        library: &Library,
        simulation: &Simulation,
        [width, height]: [usize; 2],
    ) -> Result<Self, MujocoError> {
        let [widest, highest] = Self::LARGEST;
        assert!((1..=widest).contains(&width) && (1..=highest).contains(&height));
        let size = [width, height].map(|pixels| pixels as c_int);
        let failed = |reason| MujocoError::Renderer { reason };
        let functions = library.renderer.ok_or_else(|| {
            let version = library.version();
            failed(format!("MuJoCo {version} has other functions"))
        })?;
        let mut camera = Self {
            functions,
            model: simulation.model(),
            option: Structure::new(),
            scene: Structure::new(),
            context: Structure::new(),
            view: View {
                kind: FIXED,
                camera: CAMERA,
                rest: [0; 64],
            },
            size,
            offscreen: Offscreen::new(size).map_err(failed)?,
        };
        // SAFETY: the structures have room for what the library makes of them, and
        // stay where they are; the model is valid; OpenGL's context is current.
        unsafe {
            (functions.default_option)(camera.option.pointer());
            (functions.default_scene)(camera.scene.pointer());
            (functions.default_context)(camera.context.pointer());
            (functions.make_scene)(camera.model, camera.scene.pointer(), GEOMETRIES);
            (functions.make_context)(camera.model, camera.context.pointer(), FONT);
            (functions.set_buffer)(OFFSCREEN, camera.context.pointer());
        }
        Ok(camera)
    }

    /// A photograph `[height, width, 3]` of red, green and blue, the top row first.
    ///
    /// # Panics
    /// If the camera was made for another simulation.
    pub(super) fn photograph(&mut self, simulation: &Simulation) -> Vec<u8> {
        assert_eq!(self.model, simulation.model(), "a camera of another robot");
        assert!(self.offscreen.make_current(), "a context that was current");
        let [width, height] = self.size;
        let everything = Rectangle {
            left: 0,
            bottom: 0,
            width,
            height,
        };
        let row = 3 * width as usize;
        let mut pixels = vec![0; row * height as usize];
        // SAFETY: model and data are valid and belong together; perturbations and
        // depths may be null; a pixel has 3 bytes. OpenGL's context is current.
        unsafe {
            (self.functions.update_scene)(
                self.model,
                simulation.data(),
                self.option.pointer(),
                null(),
                &mut self.view,
                ALL,
                self.scene.pointer(),
            );
            let context = self.context.pointer();
            (self.functions.render)(everything, self.scene.pointer(), context);
            (self.functions.read_pixels)(pixels.as_mut_ptr(), null_mut(), everything, context);
        }
        // OpenGL begins at the bottom.
        pixels.chunks_exact(row).rev().flatten().copied().collect()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        if !self.offscreen.make_current() {
            return;
        }
        // SAFETY: both were made in `new`, and are freed once, in the context that
        // they were made in.
        unsafe {
            (self.functions.free_context)(self.context.pointer());
            (self.functions.free_scene)(self.scene.pointer());
        }
    }
}
