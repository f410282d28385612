//! Trains a small single-stage One-D-Piece on 32x32 pictures: crops of a folder of photos at several scales, and the
//! small emoji set. The model under `models/` was made by this program.
//!
//! ```text
//! cargo run --release --example train_tiny -- --emoji emoji32_mini.safetensors --photos photos/ --out my-model
//! ```
//!
//! It prints a line of losses every 50 steps and writes `config.json` and `model.safetensors` every few minutes, so that
//! it can be stopped at any time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Parser;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tessera_datasets::{
    Filter, Picture, flip_horizontal, image_folder, load_picture, random_crop, resize_shorter_edge,
};
use tessera_layers::ParamSpec;
use tessera_layers::checkpoint::{Precision, TensorEntry, Weights, write_streaming};
use tessera_layers::params::entries;
use tessera_tokenizers::one_d_piece::{self, OneDPieceConfig, OneDPieceNetwork, train};

#[derive(Parser)]
struct Options {
    /// The small emoji set: `images [n, 32, 32, 3]` of bytes.
    #[arg(long)]
    emoji: Option<PathBuf>,
    /// A folder of photos to take random crops of.
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Folder of the trained model.
    #[arg(long)]
    out: PathBuf,
    /// Start from the weights of an earlier run's folder instead of random ones.
    #[arg(long)]
    from: Option<PathBuf>,
    #[arg(long, default_value_t = 10_000)]
    steps: usize,
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Highest learning rate; warmed up over 200 steps, then down along a cosine.
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

const SIDE: usize = 32;
/// Steps between two looks at the codebook.
const WINDOW: usize = 50;

fn config() -> OneDPieceConfig {
    OneDPieceConfig {
        codebook_size: 1024,
        token_size: 8,
        use_l2_norm: true,
        finetune_decoder: false,
        is_legacy: false,
        num_latent_tokens: 64,
        vit_enc_patch_size: 8,
        vit_dec_patch_size: 8,
        vit_enc_width: Some(128),
        vit_enc_layers: Some(3),
        vit_enc_heads: Some(4),
        vit_dec_width: Some(128),
        vit_dec_layers: Some(4),
        vit_dec_heads: Some(4),
        crop_size: SIDE,
        ..OneDPieceConfig::preset("one-d-piece-s-256").unwrap_or_else(|| unreachable!("a released preset"))
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let device = Device::flex().autodiff();
    let config = config();
    let data = Data::load(&options)?;
    println!("{} photos at all scales, {} emoji", data.photos.len(), data.emoji.len());

    let model = match &options.from {
        Some(folder) => one_d_piece::load(&config, &Weights::open(&folder.join("model.safetensors"))?, &device)?,
        None => {
            let path = options.out.join("model.safetensors");
            std::fs::create_dir_all(&options.out)?;
            write_start(&config, options.seed, &path)?;
            one_d_piece::load(&config, &Weights::open(&path)?, &device)?
        }
    };
    let (mut network, specs) = model.into_network();
    let mut optimizer: ModuleOptimizer = AdamWConfig::new()
        .with_beta_2(0.99)
        .with_epsilon(1e-8)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut window = Window::new(config.codebook_size);
    let mut saved = Instant::now();
    let start = Instant::now();
    for step in 0..options.steps {
        let images = data.batch(options.batch, &mut rng, &device)?;
        let keep = rng.random_range(1..=config.num_latent_tokens);
        let losses = train::single_stage_losses(&network, images, keep, 1.0).context("a single-stage network")?;
        window.add(&losses, keep == config.num_latent_tokens)?;
        let gradients = GradientsParams::from_grads(losses.total.backward(), &network);
        network = optimizer.step(rate(&options, step), network, gradients);

        if (step + 1) % WINDOW == 0 {
            let dead = window.dead();
            // The last quarter of the run keeps the codebook as it is, so that everything settles.
            if step < options.steps / 4 * 3 && !dead.is_empty() {
                let images = data.batch(options.batch, &mut rng, &device)?;
                reseed(&mut network, images, &dead, &mut rng)?;
            }
            let speed = ((step + 1) * options.batch) as f64 / start.elapsed().as_secs_f64();
            println!("step {} {window} {speed:.0} images/s", step + 1);
            window = Window::new(config.codebook_size);
        }
        if saved.elapsed() > Duration::from_secs(180) || step + 1 == options.steps {
            save(&network, &specs, &config, &options.out)?;
            saved = Instant::now();
        }
    }
    Ok(())
}

/// Starting values for narrow networks. The released 0.02 suits a width of 512 and more; at 128 it leaves the signal so weak
/// that attention learns where to look only after thousands of steps. Here weights start at one over the root of their
/// inputs (less for those that end a residual branch) and positions five times as strong.
fn write_start(config: &OneDPieceConfig, seed: u64, path: &Path) -> Result<()> {
    let specs = one_d_piece::listing(config)?;
    let values = |entry: &TensorEntry| {
        let spec = specs.iter().find(|spec| spec.name == entry.name);
        let factor = spec.map_or(1.0, |spec| start_factor(&spec.name, &spec.shape));
        let count = entry.shape.iter().product();
        let drawn = spec.map(|spec| spec.init.values(count, seed, &entry.name)).unwrap_or_default();
        Ok(drawn.into_iter().map(|value| value * factor).collect())
    };
    Ok(write_streaming(path, &entries(&specs), Precision::F32, Default::default(), values)?)
}

fn start_factor(name: &str, shape: &[usize]) -> f32 {
    let is_position = (name.contains("embedding") && !name.contains("quantize")) || name.contains("token");
    let is_matrix = name.ends_with(".weight") && shape.len() > 1 && !name.contains("quantize");
    let inputs = shape.iter().skip(1).product::<usize>() as f32;
    match (is_matrix, name.contains("out_proj") || name.contains("c_proj"), is_position) {
        (true, true, _) => 0.4 / (0.02 * inputs.sqrt()),
        (true, false, _) => 1.0 / (0.02 * inputs.sqrt()),
        (false, _, true) => 5.0,
        _ => 1.0,
    }
}

fn rate(options: &Options, step: usize) -> f64 {
    let warm = (step + 1) as f64 / 200.0;
    let progress = step as f64 / options.steps as f64;
    options.rate * warm.min(1.0) * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
}

/// Moves codes that nothing chose onto latents of the current batch.
fn reseed(network: &mut OneDPieceNetwork, images: Tensor<4>, dead: &[usize], rng: &mut ChaCha8Rng) -> Result<()> {
    let latents = network.latents(images, &mut tessera_layers::Trace::none());
    let width = latents.dims()[2];
    let values: Vec<f32> = latents.into_data().try_to_vec().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let rows: Vec<&[f32]> = values.chunks_exact(width).collect();
    let replacements: Vec<(usize, Vec<f32>)> =
        dead.iter().filter_map(|&code| Some((code, rows.choose(rng)?.to_vec()))).collect();
    network.quantizer_mut().replace_codes(&replacements);
    Ok(())
}

fn save(network: &OneDPieceNetwork, specs: &[ParamSpec], config: &OneDPieceConfig, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    one_d_piece::save(network, specs, &folder.join("model.safetensors"))?;
    let text = serde_json::to_string_pretty(&config.to_value())?;
    tessera_datasets::write_atomically(folder.join("config.json"), |file| {
        std::io::Write::write_all(file, text.as_bytes())
    })?;
    Ok(())
}

/// Sums over some steps.
struct Window {
    steps: usize,
    error: f64,
    full: (usize, f64),
    quantizer: f64,
    used: Vec<u32>,
}

impl Window {
    fn new(codes: usize) -> Self {
        Self { steps: 0, error: 0.0, full: (0, 0.0), quantizer: 0.0, used: vec![0; codes] }
    }

    fn add(&mut self, losses: &train::SingleStageLosses, all_tokens: bool) -> Result<()> {
        let number = |loss: &Tensor<1>| loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let error = number(&losses.reconstruction);
        ensure!(error.is_finite(), "the loss is {error}: the training diverged");
        self.steps += 1;
        self.error += error;
        self.quantizer += number(&losses.quantizer);
        if all_tokens {
            self.full = (self.full.0 + 1, self.full.1 + error);
        }
        for code in losses.indices.clone().into_data().iter::<i64>() {
            if let Some(used) = usize::try_from(code).ok().and_then(|code| self.used.get_mut(code)) {
                *used += 1;
            }
        }
        Ok(())
    }

    fn dead(&self) -> Vec<usize> {
        self.used.iter().enumerate().filter(|(_, used)| **used == 0).map(|(code, _)| code).collect()
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let psnr = |error: f64| -10.0 * error.log10();
        let steps = self.steps.max(1) as f64;
        let all = self.full.1 / self.full.0.max(1) as f64;
        write!(f, "psnr {:.2} dB, all tokens {:.2} dB", psnr(self.error / steps), psnr(all))?;
        write!(f, ", quantizer {:.4}, {} dead codes,", self.quantizer / steps, self.dead().len())
    }
}

/// Everything in memory, undecided crops only.
struct Data {
    photos: Vec<Picture>,
    emoji: Vec<Picture>,
}

impl Data {
    fn load(options: &Options) -> Result<Self> {
        let mut photos = Vec::new();
        for path in
            options.photos.iter().map(|folder| image_folder(folder, true)).collect::<Result<Vec<_>, _>>()?.concat()
        {
            let photo = load_picture(&path, &Default::default())?;
            for edge in [768, 384, 192, 96] {
                if photo.width().min(photo.height()) >= edge {
                    photos.push(resize_shorter_edge(&photo, edge, Filter::Bicubic)?);
                }
            }
            photos.push(photo);
        }
        let emoji = options.emoji.as_deref().map(emoji).transpose()?.unwrap_or_default();
        ensure!(!photos.is_empty() || !emoji.is_empty(), "give --photos, --emoji or both");
        Ok(Self { photos, emoji })
    }

    /// `[count, 3, 32, 32]`: one in four an emoji, the rest crops, half of all mirrored.
    fn batch(&self, count: usize, rng: &mut ChaCha8Rng, device: &Device) -> Result<Tensor<4>> {
        let mut values = Vec::with_capacity(count * 3 * SIDE * SIDE);
        for _ in 0..count {
            let from_emoji = self.photos.is_empty() || (!self.emoji.is_empty() && rng.random_ratio(1, 4));
            let pool = if from_emoji { &self.emoji } else { &self.photos };
            let picture = pool.choose(rng).context("an empty pool")?;
            let side = SIDE as u32;
            let left = rng.random_range(0..=picture.width() - side);
            let top = rng.random_range(0..=picture.height() - side);
            let crop = random_crop(picture, side, left, top)?;
            let crop = if rng.random() { flip_horizontal(&crop) } else { crop };
            values.extend(crop.to_planar_f32());
        }
        Ok(Tensor::from_data(TensorData::new(values, [count, 3, SIDE, SIDE]), device))
    }
}

/// The emoji set's training pictures.
fn emoji(path: &Path) -> Result<Vec<Picture>> {
    let weights = Weights::open(path)?;
    let bytes = weights.read_i64("images")?;
    let is_train = weights.read_i64("is_train")?;
    let pictures = bytes.chunks_exact(SIDE * SIDE * 3).zip(is_train).filter(|(_, train)| *train == 1);
    pictures
        .map(|(bytes, _)| {
            let rgb = bytes.iter().map(|&byte| u8::try_from(byte)).collect::<Result<Vec<_>, _>>()?;
            Ok(Picture::new(SIDE as u32, SIDE as u32, rgb)?)
        })
        .collect()
}
