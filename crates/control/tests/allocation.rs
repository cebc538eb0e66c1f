//! A step allocates nothing.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use iwsft_control::{ControlError, environments, library, make};

/// Counts what this thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_step_allocates_nothing() {
    let has_all = library().is_ok_and(|library| library.is_pinned());
    for spec in environments() {
        let mut environment = match make(spec.name) {
            Err(error @ ControlError::Mujoco { .. }) if !has_all => {
                eprintln!("skipped: {error}");
                continue;
            }
            made => made.unwrap_or_else(|error| panic!("{error}")),
        };
        let mut observation = vec![0.0; spec.observation_size()];
        let action = vec![0.0; spec.action_size()];
        environment.reset(Some(0), &mut observation).unwrap();
        let before = COUNT.get();
        for _ in 0..5 {
            environment.step(&action, &mut observation).unwrap();
        }
        assert_eq!(COUNT.get(), before, "{}", spec.name);
    }
}
