//! Pictures through a tokenizer and through codecs, one group at a time.

use std::collections::VecDeque;
use std::time::Instant;

use burn::tensor::Device;
use tessera_datasets::{Picture, TileGrid};
use tessera_tokenizers::bitstream::write_tsr;
use tessera_tokenizers::{DecodeOptions, FlowOptions, PictureInfo, TokenFile, Tokenizer, TokenizerError, Tokens};

use super::baseline::Baseline;
use super::feature_net::FeatureNet;
use super::ms_ssim::similarities;
use super::perceptual::PerceptualMetric;
use super::psnr::{mean_squared_error, psnr_of};
use super::rate::token_bits;
use super::report::{FramingFacts, Mean, Method, ModelFacts, Point, Quality, Report};
use super::sets::Features;
use super::usage::CodeUsage;
use crate::squares::{at_once, decode_squares, encode_squares};
use crate::{Error, Framing, model_side};

/// What to evaluate.
#[derive(Debug, Clone)]
pub struct EvaluationOptions {
    /// How pictures meet the model's size.
    pub framing: Framing,
    /// Token counts of each square, decoded from one encoding; empty for all tokens, and for models that decode no part.
    pub tokens: Vec<usize>,
    /// Codecs that the same pictures go through.
    pub baselines: Vec<Baseline>,
    /// Squares that go through the model at once; by default about 2^18 pixels.
    pub batch: Option<usize>,
    /// How models that decode by sampling do it; by default as they say themselves.
    pub flow: FlowOptions,
}

/// The networks that judge pictures. None by default.
#[derive(Default)]
pub struct Judges<'a> {
    /// Distances of single pictures.
    pub metrics: Vec<Box<dyn PerceptualMetric + 'a>>,
    /// Features whose distributions are compared.
    pub nets: Vec<FeatureNet>,
}

/// An evaluation under way. Pictures are pushed one after the other; none is held longer than its group needs, which is
/// one tiled picture or as many resized ones as go through the model at once.
///
/// ```
/// use tessera::datasets::Picture;
/// use tessera::eval::{Baseline, Evaluation, EvaluationOptions, Judges};
/// use tessera::{Framing, default_tokenizer, framed};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = burn::tensor::Device::flex();
/// let tokenizer = default_tokenizer(&device)?;
/// let options = EvaluationOptions {
///     framing: Framing::Tile { overlap: 4 },
///     tokens: vec![1, 64],
///     baselines: Baseline::list("jpeg:5")?,
///     batch: None,
///     flow: Default::default(),
/// };
/// let mut evaluation = Evaluation::new(&*tokenizer, &device, options, Judges::default());
/// let picture = Picture::filled(40, 30, [90, 120, 200])?;
/// evaluation.push("blue", framed(&picture, Framing::Tile { overlap: 4 }, tokenizer.info())?.into_owned())?;
/// let report = evaluation.finish()?;
/// assert_eq!((report.pictures, report.points.len()), (1, 3));
/// # Ok(())
/// # }
/// ```
pub struct Evaluation<'a> {
    tokenizer: &'a dyn Tokenizer,
    device: &'a Device,
    options: EvaluationOptions,
    judges: Judges<'a>,
    originals: Features,
    waiting: VecDeque<(String, Picture)>,
    points: Vec<Unfinished>,
    encode_seconds: f64,
    /// Squares decoded so far: each draws its noise by its index.
    squares: u64,
}

struct Unfinished {
    method: Method,
    /// Tokens to decode; `None` for all, and for a codec.
    keep: Option<usize>,
    usage: CodeUsage,
    features: Features,
    seconds: f64,
    pictures: Vec<Quality>,
}

impl<'a> Evaluation<'a> {
    /// An evaluation without pictures.
    pub fn new(
        tokenizer: &'a dyn Tokenizer,
        device: &'a Device,
        options: EvaluationOptions,
        judges: Judges<'a>,
    ) -> Self {
        let vocab = &tokenizer.info().vocab;
        let point = |method, keep| Unfinished {
            method,
            keep,
            usage: CodeUsage::new(vocab),
            features: Features::new(&judges.nets),
            seconds: 0.0,
            pictures: Vec::new(),
        };
        let mut points: Vec<Unfinished> =
            options.tokens.iter().map(|&tokens| point(Method::Tokens { tokens }, Some(tokens))).collect();
        if points.is_empty() {
            points.push(point(Method::Tokens { tokens: tokenizer.info().layout.positions() }, None));
        }
        points.extend(options.baselines.iter().map(|&baseline| point(Method::Baseline(baseline), None)));
        let originals = Features::new(&judges.nets);
        let (waiting, encode_seconds) = (VecDeque::new(), 0.0);
        Self { tokenizer, device, options, judges, originals, waiting, points, encode_seconds, squares: 0 }
    }

    /// Adds a picture as [`framed`](crate::framed()) gives it. The work is done as soon as a group is together.
    ///
    /// # Errors
    /// [`Error`] if the model, a codec or a metric fails.
    pub fn push(&mut self, name: impl Into<String>, framed: Picture) -> Result<(), Error> {
        self.waiting.push_back((name.into(), framed));
        let group = match self.options.framing {
            Framing::Tile { .. } => 1,
            Framing::Resize(_) => self.step(),
        };
        if self.waiting.len() >= group { self.work() } else { Ok(()) }
    }

    /// The figures of all pictures.
    ///
    /// # Errors
    /// As [`Evaluation::push`].
    pub fn finish(mut self) -> Result<Report, Error> {
        self.work()?;
        let info = self.tokenizer.info();
        let (tiled, overlap) = match self.options.framing {
            Framing::Resize(_) => (false, 0),
            Framing::Tile { overlap } => (true, overlap),
        };
        let finish = |point: Unfinished| {
            Ok(Point {
                method: point.method,
                mean: Mean::of(&point.pictures),
                usage: match point.method {
                    Method::Tokens { .. } => point.usage.by_depth(),
                    Method::Baseline(_) => Vec::new(),
                },
                sets: point.features.distances(&self.judges.nets, &self.originals)?,
                seconds: point.seconds,
                pictures: point.pictures,
            })
        };
        Ok(Report {
            model: ModelFacts {
                architecture: info.architecture,
                release: info.preset,
                fingerprint: info.fingerprint.to_string(),
                parameters: info.parameters,
                vocab: info.vocab.clone(),
            },
            framing: FramingFacts { side: model_side(info), tiled, overlap },
            pictures: self.points.first().map_or(0, |point| point.pictures.len()),
            encode_seconds: self.encode_seconds,
            points: self.points.into_iter().map(finish).collect::<Result<_, Error>>()?,
        })
    }

    fn step(&self) -> usize {
        self.options.batch.unwrap_or_else(|| at_once(self.tokenizer.info())).max(1)
    }

    /// Everything about the pictures that wait.
    fn work(&mut self) -> Result<(), Error> {
        let (names, pictures): (Vec<_>, Vec<_>) = self.waiting.drain(..).unzip();
        if pictures.is_empty() {
            return Ok(());
        }
        let step = self.step();
        let group = Group::cut(pictures, self.options.framing, model_side(self.tokenizer.info()))?;
        let start = Instant::now();
        let tokens = encode_squares(self.tokenizer, &group.squares, step, self.device, &mut |_| {})?;
        self.encode_seconds += start.elapsed().as_secs_f64();
        self.originals.add(&self.judges.nets, &group.pictures, self.device)?;
        let mut decoding = DecodeOptions::default();
        decoding.flow = self.options.flow.clone();
        decoding.flow.first_item += self.squares;
        self.squares += group.squares.len() as u64;
        for point in &mut self.points {
            let start = Instant::now();
            decoding.keep = point.keep;
            let (decoded, sizes) = match &mut point.method {
                Method::Tokens { tokens: count } => {
                    *count = point.keep.unwrap_or(tokens.positions());
                    point.usage.add(&tokens.clone().prefix(*count).map_err(TokenizerError::from)?);
                    let side = model_side(self.tokenizer.info());
                    let squares = decode_squares(self.tokenizer, &tokens, &decoding, side, step, &mut |_| {})?;
                    (group.assemble(squares)?, None)
                }
                Method::Baseline(baseline) => {
                    let coded = group.pictures.iter().map(|picture| baseline.round_trip(picture));
                    let (sizes, decoded): (Vec<_>, Vec<_>) = coded.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
                    (decoded, Some(sizes))
                }
            };
            point.seconds += start.elapsed().as_secs_f64();
            let costs = match sizes {
                Some(sizes) => sizes.into_iter().map(|bytes| (bytes, 8.0 * bytes as f64)).collect(),
                None => group.costs(&tokens, point.method.setting())?,
            };
            point.features.add(&self.judges.nets, &decoded, self.device)?;
            let compared = compare(&self.judges.metrics, &names, &group.pictures, &decoded, &costs)?;
            point.pictures.extend(compared);
        }
        Ok(())
    }
}

/// Pictures that go through the model together.
struct Group {
    pictures: Vec<Picture>,
    squares: Vec<Picture>,
    grid: Option<TileGrid>,
}

impl Group {
    /// One picture in tiles, or squares as they are.
    fn cut(pictures: Vec<Picture>, framing: Framing, side: u32) -> Result<Self, Error> {
        let Framing::Tile { overlap } = framing else {
            return Ok(Self { squares: pictures.clone(), pictures, grid: None });
        };
        let mut squares = Vec::new();
        let mut grid = None;
        for picture in &pictures {
            let tiles = TileGrid::overlapping(picture.width(), picture.height(), side, overlap)?;
            squares.extend(tiles.split(picture)?);
            grid = Some(tiles);
        }
        Ok(Self { pictures, squares, grid })
    }

    /// Decoded squares as decoded pictures.
    fn assemble(&self, squares: Vec<Picture>) -> Result<Vec<Picture>, Error> {
        match self.grid {
            Some(grid) => Ok(vec![grid.stitch(&squares)?]),
            None => Ok(squares),
        }
    }

    /// File bytes and token bits of each picture when `keep` tokens of each square are kept.
    fn costs(&self, tokens: &Tokens, keep: usize) -> Result<Vec<(usize, f64)>, Error> {
        let each = self.squares.len() / self.pictures.len().max(1);
        let cost = |(index, picture): (usize, &Picture)| {
            let kept = tokens.items(index * each, each).and_then(|tokens| tokens.prefix(keep));
            let kept = kept.map_err(TokenizerError::from)?;
            let bits = token_bits(kept.kept_count(), kept.vocab());
            let (width, height) = (picture.width(), picture.height());
            let about = match self.grid {
                Some(grid) => PictureInfo::tiled(width, height, grid.tile(), grid.overlap()),
                None => PictureInfo::whole(width, height),
            };
            Ok((write_tsr(&TokenFile::new(kept).with_picture(about))?.len(), bits))
        };
        self.pictures.iter().enumerate().map(cost).collect()
    }
}

fn compare(
    metrics: &[Box<dyn PerceptualMetric + '_>],
    names: &[String],
    originals: &[Picture],
    decoded: &[Picture],
    costs: &[(usize, f64)],
) -> Result<Vec<Quality>, Error> {
    let mut found = Vec::with_capacity(originals.len());
    for (((name, original), decoded), &(file_bytes, bits)) in names.iter().zip(originals).zip(decoded).zip(costs) {
        let mse = mean_squared_error(original, decoded)?;
        let (ssim, ms_ssim) = similarities(original, decoded)?;
        let (width, height) = (original.width(), original.height());
        found.push(Quality {
            name: name.clone(),
            width,
            height,
            bits_per_pixel: bits / (f64::from(width) * f64::from(height)),
            file_bytes,
            mse,
            psnr_db: psnr_of(mse),
            ssim,
            ms_ssim,
            perceptual: Default::default(),
        });
    }
    for metric in metrics {
        let distances = metric.distances(originals, decoded)?;
        for (quality, distance) in found.iter_mut().zip(distances) {
            quality.perceptual.insert(metric.name().to_owned(), distance);
        }
    }
    Ok(found)
}
