//! Products in bf16 allocate nothing once warm, on one thread or several.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use iwsft_engine::ops::linear;
use iwsft_engine::{Precision, Tensor};

/// Counts what is asked for.
struct Counting;

/// The thread pool keeps books of its tasks; no packed operand here is so small.
const SMALL: usize = 2 << 10;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= SMALL {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
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
fn a_warm_product_allocates_nothing() {
    let [n, input, output] = [256, 160, 96];
    let sizes = [n, input, output];
    let (x, weight, bias) = (
        Tensor::zeros(n * input),
        Tensor::zeros(output * input),
        Tensor::zeros(output),
    );
    let (mut y, mut dx) = (Tensor::zeros(n * output), Tensor::zeros(n * input));
    let mut dweight = Tensor::zeros(output * input);
    let precision = Precision::Bf16;
    let mut step = || {
        let before = COUNT.load(Ordering::Relaxed);
        let (x, weight) = (x.all(), weight.all());
        linear::forward_relu(x, weight, bias.all(), y.all_mut(), sizes, precision);
        linear::backward_input(y.all(), weight, dx.all_mut(), sizes, false, precision);
        linear::backward_weight(y.all(), x, dweight.all_mut(), sizes, precision);
        COUNT.load(Ordering::Relaxed) - before
    };
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        // The first steps make room, also on threads that had no work at first.
        let asked: Vec<usize> = (0..40).map(|_| pool.install(&mut step)).collect();
        assert!(asked[0] > 0, "{threads} threads: nothing was counted");
        assert_eq!(
            asked[20..].iter().min(),
            Some(&0),
            "{threads} threads: {asked:?}"
        );
    }
}
