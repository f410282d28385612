//! A white drawing surface with two operations: place an enlarged picture, write a line of text.

use font8x8::{BASIC_FONTS, GREEK_FONTS, LATIN_FONTS, UnicodeFonts as _};

use crate::error::Result;
use crate::picture::{Picture, checked_pixels};

/// Width and height of a character in pixels.
pub(crate) const GLYPH: u32 = 8;
/// Shown for characters that the font lacks: an empty box.
const MISSING: [u8; 8] = [0x7F, 0x41, 0x41, 0x41, 0x41, 0x41, 0x7F, 0];
const PAPER: u8 = 255;
const INK: u8 = 0;

/// The surface; whatever is drawn outside of it is cut off.
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Canvas {
    /// A white surface; the errors of [`Picture::filled`].
    pub(crate) fn new(width: u32, height: u32) -> Result<Self> {
        let pixels = checked_pixels(width, height, "a contact sheet")?;
        Ok(Self { width, height, rgb: vec![PAPER; pixels * 3] })
    }

    /// Draws `picture` with its corner at (`left`, `top`), each pixel as a square of `factor` x `factor`.
    pub(crate) fn place(&mut self, picture: &Picture, left: u32, top: u32, factor: u32) {
        let repeat = factor as usize;
        let rows = picture.rgb().chunks_exact(picture.stride());
        let tall = rows.flat_map(|row| std::iter::repeat_n(row, repeat));
        for (target, row) in self.rows_below(top).zip(tall) {
            let wide = row.as_chunks::<3>().0.iter().flat_map(|colour| std::iter::repeat_n(colour, repeat));
            let pixels = target.as_chunks_mut::<3>().0.iter_mut().skip(left as usize);
            pixels.zip(wide).for_each(|(pixel, colour)| *pixel = *colour);
        }
    }

    /// Writes one line in black with its upper left corner at (`left`, `top`).
    pub(crate) fn write(&mut self, text: &str, left: u32, top: u32) {
        let glyphs: Vec<[u8; 8]> = text.chars().map(glyph).collect();
        for (line, target) in (0..8).zip(self.rows_below(top)) {
            // In each byte of a glyph the lowest bit is the leftmost pixel.
            let bits =
                glyphs.iter().filter_map(|glyph| glyph.get(line)).flat_map(|&byte| (0..8).map(move |x| byte >> x & 1));
            let pixels = target.as_chunks_mut::<3>().0.iter_mut().skip(left as usize);
            pixels.zip(bits).filter(|(_, bit)| *bit == 1).for_each(|(pixel, _)| *pixel = [INK; 3]);
        }
    }

    /// The finished picture.
    pub(crate) fn finish(self) -> Picture {
        Picture::from_parts(self.width, self.height, self.rgb)
    }

    fn rows_below(&mut self, top: u32) -> impl Iterator<Item = &mut [u8]> {
        self.rgb.chunks_exact_mut(self.width as usize * 3).skip(top as usize)
    }
}

fn glyph(character: char) -> [u8; 8] {
    let fonts =
        || BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character)).or_else(|| GREEK_FONTS.get(character));
    if character.is_control() { MISSING } else { fonts().unwrap_or(MISSING) }
}
