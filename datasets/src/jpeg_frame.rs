//! Which of two decoders reads a JPEG right, from its frame header and its first scan header.
//!
//! zune-jpeg 0.5.15 (the decoder of the `image` crate) reports success and returns garbage when a baseline file gives
//! its components in several scans and any of them is subsampled or restart markers are used, and when the first
//! component is stored smaller than another. jpeg-decoder 0.3.2 reads those files right, with one exception of its own.

/// Who decodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// The decoder of the `image` crate.
    #[default]
    Usual,
    /// The other decoder: see [`crate::jpeg_planes`].
    Planes,
    /// None decodes it right.
    Refuse,
}

/// How the three or four numbers of a pixel become a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Colours {
    /// Brightness and two colour differences, the usual case.
    #[default]
    YCbCr,
    /// Red, green, blue as they are.
    Rgb,
    /// Four inks as they are.
    Cmyk,
    /// The first three as [`Colours::YCbCr`], then black.
    Ycck,
}

/// A start-of-frame segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Whether coefficients come in several passes.
    progressive: bool,
    /// Three bytes a component: identifier, sampling factors (horizontal in the upper four bits), table.
    components: &'a [[u8; 3]],
}

impl<'a> Frame<'a> {
    /// Reads a baseline, extended or progressive Huffman frame; others (and cut-off ones) are the usual decoder's to
    /// refuse.
    pub(crate) fn parse(marker: u8, segment: &'a [u8]) -> Option<Self> {
        if !matches!(marker, 0xC0..=0xC2) {
            return None;
        }
        // Precision, height and width come before the count.
        let (&count, fields) = segment.get(5..)?.split_first()?;
        let components = fields.as_chunks().0.get(..usize::from(count))?;
        Some(Self { progressive: marker == 0xC2, components })
    }

    /// Decides for a file whose first scan holds `first_scan` components.
    pub(crate) fn route(&self, first_scan: usize) -> Route {
        let factors = || self.components.iter().map(|&[_, factors, _]| (factors >> 4, factors & 15));
        let most = factors().fold((1, 1), |most, it| (most.0.max(it.0), most.1.max(it.1)));
        let in_one_scan = first_scan >= self.components.len();
        // A single component is never subsampled, whatever its factors say.
        let usual = self.components.len() < 2 || factors().next() == Some(most) && (self.progressive || in_one_scan);
        // Alone in its scan, a component has only the blocks that the picture needs. The other decoder counts them
        // right when each side is stored in full or at the smallest size.
        let full_or_least = |(across, down)| (across == 1 || across == most.0) && (down == 1 || down == most.1);
        if usual {
            Route::Usual
        } else if factors().all(full_or_least) || in_one_scan && !self.progressive {
            Route::Planes
        } else {
            Route::Refuse
        }
    }

    /// The colours by the rules of libjpeg: the application segments speak first, then the identifiers.
    pub(crate) fn colours(&self, jfif: bool, adobe: Option<u8>) -> Colours {
        let named_rgb = self.components.iter().map(|&[name, ..]| name).eq(*b"RGB");
        match (self.components.len(), adobe) {
            (4, None | Some(0)) => Colours::Cmyk,
            (4, Some(_)) => Colours::Ycck,
            (3, Some(0)) if !jfif => Colours::Rgb,
            (3, None) if !jfif && named_rgb => Colours::Rgb,
            _ => Colours::YCbCr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The route of a frame of these sampling factors.
    fn route(marker: u8, factors: &[u8], first_scan: usize) -> Route {
        let count = u8::try_from(factors.len()).unwrap();
        let mut segment = vec![8, 0, 9, 0, 9, count];
        segment.extend((1..).zip(factors).flat_map(|(name, &factors)| [name, factors, 0]));
        Frame::parse(marker, &segment).unwrap().route(first_scan)
    }

    #[test]
    fn one_scan_and_progressive_files_take_the_usual_way() {
        for factors in [&[0x11][..], &[0x22], &[0x22, 0x11, 0x11], &[0x41, 0x21, 0x11], &[0x11; 3], &[0x11; 4]] {
            assert_eq!(route(0xC0, factors, factors.len()), Route::Usual);
            assert_eq!(route(0xC1, factors, factors.len()), Route::Usual);
            assert_eq!(route(0xC2, factors, 1), Route::Usual);
        }
    }

    #[test]
    fn baseline_in_several_scans_takes_the_other_way() {
        for factors in [&[0x11; 3], &[0x22, 0x11, 0x11], &[0x21, 0x11, 0x11], &[0x22, 0x21, 0x12], &[0x44, 0x11, 0x41]]
        {
            assert_eq!(route(0xC0, factors, 1), Route::Planes);
            assert_eq!(route(0xC1, factors, 2), Route::Planes);
        }
    }

    #[test]
    fn a_first_component_below_another_takes_the_other_way() {
        assert_eq!(route(0xC0, &[0x11, 0x22, 0x22], 3), Route::Planes);
        assert_eq!(route(0xC0, &[0x41, 0x22, 0x11], 3), Route::Planes);
        assert_eq!(route(0xC2, &[0x11, 0x22, 0x22], 3), Route::Planes);
        assert_eq!(route(0xC2, &[0x41, 0x22, 0x11], 3), Route::Refuse);
    }

    #[test]
    fn sizes_between_full_and_least_in_several_scans_are_refused() {
        assert_eq!(route(0xC0, &[0x41, 0x21, 0x11], 1), Route::Refuse);
        assert_eq!(route(0xC0, &[0x14, 0x12, 0x11], 1), Route::Refuse);
    }

    #[test]
    fn frames_of_other_kinds_and_cut_ones_are_left_alone() {
        assert_eq!(Frame::parse(0xC3, &[8, 0, 9, 0, 9, 1, 1, 0x11, 0]), None);
        assert_eq!(Frame::parse(0xC0, &[8, 0, 9, 0, 9, 2, 1, 0x11, 0]), None);
        assert_eq!(Frame::parse(0xC0, &[8, 0, 9]), None);
    }

    #[test]
    fn colours_follow_the_application_segments_and_then_the_identifiers() {
        let named = |names: &[u8]| {
            let mut segment = vec![8, 0, 9, 0, 9, u8::try_from(names.len()).unwrap()];
            segment.extend(names.iter().flat_map(|&name| [name, 0x11, 0]));
            segment
        };
        let colours = |names: &[u8], jfif, adobe| Frame::parse(0xC0, &named(names)).unwrap().colours(jfif, adobe);
        assert_eq!(colours(b"RGB", false, None), Colours::Rgb);
        assert_eq!(colours(b"RGB", true, None), Colours::YCbCr);
        assert_eq!(colours(b"RGB", false, Some(1)), Colours::YCbCr);
        assert_eq!(colours(&[1, 2, 3], false, Some(0)), Colours::Rgb);
        assert_eq!(colours(&[1, 2, 3], true, Some(0)), Colours::YCbCr);
        assert_eq!(colours(&[0, 1, 2], false, None), Colours::YCbCr);
        assert_eq!(colours(&[1, 2, 3, 4], true, None), Colours::Cmyk);
        assert_eq!(colours(&[1, 2, 3, 4], false, Some(2)), Colours::Ycck);
    }
}
