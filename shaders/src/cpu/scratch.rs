//! Buffers that a thread keeps from task to task, because fresh pages cost as much as filling them.

use std::cell::RefCell;

/// Runs `task` with `N` buffers; what they hold at first is left over from other tasks.
pub(crate) fn with_buffers<const N: usize>(task: impl FnOnce(&mut [Vec<f32>; N])) {
    thread_local! {
        static BUFFERS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    }
    // Taken out rather than borrowed: should a task ever wait, another may start on this thread.
    let mut buffers = BUFFERS.take();
    buffers.resize_with(buffers.len().max(N), Vec::new);
    task(buffers.first_chunk_mut().expect("as many as asked for"));
    BUFFERS.set(buffers);
}

/// The first `len` values of a buffer, which grows to hold them and never shrinks.
pub(crate) fn at_least(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}
