//! Drawing ids from logits.

mod options;

pub use options::Sampling;
