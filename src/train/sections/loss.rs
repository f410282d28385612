//! The section `[loss]`: which training, and what is minimised.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// What is minimised: the sum of all terms, each times its weight. A weight of zero leaves its term out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Loss")]
pub struct LossConfig {
    /// Which training of the architecture.
    #[arg(long, value_name = "STAGE")]
    pub stage: Stage,
    /// Weight of the reconstruction: mean squared error of pixels or of the flow's velocity, or cross-entropy of proxy codes.
    #[arg(long, value_name = "X")]
    pub reconstruction_weight: f64,
    /// Weight of an autoencoder's divergence from the standard normal, in nats for each value of the latents.
    #[arg(long, value_name = "X")]
    pub kl_weight: f64,
    /// Weight of an autoencoder's squared error of colour differences (Co and Cg of YCoCg), on top of that of pixels: colours that
    /// vary little over the pictures are learnt late without it.
    #[arg(long, value_name = "X")]
    pub colour_weight: f64,
    /// Weight of what FlexTok's registers exceed the lively range of FSQ's bound by (mean square).
    #[arg(long, value_name = "X")]
    pub excess_weight: f64,
    /// Weight of the likeness to features of EfficientNet-Lite0: of a flow decoder (FlexTok, REPA), or of what SEED with pixels,
    /// TokenFlow and DualToken make of their semantic codes.
    #[arg(long, value_name = "X")]
    pub alignment_weight: f64,
    /// The decoder's block whose features are aligned, from 0.
    #[arg(long, value_name = "BLOCK")]
    pub alignment_layer: usize,
    /// Weight of the quantizer's commitment and codebook losses.
    #[arg(long, value_name = "X")]
    pub quantizer_weight: f64,
    /// Weight of the perceptual distance effd (EfficientNet-Lite0, which ships with tessera).
    #[arg(long, value_name = "X")]
    pub perceptual_weight: f64,
    /// First step with the perceptual term.
    #[arg(long, value_name = "STEP")]
    pub perceptual_from: u64,
    /// Weight of the adversarial term.
    #[arg(long, value_name = "X")]
    pub adversarial_weight: f64,
    /// First step with the adversarial term, and with a trained discriminator.
    #[arg(long, value_name = "STEP")]
    pub adversarial_from: u64,
    /// Whether the adversarial term's gradient is kept near the reconstruction's; where absent as the model's own recipe has it: adaptive for
    /// DualToken, fixed for all others, which cannot be adaptive.
    #[arg(long, value_name = "BALANCE")]
    pub adversarial_balance: Option<AdversarialBalance>,
    /// Weight of the LeCAM regularisation of the discriminator.
    #[arg(long, value_name = "X")]
    pub lecam_weight: f64,
    /// The discriminator; where absent that of the model's own recipe: patch-gan for LlamaGen VQ and TokenFlow, residual for DualToken,
    /// blurred for all others.
    #[arg(long, value_name = "KIND")]
    pub discriminator: Option<DiscriminatorKind>,
    /// Width of the discriminator's first layer (of blurred and residual a multiple of 32); where absent the released one.
    #[arg(long, value_name = "N")]
    pub discriminator_width: Option<usize>,
}

/// What the adversarial term counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum AdversarialBalance {
    /// Its weight.
    Fixed,
    /// Its weight times how much longer, from 0.3 to 10 times, the gradient of pixels and perceptual distance is than its own, by the decoder's last layer.
    Adaptive,
}

/// What tells reconstructions from pictures in adversarial training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum DiscriminatorKind {
    /// TiTok's and One-D-Piece's, which blurs before it halves; width 128, hinge loss.
    Blurred,
    /// pix2pix's, as LlamaGen's VQ and TokenFlow learn with it; width 64, hinge loss.
    PatchGan,
    /// DualToken's; width 64, leaky hinge loss.
    Residual,
}

/// Which training of the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Everything at once, against pixels (single-stage models).
    Single,
    /// The first of two stages: everything but the pixel decoder, against a proxy tokenizer's codes.
    Proxy,
    /// The second of two stages: the decoder and the pixel decoder, against pixels; encoder and codebook stay.
    Decoder,
    /// Before TokenFlow and DualToken learn everything at once: their semantic tower alone, against EfficientNet-Lite0, in the place of
    /// the pretrained CLIP or SigLIP that the released ones start from. The next run starts with --from.
    Tower,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            stage: Stage::Single,
            reconstruction_weight: 1.0,
            quantizer_weight: 1.0,
            kl_weight: 1e-3,
            colour_weight: 0.0,
            excess_weight: 0.0,
            alignment_weight: 0.0,
            alignment_layer: 0,
            perceptual_weight: 0.0,
            perceptual_from: 0,
            adversarial_weight: 0.0,
            adversarial_from: 20_000,
            adversarial_balance: None,
            lecam_weight: 0.001,
            discriminator: None,
            discriminator_width: None,
        }
    }
}
