//! [`Planar`]: a picture as three planes of `f32`, the layout models read.

use crate::error::Result;
use crate::picture::{Picture, check_length};

/// Three planes red, green, blue, `[3, height, width]` flattened.
///
/// Values are nominally in `[0, 1]`; a bicubic resize of floats may go a little beyond on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Planar {
    height: u32,
    width: u32,
    values: Vec<f32>,
}

impl Planar {
    /// Wraps `values`, `[3, height, width]` flattened; any values are accepted.
    ///
    /// # Errors
    /// [`crate::DatasetError::Zero`] for an empty side, [`crate::DatasetError::WrongLength`] if the length does not fit.
    pub fn new(values: Vec<f32>, height: u32, width: u32) -> Result<Self> {
        check_length(width, height, values.len())?;
        Ok(Self { height, width, values })
    }

    /// The planes of a picture, see [`Picture::to_planar_f32`].
    pub fn from_picture(picture: &Picture) -> Self {
        Self { height: picture.height(), width: picture.width(), values: picture.to_planar_f32() }
    }

    /// Back to 8 bits, see [`Picture::from_planar_f32`].
    ///
    /// # Errors
    /// None for a value made by this crate; the signature is that of the checked constructor.
    pub fn to_picture(&self) -> Result<Picture> {
        Picture::from_planar_f32(&self.values, self.height, self.width)
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// All values, `[3, height, width]` flattened.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Gives the values away, `[3, height, width]` flattened.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}
