//! The networks that judge pictures: the built-in one, and those that the user has files of.

use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use tessera::eval::{EffdMetric, FeatureNet, Judges, LpipsMetric};
use tessera::layers::checkpoint::Weights;
use tessera::layers::perceptual::{Backbone, EfficientNetLite0, Inception, Lpips};

#[derive(Args)]
pub struct JudgeOptions {
    /// Leave out what networks measure (effd, KID-EffLite0, the control of --knn): much faster.
    #[arg(long, conflicts_with_all = ["lpips", "inception"])]
    no_networks: bool,
    /// Report LPIPS v0.1 too, on this backbone.
    #[arg(long, value_name = "BACKBONE", requires = "lpips_backbone", requires = "lpips_heads")]
    lpips: Option<BackboneName>,
    /// The backbone's weights as torchvision releases them, for --lpips.
    #[arg(long, value_name = "FILE", requires = "lpips")]
    lpips_backbone: Option<PathBuf>,
    /// The heads of LPIPS v0.1 (weights/v0.1/*.pth of the Python package), for --lpips.
    #[arg(long, value_name = "FILE", requires = "lpips")]
    lpips_heads: Option<PathBuf>,
    /// Report FID and KID too, with the released Inception network in this file.
    #[arg(long, value_name = "FILE")]
    inception: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum BackboneName {
    Alex,
    Vgg,
    Squeeze,
}

impl JudgeOptions {
    /// The built-in network by itself; `None` with --no-networks.
    pub fn network(&self, device: &Device) -> Result<Option<EfficientNetLite0>> {
        (!self.no_networks).then(|| Ok(tessera::perceptual_net(device)?)).transpose()
    }

    /// Opens the networks on a device.
    pub fn open(&self, device: &Device) -> Result<Judges<'static>> {
        let mut judges = Judges::default();
        if self.no_networks {
            return Ok(judges);
        }
        judges.metrics.push(Box::new(EffdMetric::new(device)?));
        judges.nets.push(FeatureNet::EfficientNetLite0(Box::new(tessera::perceptual_net(device)?)));
        if let (Some(name), Some(features), Some(heads)) = (self.lpips, &self.lpips_backbone, &self.lpips_heads) {
            let net = Lpips::load(name.backbone(), &open(features)?, &open(heads)?, device)?;
            judges.metrics.push(Box::new(LpipsMetric::new(net, device)));
        }
        if let Some(file) = &self.inception {
            judges.nets.push(FeatureNet::Inception(Box::new(Inception::load(&open(file)?, device)?)));
        }
        Ok(judges)
    }
}

impl BackboneName {
    fn backbone(self) -> Backbone {
        match self {
            Self::Alex => Backbone::AlexNet,
            Self::Vgg => Backbone::Vgg16,
            Self::Squeeze => Backbone::SqueezeNet,
        }
    }
}

fn open(path: &Path) -> Result<Weights> {
    Ok(Weights::open(path)?)
}
