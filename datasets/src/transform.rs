//! Single steps on pictures: resize by the shorter edge, crops, flip. Sizes and offsets follow torchvision.
//!
//! Nothing here draws random numbers: random crops and flips take their decisions as arguments, so that the caller's
//! seed is the only source of chance.

use crate::error::{DatasetError, Result};
use crate::picture::{Picture, check_sides};
use crate::resize::{Filter, resize};

/// The (width, height) after resizing so that the shorter edge is `size`: the longer one becomes
/// `size * longer / shorter`, cut to an integer (torchvision's rule).
///
/// # Errors
/// [`DatasetError::Zero`] if any argument is 0, [`DatasetError::TooLarge`] if the result has more than
/// [`crate::MAX_PIXELS`] pixels, as for the shorter edge 256 of a 30000x1 picture.
pub fn shorter_edge_size(width: u32, height: u32, size: u32) -> Result<(u32, u32)> {
    check_sides(width, height)?;
    if size == 0 {
        return Err(DatasetError::Zero { what: "a shorter edge" });
    }
    let (short, long) = (width.min(height), width.max(height));
    // The product of two u32 fits u64; the quotient is at least `size`, hence not 0.
    let scaled = u64::from(size) * u64::from(long) / u64::from(short);
    let too_large = || DatasetError::TooLarge {
        what: format!("a {width}x{height} picture resized to the shorter edge {size}"),
        width: if width <= height { size.into() } else { scaled },
        height: if width <= height { scaled } else { size.into() },
        limit: crate::MAX_PIXELS,
    };
    let long = u32::try_from(scaled).map_err(|_| too_large())?;
    if u64::from(size) * scaled > crate::MAX_PIXELS {
        return Err(too_large());
    }
    Ok(if width <= height { (size, long) } else { (long, size) })
}

/// Resizes so that the shorter edge is `size`, keeping the aspect ratio; see [`shorter_edge_size`] and [`resize`].
///
/// # Errors
/// Those of both.
pub fn resize_shorter_edge(picture: &Picture, size: u32, filter: Filter) -> Result<Picture> {
    let (width, height) = shorter_edge_size(picture.width(), picture.height(), size)?;
    resize(picture, width, height, filter)
}

/// The `width` x `height` window whose upper left corner is at column `left`, row `top`.
///
/// # Errors
/// [`DatasetError::Zero`] for an empty window, [`DatasetError::CropOutside`] if it does not lie inside the picture.
pub fn crop(picture: &Picture, left: u32, top: u32, width: u32, height: u32) -> Result<Picture> {
    check_window((picture.width(), picture.height()), (left, top), (width, height))?;
    let columns = left as usize * 3..(left as usize + width as usize) * 3;
    let rows = picture.rgb().chunks_exact(picture.stride()).skip(top as usize).take(height as usize);
    let rgb = rows.filter_map(|row| row.get(columns.clone())).flatten().copied().collect();
    Picture::new(width, height, rgb)
}

/// The middle `size` x `size` window, its corner at `round((side - size) / 2)` with halves to the even number
/// (torchvision's rule, through Python's `round`).
///
/// Unlike torchvision, a picture smaller than the window is refused and not surrounded by black.
///
/// # Errors
/// As [`crop`].
pub fn center_crop(picture: &Picture, size: u32) -> Result<Picture> {
    let left = centred(picture.width(), size);
    crop(picture, left, centred(picture.height(), size), size, size)
}

/// The `size` x `size` window at offsets that the caller has drawn: `left` from `0..=width - size`, `top` from
/// `0..=height - size`.
///
/// # Errors
/// As [`crop`].
pub fn random_crop(picture: &Picture, size: u32, left: u32, top: u32) -> Result<Picture> {
    crop(picture, left, top, size, size)
}

/// The mirror image, left and right exchanged.
pub fn flip_horizontal(picture: &Picture) -> Picture {
    let rows = picture.rgb().chunks_exact(picture.stride());
    let rgb = rows.flat_map(|row| row.as_chunks::<3>().0.iter().rev()).flatten().copied().collect();
    Picture::from_parts(picture.width(), picture.height(), rgb)
}

/// Where a centred window of `size` begins on a side of `side` pixels; 0 if it does not fit.
pub(crate) fn centred(side: u32, size: u32) -> u32 {
    let spare = side.saturating_sub(size);
    let half = spare / 2;
    // An odd rest leaves `half + 0.5`, which goes to the even neighbour.
    if spare % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// Refuses an empty window and one that reaches outside; all pairs are (horizontal, vertical).
pub(crate) fn check_window(
    (width, height): (u32, u32),
    (left, top): (u32, u32),
    (crop_width, crop_height): (u32, u32),
) -> Result<()> {
    check_sides(crop_width, crop_height)?;
    let fits = |start: u32, length: u32, side: u32| start.checked_add(length).is_some_and(|end| end <= side);
    if fits(left, crop_width, width) && fits(top, crop_height, height) {
        return Ok(());
    }
    Err(DatasetError::CropOutside { width, height, crop_width, crop_height, left, top })
}
