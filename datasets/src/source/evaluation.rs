//! Pictures in order, without any chance: what models are evaluated on.

use super::Source;
use super::fitted::Fitted;
use super::settings::DataSource;
use crate::error::Result;
use crate::load::{LoadOptions, decode_picture};
use crate::picture::Picture;

/// A picture to evaluate on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Path inside the source.
    pub key: String,
    /// The picture.
    pub picture: Picture,
    /// The class.
    pub label: Option<u32>,
    /// The caption.
    pub caption: Option<String>,
}

impl Source {
    /// Sample `index` as it is evaluated: [`crate::Crop::Fit`], never mirrored, on the fixed background (white for
    /// [`crate::Background::RandomFlat`]).
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn example(&self, index: usize) -> Result<Example> {
        let raster = self.decode(self.entry(index)?)?;
        let picture = Fitted::new(&raster, self.size)?.picture(self.settings.background.fixed())?;
        let (key, label, caption) = self.describe(index)?;
        Ok(Example { key, picture, label, caption })
    }

    /// All pictures in order at their original sizes, decoded one by one, on the fixed background (white for
    /// [`crate::Background::RandomFlat`]): key and picture, or why it cannot be read.
    pub fn pictures(&self) -> impl ExactSizeIterator<Item = (&str, Result<Picture>)> {
        let options = LoadOptions { background: self.settings.background.fixed(), ..LoadOptions::default() };
        self.entries.iter().map(move |entry| {
            let bytes = self.image_bytes(entry);
            (entry.key.as_str(), bytes.and_then(|bytes| decode_picture(&bytes, &self.name(entry), &options)))
        })
    }
}

/// A fixed set of pictures to evaluate on: at most `limit` samples of the source (of its split), in order and evenly
/// spread over it, each as [`Source::example`] gives it.
///
/// # Errors
/// Those of [`Source::open`] and [`Source::example`]: a damaged file ends it, since a set that shrinks in silence makes
/// figures incomparable.
pub fn validation(settings: &DataSource, size: u32, limit: usize) -> Result<Vec<Example>> {
    let source = Source::open(settings, size)?;
    let count = limit.min(source.len());
    // `usize` to `u128` and back: the quotient is below `len`.
    let place = |number: usize| (number as u128 * source.len() as u128 / count as u128) as usize;
    (0..count).map(|number| source.example(place(number))).collect()
}
