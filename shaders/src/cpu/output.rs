//! Writing one output from several tasks at once.

use std::mem::MaybeUninit;

/// The output, which tasks write at places of their own.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    start: *mut f32,
    len: usize,
}

// SAFETY: the pointer is to memory that outlives the tasks (they run inside the call that made it), and only
// `write` uses it, whose caller promises that no two tasks write one place.
unsafe impl Send for Output {}
// SAFETY: as for `Send`.
unsafe impl Sync for Output {}

impl Output {
    pub fn new(place: &mut [MaybeUninit<f32>]) -> Self {
        Self { start: place.as_mut_ptr().cast(), len: place.len() }
    }

    pub fn of(place: &mut [f32]) -> Self {
        Self { start: place.as_mut_ptr(), len: place.len() }
    }

    /// Writes `values` from `at` on.
    ///
    /// # Safety
    /// No other task may write `at..at + values.len()`.
    ///
    /// # Panics
    /// If they do not fit.
    pub unsafe fn write(self, at: usize, values: &[f32]) {
        assert!(at + values.len() <= self.len);
        // SAFETY: in bounds as just checked; the caller keeps others away.
        unsafe { self.start.add(at).copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    }
}
