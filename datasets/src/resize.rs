//! Resampling that equals Pillow to the bit, and a float variant that follows PyTorch.
//!
//! Both filter rows first and columns second, with a filter that widens when the picture shrinks (so-called
//! antialiasing). They differ in between: Pillow keeps 8-bit values between the two passes and clamps, PyTorch keeps
//! floats and lets bicubic overshoot beyond `[0, 1]`. Models are sensitive to which of the two prepared their input.

mod filter;
mod pillow;
mod taps;
mod torch;

pub use filter::Filter;
pub use pillow::resize;
pub use torch::resize_planar_torch;

use crate::error::{DatasetError, Result};
use crate::picture::checked_pixels;

/// Refuses empty and overlong sides, results over [`crate::MAX_PIXELS`], and an intermediate picture over it.
fn check_request(from: (u32, u32), to: (u32, u32)) -> Result<()> {
    checked_pixels(to.0, to.1, "a resized picture")?;
    // After the first pass the picture has its new width and still its old height.
    checked_pixels(to.0, from.1, "the intermediate picture of a resize")?;
    let changed = [(from.0, to.0), (from.1, to.1)].into_iter().filter(|(a, b)| a != b);
    let longest = changed.map(|(a, b)| a.max(b)).max().unwrap_or(0);
    if longest > crate::MAX_RESIZE_SIDE {
        return Err(DatasetError::SideTooLong { side: longest, limit: crate::MAX_RESIZE_SIDE });
    }
    Ok(())
}
