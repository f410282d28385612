//! The four resampling filters, with Pillow's definitions.

/// A resampling filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// The mean of the covered pixels (Pillow `BOX`; the nearest pixel when enlarging).
    Box,
    /// Triangle (Pillow `BILINEAR`).
    Bilinear,
    /// Cubic convolution with `a = -0.5` (Pillow `BICUBIC`; also PyTorch's choice when antialiasing).
    Bicubic,
    /// Windowed sinc over three lobes (Pillow `LANCZOS`).
    Lanczos3,
}

impl Filter {
    /// Distance from the centre beyond which the filter is zero, in source pixels when not shrinking.
    pub(super) fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos3 => 3.0,
        }
    }

    /// The filter's height at distance `x`.
    ///
    /// The order of operations decides the last bits of the weights and hence the equality with Pillow: keep it.
    pub(super) fn weight(self, x: f64) -> f64 {
        match self {
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => bicubic(x.abs()),
            Self::Lanczos3 if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos3 => 0.0,
        }
    }
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}
