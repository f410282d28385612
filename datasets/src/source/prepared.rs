//! [`Prepared`]: a decoded sample with everything done that does not depend on chance. This is what the loader caches.

use super::fitted::Fitted;
use super::pyramid::Pyramid;

/// A sample up to the draw of crop, background and mirroring.
pub(crate) enum Prepared {
    /// For [`super::Crop::Fit`].
    Fitted(Fitted),
    /// For [`super::Crop::Random`].
    Pyramid(Pyramid),
}

impl Prepared {
    /// Bytes of memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Fitted(fitted) => fitted.bytes(),
            Self::Pyramid(pyramid) => pyramid.bytes(),
        }
    }
}
