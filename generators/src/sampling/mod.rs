//! From logits to ids.

mod draw;
mod options;

pub use draw::draw;
pub(crate) use draw::guided;
pub use options::Sampling;
