//! From an entry of a source to the values of a picture: what is prepared once, and what chance decides for each sample.

use rand::Rng;

use super::fitted::Fitted;
use super::prepared::Prepared;
use super::pyramid::Pyramid;
use super::settings::{Background, Crop};
use super::{Caption, Entry, Source};
use crate::error::Result;
use crate::load::{LoadOptions, decode_raster};
use crate::raster::Raster;

/// The most pixels of a picture that is trained on (67,108,864, for example 8192x8192): every worker may hold one.
const MAX_TRAINING_PIXELS: u64 = 1 << 26;

/// A sample ready for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Path inside the source.
    pub key: String,
    /// `[3, size, size]` flattened, values in `[0, 1]`.
    pub image: Vec<f32>,
    /// The class.
    pub label: Option<u32>,
    /// The caption.
    pub caption: Option<String>,
}

impl Source {
    /// Sample `index` with crop, background and mirroring drawn from `rng`.
    ///
    /// # Errors
    /// [`crate::DatasetError::NoSuchSample`], [`crate::DatasetError::FileTooLarge`],
    /// [`crate::DatasetError::NotText`], those of reading and of [`crate::decode_picture`].
    pub fn load(&self, index: usize, rng: &mut impl Rng) -> Result<Sample> {
        let prepared = self.prepare(index)?;
        let mut image = vec![0.0; 3 * self.size as usize * self.size as usize];
        self.render(index, &prepared, rng, &mut image)?;
        let (key, label, caption) = self.describe(index)?;
        Ok(Sample { key, image, label, caption })
    }

    /// Reads and decodes sample `index`, and does all that does not depend on chance.
    pub(crate) fn prepare(&self, index: usize) -> Result<Prepared> {
        let raster = self.decode(self.entry(index)?)?;
        Ok(match self.settings.crop {
            Crop::Fit => Prepared::Fitted(Fitted::new(&raster, self.size)?),
            Crop::Random => Prepared::Pyramid(Pyramid::new(raster, self.size, self.settings.scales)),
        })
    }

    /// Reads and decodes an entry.
    pub(super) fn decode(&self, entry: &Entry) -> Result<Raster> {
        let options = LoadOptions { max_pixels: MAX_TRAINING_PIXELS, ..LoadOptions::default() };
        decode_raster(&self.image_bytes(entry)?, &self.name(entry), &options)
    }

    /// Draws one view of a prepared sample into `image`, `[3, size, size]`.
    pub(crate) fn render(
        &self,
        index: usize,
        prepared: &Prepared,
        rng: &mut impl Rng,
        image: &mut [f32],
    ) -> Result<()> {
        // Drawn whether used or not, so that one setting does not change what another one draws.
        let (random_colour, mirrored) = (rng.random::<[u8; 3]>(), rng.random::<bool>());
        let background = match self.settings.background {
            Background::RandomFlat => random_colour,
            other => other.fixed(),
        };
        match prepared {
            Prepared::Fitted(fitted) => fitted.render(background, image),
            Prepared::Pyramid(pyramid) => pyramid.render(self.size, self.settings.scales, background, rng, image)?,
        }
        if mirrored && self.settings.flip && self.entry(index)?.may_flip {
            image.chunks_exact_mut(self.size as usize).for_each(<[f32]>::reverse);
        }
        Ok(())
    }

    /// Key, label and caption of sample `index`.
    pub(crate) fn describe(&self, index: usize) -> Result<(String, Option<u32>, Option<String>)> {
        let entry = self.entry(index)?;
        let caption = match &entry.caption {
            Caption::None => None,
            Caption::Text(text) => Some(text.clone()),
            Caption::Member(place) => {
                let name = format!("the caption of {}", self.name(entry));
                Some(place.text(self.file(*place), &name)?).filter(|text| !text.is_empty())
            }
        };
        Ok((entry.key.clone(), entry.label, caption))
    }
}
