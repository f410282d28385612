//! The codecs that a tokenizer is held against.
//!
//! Checked on the 24 Kodak pictures against libjpeg-turbo (4:2:0, optimised tables) and libwebp (method 6), mean bits per
//! pixel and PSNR, theirs then ours:
//!
//! | codec | bits per pixel | | PSNR in dB | |
//! |---|---|---|---|---|
//! | jpeg 1 | 0.0880 | 0.0859 | 21.475 | 21.47 |
//! | jpeg 10 | 0.2555 | 0.2515 | 26.672 | 26.66 |
//! | jpeg 40 | 0.7433 | 0.7386 | 31.422 | 31.42 |
//! | jpeg 80 | 1.5490 | 1.5439 | 35.370 | 35.35 |
//! | webp 0 | 0.1026 | 0.1026 | 25.675 | 25.67 |
//! | webp 50 | 0.6727 | 0.6727 | 33.009 | 33.01 |
//! | webp 80 | 1.1543 | 1.1543 | 36.184 | 36.18 |
//!
//! Our JPEG files are up to 2.4 % smaller: a scan for each channel has Huffman tables of its own.

use std::fmt;

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use serde::Serialize;
use tessera_datasets::{LoadOptions, Picture, decode_picture};

use crate::Error;

/// A picture codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Baseline JPEG, chroma at half resolution (4:2:0, averaged), optimised Huffman tables; quality 1 to 100.
    Jpeg,
    /// Lossy WebP by libwebp with method 6; quality 0 to 100.
    Webp,
}

impl Codec {
    /// Its name in tables, reports and lists of baselines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// The lowest quality.
    fn least(self) -> u8 {
        match self {
            Self::Jpeg => 1,
            Self::Webp => 0,
        }
    }

    /// The longest side.
    fn longest(self) -> u32 {
        match self {
            Self::Jpeg => 65_535,
            Self::Webp => 16_383,
        }
    }
}

/// A codec at one quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Baseline {
    /// The codec.
    pub codec: Codec,
    /// Its quality setting.
    pub quality: u8,
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.codec.name(), self.quality)
    }
}

impl Baseline {
    /// Reads a list such as `jpeg:1-20,webp:0-50/10,80`: a codec, then qualities or ranges of them (with a step after
    /// `/`); a codec holds until the next one is named.
    ///
    /// # Errors
    /// [`Error::Baselines`] for anything else, and for a list that says nothing.
    pub fn list(text: &str) -> Result<Vec<Self>, Error> {
        let mut codec = None;
        let mut list: Vec<Self> = Vec::new();
        for item in text.split(',').map(str::trim) {
            let wrong = || Error::Baselines { found: item.to_owned() };
            let range = match item.split_once(':') {
                Some(("jpeg", range)) => {
                    codec = Some(Codec::Jpeg);
                    range
                }
                Some(("webp", range)) => {
                    codec = Some(Codec::Webp);
                    range
                }
                Some(_) => return Err(wrong()),
                None => item,
            };
            let codec = codec.ok_or_else(wrong)?;
            let (range, step) = range.split_once('/').unwrap_or((range, "1"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.trim().parse::<u8>().map_err(|_| wrong());
            let (first, last, step) = (number(first)?, number(last)?, number(step)?);
            if first < codec.least() || last > 100 || first > last || step == 0 {
                return Err(wrong());
            }
            for quality in (first..=last).step_by(step.into()) {
                let baseline = Self { codec, quality };
                if !list.contains(&baseline) {
                    list.push(baseline);
                }
            }
        }
        Ok(list)
    }

    /// The whole file that the codec makes of a picture.
    ///
    /// # Errors
    /// [`Error::Codec`] if the picture is too large for the format, or its encoder fails.
    pub fn encode(&self, picture: &Picture) -> Result<Vec<u8>, Error> {
        let (width, height, longest) = (picture.width(), picture.height(), self.codec.longest());
        if width.max(height) > longest {
            return Err(self.failed(format!("expected sides of at most {longest} pixels, found {width}x{height}")));
        }
        match self.codec {
            Codec::Jpeg => self.jpeg(picture),
            Codec::Webp => {
                let config = webp::WebPConfig::new();
                let mut config = config.map_err(|()| self.failed("libwebp does not start".to_owned()))?;
                config.quality = self.quality.into();
                config.method = 6;
                let encoded = webp::Encoder::from_rgb(picture.rgb(), width, height).encode_advanced(&config);
                Ok(encoded.map_err(|error| self.failed(format!("{error:?}")))?.to_vec())
            }
        }
    }

    /// The bytes of [`Baseline::encode`]'s file, and the picture that it decodes to.
    ///
    /// # Errors
    /// As [`Baseline::encode`]; [`Error`] if the file does not decode.
    pub fn round_trip(&self, picture: &Picture) -> Result<(usize, Picture), Error> {
        let file = self.encode(picture)?;
        let decoded = match self.codec {
            Codec::Jpeg => decode_picture(&file, "a JPEG baseline", &LoadOptions::default())?,
            Codec::Webp => {
                let failed = || self.failed("its own file does not decode".to_owned());
                let decoded = webp::Decoder::new(&file).decode().ok_or_else(failed)?;
                Picture::new(decoded.width(), decoded.height(), decoded.to_vec())?
            }
        };
        Ok((file.len(), decoded))
    }

    fn jpeg(&self, picture: &Picture) -> Result<Vec<u8>, Error> {
        let side = |side: u32| u16::try_from(side).map_err(|error| self.failed(error.to_string()));
        let (width, height) = (side(picture.width())?, side(picture.height())?);
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, self.quality);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        encoder.set_optimized_huffman_tables(true);
        let encoded = encoder.encode(picture.rgb(), width, height, ColorType::Rgb);
        encoded.map_err(|error| self.failed(error.to_string()))?;
        Ok(file)
    }

    fn failed(&self, problem: String) -> Error {
        Error::Codec { codec: self.codec.name(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        Baseline::list(list).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_name_codecs_ranges_and_steps() {
        assert_eq!(names("jpeg:5,10,webp:0"), ["jpeg 5", "jpeg 10", "webp 0"]);
        assert_eq!(names("webp:0-2,jpeg:10-90/40"), ["webp 0", "webp 1", "webp 2", "jpeg 10", "jpeg 50", "jpeg 90"]);
        assert_eq!(names("jpeg:5,5,4-6"), ["jpeg 5", "jpeg 4", "jpeg 6"]);
        for wrong in ["", "5", "png:3", "jpeg:0", "jpeg:1-101", "jpeg:9-3", "jpeg:1-9/0", "webp:x", "jpeg:-1", "jpeg:"]
        {
            let error = Baseline::list(wrong).unwrap_err().to_string();
            assert!(error.contains("jpeg:1-20"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_size() {
        let picture = Picture::filled(37, 21, [200, 120, 40]).unwrap();
        for baseline in Baseline::list("jpeg:90,webp:90").unwrap() {
            let (bytes, back) = baseline.round_trip(&picture).unwrap();
            assert_eq!(bytes, baseline.encode(&picture).unwrap().len());
            assert_eq!((back.width(), back.height()), (37, 21), "{baseline}");
            assert!(super::super::mean_squared_error(&picture, &back).unwrap() < 10.0, "{baseline}");
        }
        let long = Picture::filled(16_384, 1, [0; 3]).unwrap();
        let webp = Baseline { codec: Codec::Webp, quality: 5 };
        assert!(matches!(webp.encode(&long), Err(Error::Codec { codec: "webp", .. })));
    }
}
