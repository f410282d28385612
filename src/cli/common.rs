//! Options that every subcommand has, and what they stand for.

use std::time::Duration;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tessera::datasets::{Cmyk, Filter, LoadOptions};
use tessera::shaders::device::DeviceChoice;
use tessera::tokenizers::{ResizeFilter, Tokenizer, TokenizerInfo};

#[derive(Args)]
pub struct Common {
    /// Folder, weight file or hub id of a model (the hub's cache on disk is read, never the network); where absent the model
    /// that is built into the program, for pictures or for shapes.
    #[arg(long, global = true, value_name = "MODEL", help_heading = "Common options")]
    pub model: Option<String>,
    /// auto (a hardware GPU, else the CPU), cpu, gpu or gpu:N.
    #[arg(long, global = true, default_value = "auto", help_heading = "Common options")]
    pub device: DeviceChoice,
    /// Seed of every random draw; 0 where absent.
    #[arg(long, global = true, value_name = "SEED", help_heading = "Common options")]
    pub seed: Option<u64>,
    /// Print one JSON object instead of text.
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
    /// Print bare values and no progress.
    #[arg(long, short, global = true, help_heading = "Common options")]
    pub quiet: bool,
}

impl Common {
    /// Opens the device.
    pub fn open_device(&self) -> Result<Device> {
        Ok(self.device.open()?)
    }

    /// Opens the tokenizer on a device; where none is named, the built-in one of pictures or, as it is `for_shapes`, of shapes.
    pub fn open_tokenizer(&self, for_shapes: bool, device: &Device) -> Result<Box<dyn Tokenizer>> {
        Ok(match &self.model {
            Some(spec) => tessera::from_pretrained(spec, device)?,
            None if for_shapes => tessera::default_shape_tokenizer(device)?,
            None => tessera::default_tokenizer(device)?,
        })
    }

    /// A progress bar on the terminal's standard error; invisible elsewhere.
    pub fn progress(&self, length: usize, what: &'static str) -> ProgressBar {
        if self.quiet || self.json {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(length as u64).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }
}

/// How pictures are read and prepared.
#[derive(Args)]
pub struct PictureOptions {
    /// Encode tile by tile at full resolution, instead of resizing the picture to the model's size.
    #[arg(long)]
    pub tile: bool,
    /// Pixels that neighbouring tiles share, less than half a tile; they are blended there. By default a sixteenth of
    /// the model's size; 0 puts tiles side by side.
    #[arg(long, value_name = "PIXELS", requires = "tile")]
    pub overlap: Option<u32>,
    /// Filter for resizing; the model's own where absent.
    #[arg(long, conflicts_with = "tile")]
    pub resize: Option<FilterName>,
    /// Background under transparent pixels, as hexadecimal RRGGBB.
    #[arg(long, default_value = "ffffff", value_parser = parse_colour, value_name = "RRGGBB")]
    pub background: [u8; 3],
    /// Convert CMYK JPEGs without a colour profile, instead of refusing them.
    #[arg(long)]
    pub convert_cmyk: bool,
}

impl PictureOptions {
    /// Options of the picture reader.
    pub fn load_options(&self) -> LoadOptions {
        let cmyk = if self.convert_cmyk { Cmyk::Approximate } else { Cmyk::Refuse };
        LoadOptions { background: self.background, cmyk, ..LoadOptions::default() }
    }

    /// Refuses what says nothing about meshes.
    pub fn refuse(&self, info: &TokenizerInfo) -> Result<()> {
        for (flag, given) in [("--tile", self.tile), ("--resize", self.resize.is_some())] {
            ensure!(!given, "{flag}: {} encodes meshes, not pictures; leave it out", info.architecture);
        }
        Ok(())
    }

    /// How the picture meets the model's size.
    pub fn framing(&self, tokenizer: &dyn Tokenizer) -> tessera::Framing {
        if self.tile {
            let overlap = self.overlap.unwrap_or_else(|| tessera::default_overlap(tokenizer.info()));
            return tessera::Framing::Tile { overlap };
        }
        tessera::Framing::Resize(match (self.resize, tokenizer.info().resize) {
            (Some(FilterName::Bilinear), _) | (None, ResizeFilter::Bilinear) => Filter::Bilinear,
            _ => Filter::Bicubic,
        })
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum FilterName {
    Bilinear,
    Bicubic,
}

fn parse_colour(text: &str) -> Result<[u8; 3], String> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let wrong = || format!("expected six hexadecimal digits such as ffffff, found \"{text}\"");
    if digits.len() != 6 || !digits.is_ascii() {
        return Err(wrong());
    }
    let number = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
    let [_, red, green, blue] = number.to_be_bytes();
    Ok([red, green, blue])
}
