//! Walks the markers of a JPEG file to learn what the decoder does not tell.
//!
//! The decoder fills the missing part of a cut-off file with grey and reports success, it converts CMYK silently, and
//! it garbles some rare layouts. A dataset needs to know, so the markers are read here once: how many colour components
//! there are, in which way they are stored, and whether the end marker is reached. Embedded thumbnails lie inside
//! segments and are stepped over.

use crate::jpeg_frame::{Colours, Frame, Route};

/// The facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JpegFacts {
    /// Colour components of the first frame header; 4 means CMYK or YCCK.
    pub(crate) components: Option<u8>,
    /// The decoder that reads the layout right.
    pub(crate) route: Route,
    /// What the components mean.
    pub(crate) colours: Colours,
    /// Whether the end-of-image marker was reached.
    pub(crate) complete: bool,
}

/// Reads the markers of `bytes`; never fails, a file cut off anywhere is simply not complete.
pub(crate) fn scan(bytes: &[u8]) -> JpegFacts {
    let mut facts = JpegFacts::default();
    let (mut frame, mut jfif, mut adobe, mut first_scan) = (None, false, None, None);
    let mut rest = bytes;
    while let Some((marker, after)) = next_marker(rest) {
        rest = match marker {
            0xD9 => {
                facts.complete = true;
                break;
            }
            // Start of image, restart and temporary markers stand alone.
            0x01 | 0xD0..=0xD8 => after,
            _ => {
                let Some((segment, behind)) = split_segment(after) else {
                    break;
                };
                match marker {
                    // Huffman tables, a reserved marker and arithmetic conditioning lie among the frame markers.
                    0xC4 | 0xC8 | 0xCC => {}
                    // Start of frame, any coding: precision, height, width, then the component count.
                    0xC0..=0xCF => {
                        facts.components = facts.components.or(segment.get(5).copied());
                        frame = frame.or(Frame::parse(marker, segment));
                    }
                    // The first start of scan ends the part that decides about colours.
                    0xDA => first_scan = first_scan.or(segment.first().copied()),
                    0xE0 if first_scan.is_none() => jfif |= segment.starts_with(b"JFIF\0"),
                    // Version and two words of flags come before the transform.
                    0xEE if first_scan.is_none() && segment.starts_with(b"Adobe") => {
                        adobe = segment.get(11).copied().or(adobe);
                    }
                    _ => {}
                }
                behind
            }
        };
    }
    if let (Some(frame), Some(first_scan)) = (frame, first_scan) {
        facts.route = frame.route(first_scan.into());
        facts.colours = frame.colours(jfif, adobe);
    }
    facts
}

/// The next marker byte and what follows it. Compressed data and stray bytes are skipped: inside them `FF 00` is a
/// data byte, and any number of `FF` may stand before a marker.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        let start = rest.iter().position(|&byte| byte == 0xFF)?;
        rest = rest.get(start + 1..)?;
        let (&marker, after) = rest.split_first()?;
        match marker {
            0x00 => rest = after,
            // A fill byte: look at this `FF` again as the possible start of a marker.
            0xFF => {}
            _ => return Some((marker, after)),
        }
    }
}

/// Splits a segment (two length bytes that count themselves, then the content) from what follows it.
fn split_segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    bytes.get(2..)?.split_at_checked(length.checked_sub(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &[u8] = &[0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 1, 0, 1, 4, 0, 0, 0];

    fn with(tail: &[u8]) -> JpegFacts {
        scan(&[START, tail].concat())
    }

    #[test]
    fn the_end_marker_inside_a_segment_does_not_count() {
        // An application segment holding a whole thumbnail with its own end marker.
        let facts = with(&[0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9, 0xFF, 0xDA, 0, 2, 1, 2]);
        assert_eq!(facts, JpegFacts { components: Some(4), ..JpegFacts::default() });
    }

    #[test]
    fn stuffed_bytes_restarts_and_fill_bytes_are_passed() {
        let facts = with(&[0xFF, 0xDA, 0, 2, 7, 0xFF, 0, 0xD9, 0xFF, 0xD0, 9, 0xFF, 0xFF, 0xD9]);
        assert!(facts.complete);
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        assert!(!with(&[0xFF, 0xE0, 0, 1, 0xFF, 0xD9]).complete);
        assert!(!with(&[0xFF, 0xE0, 0xFF, 0xFF, 0xFF, 0xD9]).complete);
        assert_eq!(scan(&[]), JpegFacts::default());
    }
}
