//! [`Sheet`]: pictures side by side with text below, as one picture to look at.

use crate::canvas::{Canvas, GLYPH};
use crate::error::{DatasetError, Result};
use crate::picture::Picture;

/// White space around cells, in pixels.
const GAP: u32 = 8;
/// Height of a line of text with its spacing.
const LINE: u32 = GLYPH + 2;
/// Text may widen the cell of a small picture up to this many characters; longer lines are broken.
const LABEL_CHARACTERS: usize = 24;

/// A contact sheet: small pictures are enlarged by a whole factor without smoothing, lines of text stand below each.
///
/// ```
/// use tessera_datasets::{Picture, Sheet};
/// let tiny = Picture::filled(16, 16, [255, 0, 0])?;
/// let sheet = Sheet::new().push(tiny.clone(), &["input"]).push(tiny, &["8 tokens", "31.2 dB"]).draw()?;
/// assert_eq!((sheet.width(), sheet.height()), (280, 168));
/// # Ok::<(), tessera_datasets::DatasetError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sheet {
    cells: Vec<(Picture, Vec<String>)>,
    cell_side: u32,
    max_width: u32,
}

impl Default for Sheet {
    fn default() -> Self {
        Self::new()
    }
}

/// Where one cell goes and how it looks.
struct Placed<'a> {
    picture: &'a Picture,
    factor: u32,
    lines: Vec<String>,
    left: u32,
    top: u32,
}

impl Sheet {
    /// An empty sheet: pictures enlarged to at most 128 pixels, rows of at most 1600 pixels.
    pub fn new() -> Self {
        Self { cells: Vec::new(), cell_side: 128, max_width: 1600 }
    }

    /// Enlarges each picture by the largest whole factor that keeps its longer side within `pixels`; larger pictures are
    /// drawn as they are.
    pub fn with_cell_side(mut self, pixels: u32) -> Self {
        self.cell_side = pixels;
        self
    }

    /// Begins a new row before a row would get wider than `pixels`; a single wider cell still gets its own row.
    pub fn with_max_width(mut self, pixels: u32) -> Self {
        self.max_width = pixels;
        self
    }

    /// Adds a picture with the lines of text below it. ASCII, Latin-1 and Greek letters are drawn, others as a box.
    pub fn push<S: AsRef<str>>(mut self, picture: Picture, lines: &[S]) -> Self {
        self.cells.push((picture, lines.iter().map(|line| line.as_ref().to_owned()).collect()));
        self
    }

    /// Draws all cells in order, from left to right and top to bottom.
    ///
    /// # Errors
    /// [`DatasetError::EmptySheet`] without cells, [`DatasetError::TooLarge`] over [`crate::MAX_PIXELS`] pixels.
    pub fn draw(&self) -> Result<Picture> {
        if self.cells.is_empty() {
            return Err(DatasetError::EmptySheet);
        }
        let (placed, width, height) = self.arrange();
        let mut canvas = Canvas::new(width, height)?;
        for cell in placed {
            canvas.place(cell.picture, cell.left, cell.top, cell.factor);
            let below = cell.top.saturating_add(cell.factor * cell.picture.height() + GLYPH / 2);
            for (line, top) in cell.lines.iter().zip((below..).step_by(LINE as usize)) {
                canvas.write(line, cell.left, top);
            }
        }
        Ok(canvas.finish())
    }

    /// Positions of all cells, then width and height of the sheet; sums saturate and are refused by the canvas.
    fn arrange(&self) -> (Vec<Placed<'_>>, u32, u32) {
        let mut placed = Vec::with_capacity(self.cells.len());
        let (mut left, mut top, mut width, mut row_height) = (GAP, GAP, 0, 0);
        for (picture, labels) in &self.cells {
            let factor = (self.cell_side / picture.width().max(picture.height())).max(1);
            let longest = labels.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            let text_width = longest.min(LABEL_CHARACTERS) as u32 * GLYPH;
            let cell_width = (factor * picture.width()).max(text_width);
            let lines = wrap(labels, (cell_width / GLYPH).max(1) as usize);
            let text_height = u32::try_from(lines.len()).unwrap_or(u32::MAX).saturating_mul(LINE);
            let cell_height = (factor * picture.height()).saturating_add(GLYPH / 2).saturating_add(text_height);
            let right = left.saturating_add(cell_width).saturating_add(GAP);
            if right > self.max_width && left > GAP {
                (left, top, row_height) = (GAP, top.saturating_add(row_height).saturating_add(GAP), 0);
            }
            placed.push(Placed { picture, factor, lines, left, top });
            left = left.saturating_add(cell_width).saturating_add(GAP);
            width = width.max(left);
            row_height = row_height.max(cell_height);
        }
        (placed, width, top.saturating_add(row_height).saturating_add(GAP))
    }
}

/// Breaks every line after `columns` characters.
fn wrap(labels: &[String], columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for label in labels {
        let characters: Vec<char> = label.chars().collect();
        if characters.is_empty() {
            lines.push(String::new());
        }
        lines.extend(characters.chunks(columns).map(|part| part.iter().collect::<String>()));
    }
    lines
}
