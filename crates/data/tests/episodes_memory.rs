//! Streaming episodes holds a part of the file. Alone in its file, because the
//! measure is the whole process.
// The lint knows tests by their attribute, not their helpers.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use iwsft_data::episodes::{
    End, Episode, EpisodeColumns, EpisodeReader, Episodes, Tail, write_d4rl,
};

/// Counts the bytes that are held, and the most there were.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_file_of_many_steps_streams_through_little_memory() {
    const EPISODES: usize = 400;
    const LENGTH: usize = 1000;
    const SIZE: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.hdf5");
    let column: Vec<f32> = (0..LENGTH * SIZE).map(|i| (i % 100) as f32).collect();
    let mut episodes = Episodes::new(SIZE, 1);
    for _ in 0..EPISODES {
        episodes.push(Episode {
            observations: &column,
            actions: &column[..LENGTH],
            rewards: &column[..LENGTH],
            next_observations: &column,
            end: End::Timeout,
        });
    }
    write_d4rl(&path, &episodes).unwrap();
    let size = 4 * episodes.step_count() * (2 * SIZE + 2);
    drop(episodes);

    let start = HELD.load(Ordering::Relaxed);
    MOST.store(start, Ordering::Relaxed);
    let columns = EpisodeColumns::default();
    let reader = EpisodeReader::open(&path, &columns, Tail::Drop).unwrap();
    let mut read = 0;
    for some in reader {
        for episode in some.unwrap().iter() {
            assert_eq!(episode.observations, column);
            read += 1;
        }
    }
    assert_eq!(read, EPISODES);
    let grown = MOST.load(Ordering::Relaxed) - start;
    assert!(
        grown < 16 << 20 && 4 * grown < size,
        "{size} bytes of steps took {grown} bytes of memory"
    );
}
