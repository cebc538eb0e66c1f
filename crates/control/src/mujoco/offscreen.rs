//! OpenGL without a screen, for MuJoCo's renderer: EGL's devices, or OSMesa.
//!
//! Either is loaded when a picture is asked for, and so that MuJoCo, which looks for
//! OpenGL's functions itself, finds them in the process. It asks OSMesa for them only
//! where [`VARIABLE`] says so, and so does this.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};

use libloading::Library;

/// The environment variable that chooses, for MuJoCo's Python package as well.
const VARIABLE: &str = "MUJOCO_GL";

/// A context that draws into memory.
#[derive(Debug)]
pub(super) enum Offscreen {
    Egl(Egl),
    Osmesa(Osmesa),
}

impl Offscreen {
    /// Makes a context for pictures of `[width, height]` pixels, and makes it current on
    /// this thread; or why there is none.
    pub(super) fn new(size: [c_int; 2]) -> Result<Self, String> {
        if std::env::var_os(VARIABLE).is_some_and(|value| value == "osmesa") {
            let osmesa = Osmesa::new(size).map(Self::Osmesa);
            return osmesa.map_err(|reason| format!("OSMesa: {reason}"));
        }
        Egl::new()
            .map(Self::Egl)
            .map_err(|reason| format!("EGL: {reason}"))
    }

    /// Makes it current again, after another one was.
    pub(super) fn make_current(&mut self) -> bool {
        match self {
            Self::Egl(egl) => egl.make_current(),
            Self::Osmesa(osmesa) => osmesa.make_current(),
        }
    }
}

type Handle = *mut c_void;

/// Loads the first of these files, its symbols visible to the whole process, for good:
/// drivers do not like to be unloaded.
fn load(names: [&str; 2]) -> Result<&'static Library, String> {
    let mut reason = String::new();
    for name in names {
        if let Some(file) = super::search::in_working_folder(name.as_ref()) {
            reason = format!(
                "{} lies in the working folder, of which nothing is opened",
                file.display()
            );
            continue;
        }
        // SAFETY: the initialisers of a system's graphics library, which any program
        // that draws runs.
        match unsafe { open(name) } {
            Ok(library) => return Ok(Box::leak(Box::new(library))),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

/// # Safety
/// Runs the library's initialisers.
#[cfg(unix)]
unsafe fn open(name: &str) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the caller's promise.
    unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }.map(Into::into)
}

/// # Safety
/// Runs the library's initialisers.
#[cfg(not(unix))]
unsafe fn open(name: &str) -> Result<Library, libloading::Error> {
    // SAFETY: the caller's promise.
    unsafe { Library::new(name) }
}

/// A function of the library.
///
/// # Safety
/// `T` must be its type.
unsafe fn function<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: the caller's promise.
    let found = unsafe { library.get::<T>(name.as_bytes()) };
    found.map(|found| *found).map_err(|error| error.to_string())
}

/// A context of EGL's.
#[derive(Debug)]
pub(super) struct Egl {
    display: Handle,
    context: Handle,
    make_current: MakeCurrent,
    destroy: unsafe extern "C" fn(Handle, Handle) -> c_uint,
}

type MakeCurrent = unsafe extern "C" fn(Handle, Handle, Handle, Handle) -> c_uint;

// Of `EGL/egl.h` and `EGL/eglext.h`.
const PLATFORM_DEVICE: c_uint = 0x313F;
const OPENGL_API: c_uint = 0x30A2;
const MOST_DEVICES: usize = 16;
/// 8 bits a colour, depth and stencil; to memory, by OpenGL; NONE ends the list.
const WANTED: [c_int; 17] = [
    0x3024, 8, // RED_SIZE
    0x3023, 8, // GREEN_SIZE
    0x3022, 8, // BLUE_SIZE
    0x3021, 8, // ALPHA_SIZE
    0x3025, 24, // DEPTH_SIZE
    0x3026, 8, // STENCIL_SIZE
    0x3033, 1, // SURFACE_TYPE: PBUFFER_BIT
    0x3040, 8, // RENDERABLE_TYPE: OPENGL_BIT
    0x3038,
];

impl Egl {
    fn new() -> Result<Self, String> {
        let library = load(["libEGL.so.1", "libEGL.so"])?;
        // SAFETY: the types are those of EGL's headers; arrays have the lengths that
        // are handed over with them; what is null may be.
        unsafe {
            let address: unsafe extern "C" fn(*const c_char) -> Handle =
                function(library, "eglGetProcAddress")?;
            let initialize: unsafe extern "C" fn(Handle, *mut c_int, *mut c_int) -> c_uint =
                function(library, "eglInitialize")?;
            let choose: unsafe extern "C" fn(
                Handle,
                *const c_int,
                *mut Handle,
                c_int,
                *mut c_int,
            ) -> c_uint = function(library, "eglChooseConfig")?;
            let bind: unsafe extern "C" fn(c_uint) -> c_uint = function(library, "eglBindAPI")?;
            let create: unsafe extern "C" fn(Handle, Handle, Handle, *const c_int) -> Handle =
                function(library, "eglCreateContext")?;
            let make_current: MakeCurrent = function(library, "eglMakeCurrent")?;
            let destroy = function(library, "eglDestroyContext")?;
            let devices = address(c"eglQueryDevicesEXT".as_ptr());
            let display_of = address(c"eglGetPlatformDisplayEXT".as_ptr());
            if devices.is_null() || display_of.is_null() {
                return Err("it knows nothing of devices".to_owned());
            }
            let devices = std::mem::transmute::<
                Handle,
                unsafe extern "C" fn(c_int, *mut Handle, *mut c_int) -> c_uint,
            >(devices);
            let display_of = std::mem::transmute::<
                Handle,
                unsafe extern "C" fn(c_uint, Handle, *const c_int) -> Handle,
            >(display_of);
            let (mut found, mut count) = ([null_mut(); MOST_DEVICES], 0);
            devices(MOST_DEVICES as c_int, found.as_mut_ptr(), &mut count);
            let count = usize::try_from(count).unwrap_or(0).min(MOST_DEVICES);
            // The first device that works: on a machine with cards, a card.
            for &device in &found[..count] {
                let display = display_of(PLATFORM_DEVICE, device, null());
                if display.is_null() || initialize(display, null_mut(), null_mut()) == 0 {
                    continue;
                }
                let (mut config, mut configs) = (null_mut(), 0);
                choose(display, WANTED.as_ptr(), &mut config, 1, &mut configs);
                if configs == 0 || bind(OPENGL_API) == 0 {
                    continue;
                }
                let context = create(display, config, null_mut(), null());
                if context.is_null() {
                    continue;
                }
                let egl = Self {
                    display,
                    context,
                    make_current,
                    destroy,
                };
                if egl.make_current() {
                    return Ok(egl);
                }
            }
            Err(format!("none of its {count} devices has OpenGL"))
        }
    }

    fn make_current(&self) -> bool {
        // SAFETY: display and context are valid; it needs no surface.
        unsafe { (self.make_current)(self.display, null_mut(), null_mut(), self.context) != 0 }
    }
}

impl Drop for Egl {
    fn drop(&mut self) {
        // SAFETY: display and context are valid, and nobody else's; a context that is
        // let go of is destroyed at once.
        unsafe {
            (self.make_current)(self.display, null_mut(), null_mut(), null_mut());
            (self.destroy)(self.display, self.context);
        }
    }
}

/// A context of OSMesa's, and the picture that it needs; what is drawn is read from
/// elsewhere.
#[derive(Debug)]
pub(super) struct Osmesa {
    context: Handle,
    make_current: unsafe extern "C" fn(Handle, *mut c_void, c_uint, c_int, c_int) -> u8,
    destroy: unsafe extern "C" fn(Handle),
    /// 4 bytes a pixel.
    picture: Vec<u32>,
    size: [c_int; 2],
}

// Of `GL/osmesa.h` and `GL/gl.h`.
const RGBA: c_uint = 0x1908;
const UNSIGNED_BYTE: c_uint = 0x1401;

impl Osmesa {
    fn new(size: [c_int; 2]) -> Result<Self, String> {
        let library = load(["libOSMesa.so.8", "libOSMesa.so"])?;
        let [width, height] = size;
        // SAFETY: the types are those of OSMesa's header; no context need be shared.
        let mut osmesa = unsafe {
            let create: unsafe extern "C" fn(c_uint, c_int, c_int, c_int, Handle) -> Handle =
                function(library, "OSMesaCreateContextExt")?;
            Self {
                make_current: function(library, "OSMesaMakeCurrent")?,
                destroy: function(library, "OSMesaDestroyContext")?,
                context: create(RGBA, 24, 8, 0, null_mut()),
                picture: vec![0; usize::try_from(width * height).unwrap_or(0)],
                size,
            }
        };
        match !osmesa.context.is_null() && osmesa.make_current() {
            true => Ok(osmesa),
            false => Err("it makes no context".to_owned()),
        }
    }

    fn make_current(&mut self) -> bool {
        let ([width, height], picture) = (self.size, self.picture.as_mut_ptr().cast());
        // SAFETY: the context is valid; the picture has room for the pixels and lives
        // as long as it.
        unsafe { (self.make_current)(self.context, picture, UNSIGNED_BYTE, width, height) != 0 }
    }
}

impl Drop for Osmesa {
    fn drop(&mut self) {
        // SAFETY: the context is valid, or null, which is ignored; and nobody else's.
        unsafe { (self.destroy)(self.context) };
    }
}
