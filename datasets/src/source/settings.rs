//! [`DataSource`]: what a configuration file says about one source of a training mixture.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};

/// How a picture of any size becomes the square of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// The whole picture as far as it is square: shorter edge to the size, middle cut out, always the same result.
    ///
    /// Where the shorter edge is a multiple of the size, each value is the exact mean of its block of pixels; other
    /// sizes are resized with the antialiased bicubic filter.
    #[default]
    Fit,
    /// A square window at a random place and scale, see [`DataSource::scales`].
    Random,
}

/// What lies behind transparent pixels. Composited in the stored (gamma) values, as
/// [`LoadOptions::background`](crate::LoadOptions::background) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// White.
    #[default]
    White,
    /// Black.
    Black,
    /// Another colour for every sample, drawn evenly from all of them.
    RandomFlat,
    /// This sRGB colour; in TOML `background = { colour = [32, 64, 96] }`.
    Colour([u8; 3]),
}

impl Background {
    /// The fixed colour; [`Background::RandomFlat`] has none and gives white, as evaluation wants it.
    pub fn fixed(self) -> [u8; 3] {
        match self {
            Self::White | Self::RandomFlat => [255; 3],
            Self::Black => [0; 3],
            Self::Colour(colour) => colour,
        }
    }
}

/// One data source of a training mixture.
///
/// Every field but [`DataSource::path`] has a default. In TOML:
///
/// ```toml
/// [[data]]
/// path = "emoji128.tar"
/// labels = "labels.csv"
/// split = "train"
/// class_column = "group_id"
/// background = "random_flat"
/// flip = true
/// no_flip = ["group=symbols", "subgroup=time"]
///
/// [[data]]
/// path = "photos"
/// weight = 2.0
/// crop = "random"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSource {
    /// A folder (searched through with the folders inside), one plain `.tar`, or a pattern of webdataset shards such
    /// as `shards-{000..012}.tar`.
    pub path: PathBuf,
    /// A CSV table with a column `file`: the image's path inside the tar or folder, `/` between its parts.
    ///
    /// Its column `split` and that of captions are used if present, others on request. The table decides what belongs to the
    /// source: images without a row are left out; a row (of the split) without its image is an error.
    pub labels: Option<PathBuf>,
    /// The CSV column of integers that becomes the class label, for example `group_id`; an empty field means none.
    ///
    /// Without it, a webdataset's `.cls` files give the labels.
    pub class_column: Option<String>,
    /// The CSV column of captions; `caption`, if the table has it, where this is absent.
    pub caption_column: Option<String>,
    /// CSV columns whose values go before the caption as words, each with its column's name: `style=noto group=animals`.
    /// Spaces inside a value become `_`.
    pub tags: Vec<String>,
    /// Keeps the samples of this split; everything if absent.
    ///
    /// With a `split` column in the table, its values. Otherwise `train`, `val` or `test`: a hash of the sample's key
    /// decides, the same in every run and program, with the shares of [`DataSource::holdout`].
    pub split: Option<String>,
    /// The share of samples that the hash puts into `val`, and the same share into `test`; at most 0.5. Only used where
    /// no table says the split. 0 by default: then every sample is `train`.
    pub holdout: f64,
    /// The share of this source among all samples, relative to the other sources' weights. 1 by default.
    pub weight: f64,
    /// How pictures become squares.
    pub crop: Crop,
    /// For [`Crop::Random`]: the window's side is the model's size times a factor drawn log-evenly from this range.
    ///
    /// Windows are never smaller than the model's size (nothing is enlarged) and never larger than the picture; the
    /// range is cut to these bounds before the draw. A picture smaller than the model's size is enlarged. `[1, 8]` by
    /// default.
    pub scales: [f64; 2],
    /// Mirrors every other sample, by chance. Off by default.
    pub flip: bool,
    /// Samples that are never mirrored: values of CSV columns as `column=value`, for example `group=symbols`.
    pub no_flip: Vec<String>,
    /// What lies behind transparent pixels.
    pub background: Background,
}

impl Default for DataSource {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            labels: None,
            class_column: None,
            caption_column: None,
            tags: Vec::new(),
            split: None,
            holdout: 0.0,
            weight: 1.0,
            crop: Crop::default(),
            scales: [1.0, 8.0],
            flip: false,
            no_flip: Vec::new(),
            background: Background::default(),
        }
    }
}

impl DataSource {
    /// The source at `path` with every other setting at its default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Refuses numbers outside their ranges and columns without a table to hold them.
    ///
    /// # Errors
    /// [`DatasetError::Setting`] about the first wrong one.
    pub fn check(&self) -> Result<()> {
        let wrong = |setting, expected, found: String| Err(DatasetError::Setting { setting, expected, found });
        if self.path.as_os_str().is_empty() {
            return wrong("path", "a folder, a tar file or a pattern of shards", "nothing".into());
        }
        if !(0.0..=0.5).contains(&self.holdout) {
            return wrong("holdout", "a share between 0 and 0.5", self.holdout.to_string());
        }
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return wrong("weight", "a positive number", self.weight.to_string());
        }
        let [low, high] = self.scales;
        if !(low.is_finite() && high.is_finite() && low > 0.0 && low <= high) {
            return wrong("scales", "two positive factors, the smaller one first", format!("[{low}, {high}]"));
        }
        if self.labels.is_none() {
            if let Some(column) = &self.class_column {
                return wrong("class_column", "a table in `labels` that holds the column", format!("only {column:?}"));
            }
            if let Some(column) = &self.caption_column {
                return wrong(
                    "caption_column",
                    "a table in `labels` that holds the column",
                    format!("only {column:?}"),
                );
            }
            if let Some(column) = self.tags.first() {
                return wrong("tags", "a table in `labels` that holds the column", format!("only {column:?}"));
            }
            if let Some(rule) = self.no_flip.first() {
                return wrong("no_flip", "a table in `labels` that holds the column", format!("only {rule:?}"));
            }
        }
        self.no_flip_rules().map(drop)
    }

    /// [`DataSource::no_flip`] as pairs of column and value.
    pub(crate) fn no_flip_rules(&self) -> Result<Vec<(&str, &str)>> {
        let pair = |rule: &String| DatasetError::Setting {
            setting: "no_flip",
            expected: "rules of the form `column=value`",
            found: format!("{rule:?}"),
        };
        self.no_flip.iter().map(|rule| rule.split_once('=').ok_or_else(|| pair(rule))).collect()
    }
}
