//! [`Preprocess`]: the preparation that turns a photograph into a model's square input.

use crate::error::Result;
use crate::picture::Picture;
use crate::planar::Planar;
use crate::resize::{Filter, resize_planar_torch};
use crate::transform::{center_crop, centred, check_window, resize_shorter_edge, shorter_edge_size};

/// What the resize step computes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResizeMode {
    /// 8-bit fixed point, equal to Pillow: for models trained on resized image files.
    #[default]
    Pillow,
    /// Floats without clamping, like PyTorch tensors: for models whose reference resizes after `ToTensor`.
    TorchFloat,
}

/// Resize by the shorter edge, then crop the middle; each step can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Preprocess {
    /// The shorter edge after resizing; `None` keeps the size.
    pub resize_shorter_edge: Option<u32>,
    /// The side of the square cut from the middle; `None` keeps everything.
    pub crop: Option<u32>,
    /// The resampling filter.
    pub filter: Filter,
    /// What the resize step computes with.
    pub mode: ResizeMode,
}

impl Preprocess {
    /// Resize to the shorter edge `size` and crop `size` x `size`, in [`ResizeMode::Pillow`].
    pub fn square(size: u32, filter: Filter) -> Self {
        Self { resize_shorter_edge: Some(size), crop: Some(size), filter, mode: ResizeMode::Pillow }
    }

    /// The same preparation in another mode.
    pub fn with_mode(mut self, mode: ResizeMode) -> Self {
        self.mode = mode;
        self
    }

    /// Prepares a picture and keeps 8 bits; in [`ResizeMode::TorchFloat`] the result is rounded at the very end.
    ///
    /// # Errors
    /// Those of [`crate::resize_shorter_edge`] and [`crate::center_crop`].
    pub fn apply(&self, picture: &Picture) -> Result<Picture> {
        if let (ResizeMode::TorchFloat, Some(_)) = (self.mode, self.resize_shorter_edge) {
            return self.apply_planar(picture)?.to_picture();
        }
        let resized = match self.resize_shorter_edge {
            Some(size) => &resize_shorter_edge(picture, size, self.filter)?,
            None => picture,
        };
        match self.crop {
            Some(size) => center_crop(resized, size),
            None => Ok(resized.clone()),
        }
    }

    /// Prepares a picture as floats, `[3, height, width]`; in [`ResizeMode::TorchFloat`] values may overshoot `[0, 1]`.
    ///
    /// # Errors
    /// As [`Preprocess::apply`].
    pub fn apply_planar(&self, picture: &Picture) -> Result<Planar> {
        let (ResizeMode::TorchFloat, Some(size)) = (self.mode, self.resize_shorter_edge) else {
            return Ok(Planar::from_picture(&self.apply(picture)?));
        };
        let (width, height) = shorter_edge_size(picture.width(), picture.height(), size)?;
        let resized = resize_planar_torch(&Planar::from_picture(picture), height, width, self.filter)?;
        match self.crop {
            Some(size) => center_crop_planar(&resized, size),
            None => Ok(resized),
        }
    }
}

/// [`center_crop`] for planes.
fn center_crop_planar(planar: &Planar, size: u32) -> Result<Planar> {
    let (left, top) = (centred(planar.width(), size), centred(planar.height(), size));
    check_window((planar.width(), planar.height()), (left, top), (size, size))?;
    let columns = left as usize..left as usize + size as usize;
    let stride = planar.width() as usize;
    let planes = planar.values().chunks_exact(stride * planar.height() as usize);
    let rows = planes.flat_map(|plane| plane.chunks_exact(stride).skip(top as usize).take(size as usize));
    let values = rows.filter_map(|row| row.get(columns.clone())).flatten().copied().collect();
    Planar::new(values, size, size)
}
