//! Teaching a semantic tower before the rest of its model learns: what stands for CLIP's and SigLIP's pretraining.

use std::marker::PhantomData;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tessera_layers::{ParamSource, ParamSpec, Trace};
use tessera_tokenizers::dualtoken::{DualTokenConfig, DualTokenNetwork, SemanticFeatures};
use tessera_tokenizers::tokenflow::{TokenFlowConfig, TokenFlowNetwork};

use super::alignment::SemanticHeads;
use super::objective::{Losses, Objective};
use super::objectives::check_tower;
use super::teacher::{Target, Teacher};
use super::{TrainConfig, TrainError, dualtoken, tokenflow};

/// A network with a tower that a teacher can teach.
pub trait Tower: Module + ModuleDisplay {
    /// What the tower makes of pictures `[batch, 3, side, side]` in -1..=1 where nothing is quantized: features of places row by row, and of
    /// the whole picture.
    fn tower(&self, images: Tensor<4>) -> SemanticFeatures;
}

impl Tower for TokenFlowNetwork {
    fn tower(&self, images: Tensor<4>) -> SemanticFeatures {
        let hidden = self.semantic_branch().features(images, &mut Trace::none());
        let pooled = hidden.clone().mean_dim(1).squeeze_dim(1);
        SemanticFeatures { hidden, pooled }
    }
}

impl Tower for DualTokenNetwork {
    fn tower(&self, images: Tensor<4>) -> SemanticFeatures {
        self.plain_features(images)
    }
}

/// The stage `tower`: the tower and the teacher's heads learn, all else stays as it starts.
///
/// The loss is the mean of the negative cosines of places and of whole pictures, -1..=1.
pub struct TowerObjective<N> {
    document: Value,
    specs: Vec<ParamSpec>,
    is_part: Box<dyn Fn(&str) -> bool>,
    side: usize,
    grid: usize,
    teacher: Teacher,
    target: Target,
    network: PhantomData<N>,
}

/// The network that is trained: the model, and the heads that bring its features to the teacher's.
#[derive(Module, Debug)]
pub struct TowerTraining<N: Module> {
    model: N,
    heads: SemanticHeads,
}

/// Names of parameters that the finished model does not have.
pub const HELPERS: &str = "alignment";

/// Heads at their start, whose parameters are added to `specs`.
///
/// # Errors
/// [`TrainError::Load`] if the device cannot hold them.
pub fn heads(
    specs: &mut Vec<ParamSpec>,
    seed: u64,
    hidden: usize,
    target: Target,
    device: &Device,
) -> Result<SemanticHeads, TrainError> {
    let source = ParamSource::seeded(seed, device);
    let heads = SemanticHeads::new(&source.root().at(HELPERS), hidden, target)?;
    specs.extend(source.into_taken());
    Ok(heads)
}

impl TowerObjective<TokenFlowNetwork> {
    /// Of a TokenFlow: its CLIP, or its SigLIP as far as it is run.
    ///
    /// # Errors
    /// [`TrainError`] if settings do not fit the architecture, or weights cannot be loaded.
    pub fn tokenflow(
        config: &TrainConfig,
        architecture: TokenFlowConfig,
        device: &Device,
    ) -> Result<(Self, TowerTraining<TokenFlowNetwork>), TrainError> {
        check_tower(config)?;
        let target = Target::of_width("decoder_out_dim", architecture.decoder_out_dim)?;
        let (network, mut specs) = tokenflow::start(config, &architecture, device)?;
        let heads = heads(&mut specs, config.run.seed, architecture.semantic_width(), target, device)?;
        let (side, grid, document) = (architecture.image_size, architecture.grid(), architecture.to_value());
        let is_part = move |name: &str| name.starts_with("encoder_vqkd.") && tokenflow::is_run(&architecture, name);
        Self::new(document, specs, Box::new(is_part), [side, grid], target, device)
            .map(|objective| (objective, TowerTraining { model: network, heads }))
    }
}

impl TowerObjective<DualTokenNetwork> {
    /// Of a DualToken: its vision tower.
    ///
    /// # Errors
    /// As [`TowerObjective::tokenflow`].
    pub fn dualtoken(
        config: &TrainConfig,
        architecture: DualTokenConfig,
        device: &Device,
    ) -> Result<(Self, TowerTraining<DualTokenNetwork>), TrainError> {
        check_tower(config)?;
        let target = Target::Last;
        let (network, mut specs) = dualtoken::start(config, &architecture, device)?;
        let heads = heads(&mut specs, config.run.seed, architecture.hidden_size, target, device)?;
        let sizes = [architecture.image_size(), architecture.grid()];
        let is_part = |name: &str| name.starts_with("siglip_model.vision_model.");
        Self::new(architecture.to_value(), specs, Box::new(is_part), sizes, target, device)
            .map(|objective| (objective, TowerTraining { model: network, heads }))
    }
}

impl<N> TowerObjective<N> {
    fn new(
        document: Value,
        specs: Vec<ParamSpec>,
        is_part: Box<dyn Fn(&str) -> bool>,
        [side, grid]: [usize; 2],
        target: Target,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let teacher = Teacher::new(device)?;
        Ok(Self { document, specs, is_part, side, grid, teacher, target, network: PhantomData })
    }

    /// The loss of pictures in 0..=1, on whichever device the network is.
    fn loss(&self, training: &TowerTraining<N>, images: Tensor<4>) -> Tensor<1>
    where
        N: Tower,
    {
        let features = training.model.tower(images.clone().mul_scalar(2.0).sub_scalar(1.0));
        training.heads.loss(features, &self.teacher, self.target, images, self.grid)
    }
}

impl<N: Tower> Objective for TowerObjective<N> {
    type Network = TowerTraining<N>;
    /// Nothing is encoded: no code has learnt anything yet.
    type Code = ();

    fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    fn is_trained(&self, name: &str) -> bool {
        name.starts_with(HELPERS) || (self.is_part)(name)
    }

    fn is_released(&self, name: &str) -> bool {
        !name.starts_with(HELPERS)
    }

    fn image_size(&self) -> usize {
        self.side
    }

    fn token_counts(&self) -> Vec<usize> {
        Vec::new()
    }

    fn codes(&self) -> usize {
        0
    }

    fn losses(
        &self,
        training: &TowerTraining<N>,
        images: Tensor<4>,
        _step: u64,
        _rng: &mut ChaCha8Rng,
    ) -> Result<Losses, TrainError> {
        Ok(Losses {
            reconstruction: self.loss(training, images),
            quantizer: None,
            others: Vec::new(),
            indices: None,
            latents: None,
            image: None,
        })
    }

    fn encode(&self, _training: &TowerTraining<N>, _images: Tensor<4>) {}

    fn ids((): &()) -> Option<Tensor<2, burn::tensor::Int>> {
        None
    }

    fn reconstruct(&self, _training: &TowerTraining<N>, (): &(), _keep: usize) -> Option<Tensor<4>> {
        None
    }

    fn validation_loss(&self, training: &TowerTraining<N>, images: Tensor<4>) -> Option<Tensor<1>> {
        Some(self.loss(training, images))
    }

    fn config(&self, _training: &TowerTraining<N>, _sample: Option<Tensor<4>>) -> Value {
        self.document.clone()
    }

    fn reconstruction_name(&self) -> &'static str {
        "alignment"
    }
}
