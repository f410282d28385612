//! [`Prepared`]: a decoded sample with everything done that does not depend on chance. This is what the loader caches.

use super::fitted::Fitted;
use super::pyramid::Pyramid;
use crate::error::Result;
use crate::raster::Raster;

/// A sample up to the draw of crop, background and mirroring.
pub(crate) enum Prepared {
    /// For [`super::Crop::Fit`].
    Fitted(Fitted),
    /// For [`super::Crop::Random`].
    Pyramid(Pyramid),
}

impl Prepared {
    pub(super) fn fit(raster: &Raster, size: u32) -> Result<Fitted> {
        Fitted::new(raster, size)
    }

    pub(super) fn build_pyramid(raster: Raster, size: u32, scales: [f64; 2]) -> Pyramid {
        Pyramid::new(raster, size, scales)
    }

    /// Bytes of memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Fitted(fitted) => fitted.bytes(),
            Self::Pyramid(pyramid) => pyramid.bytes(),
        }
    }
}
