//! From logits to ids.

mod draw;
mod options;

pub use draw::draw;
pub use options::Sampling;
pub(crate) use tessera_shaders::guided;
