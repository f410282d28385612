//! The semantic branch: a pretrained encoder and its task layer.

use burn::module::Module;
use burn::tensor::Tensor;
use tessera_layers::siglip::SiglipVision;
use tessera_layers::{ParamResult, Params, Trace};

use super::task::TaskLayer;
use super::{ClipVision, SemanticEncoder, TokenFlowConfig};

/// Pictures to semantic latents.
#[derive(Module, Debug)]
pub struct SemanticBranch {
    encoder: Tower,
    task: TaskLayer,
    /// Blocks of a SigLIP that are run.
    depth: usize,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model holds one")]
enum Tower {
    Clip(ClipVision),
    Siglip(SiglipVision),
}

impl SemanticBranch {
    /// Takes `encoder_vqkd.*` and `encode_task_layer.*`. Of a SigLIP, the last block and what stands behind it are never run;
    /// they are taken only if `has_rest`.
    pub fn new(params: &Params, config: &TokenFlowConfig, has_rest: bool) -> ParamResult<Self> {
        let at = params.at("encoder_vqkd");
        let (encoder, depth) = match &config.semantic_encoder {
            SemanticEncoder::ClipVit(sizes) => (Tower::Clip(ClipVision::new(&at, sizes)?), 0),
            SemanticEncoder::SiglipVision(sizes) => {
                let mut vision = sizes.vision();
                let depth = vision.layers.saturating_sub(1);
                vision.layers = if has_rest { vision.layers } else { depth };
                (Tower::Siglip(SiglipVision::new(&at.at("vision_model"), &vision, has_rest)?), depth)
            }
        };
        let task = TaskLayer::new(&params.at("encode_task_layer"), config.semantic_width(), config.semantic_code_dim)?;
        Ok(Self { encoder, task, depth })
    }

    /// What the encoder makes of pictures `[batch, 3, side, side]` in -1..=1: `[batch, g^2, width]`. Of a SigLIP that nothing was
    /// learnt on top of, these are what the semantic decoder is to give back.
    pub fn features(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        match &self.encoder {
            Tower::Clip(clip) => clip.forward(images, trace),
            Tower::Siglip(siglip) => self.siglip(siglip, images, trace),
        }
    }

    /// Pictures `[batch, 3, side, side]` in -1..=1 to latents `[batch, channels, g, g]`.
    ///
    /// CLIP reads them as they are: it was fine-tuned without its own normalisation. Of a SigLIP the features are those
    /// before its last block, not normalised.
    ///
    /// Reports `scaled_input`, `vit_*` and `task_out` to `trace`.
    pub fn latents(&self, images: Tensor<4>, trace: &mut Trace) -> Tensor<4> {
        let features = self.features(images, trace);
        trace.see("vit_out", || features.clone());
        let latents = self.task.forward(features);
        trace.see("task_out", || latents.clone());
        let [batch, cells, channels] = latents.dims();
        let side = cells.isqrt();
        latents.swap_dims(1, 2).reshape([batch, channels, side, side])
    }

    fn siglip(&self, siglip: &SiglipVision, images: Tensor<4>, trace: &mut Trace) -> Tensor<3> {
        // To bytes' range, clamped, and back.
        let images = images.add_scalar(1.0).mul_scalar(127.5).clamp(0.0, 255.0).div_scalar(255.0);
        let images = images.sub_scalar(0.5).div_scalar(0.5);
        trace.see("scaled_input", || images.clone());
        let mut x = siglip.embed(images);
        trace.see("vit_embeddings", || x.clone());
        for (i, layer) in siglip.layers().iter().take(self.depth).enumerate() {
            x = layer.forward(x);
            trace.see(format_args!("vit_block{i}"), || x.clone());
        }
        x
    }
}
