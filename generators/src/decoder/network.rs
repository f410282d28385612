//! The network, top to bottom.

use std::ops::Range;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_layers::{Init, Linear, ParamResult, Params, RmsNorm, Rotary, Trace};

use super::{
    Arrangement, BlockSizes, ConditionEmbedding, DecoderBlock, DecoderConfig, Order, Padding, Prompt, Sight, Sources,
};
use crate::Turns;
use crate::cache::KeyValueCache;
use crate::kept::index;

/// Embeddings, blocks and one head over the codes, or NAR's two.
#[derive(Module, Debug)]
pub struct Decoder {
    condition: ConditionEmbedding,
    embedding: Param<Tensor<2>>,
    layers: Vec<DecoderBlock>,
    right: Head,
    below: Option<Head>,
    backbone: usize,
    kv_width: usize,
    #[module(skip)]
    order: Arc<Order>,
    #[module(skip)]
    rotary: Rotary,
    #[module(skip)]
    turns: Option<Turns>,
}

#[derive(Module, Debug)]
struct Head {
    norm: RmsNorm,
    output: Linear,
}

/// Hidden states `[rows, count, width]` of a run of positions, before the heads' normalisations.
#[derive(Debug, Clone)]
pub struct States {
    right: Tensor<3>,
    below: Option<Tensor<3>>,
    /// Place in the sequence of the first of them.
    from: usize,
}

impl Decoder {
    /// Takes every tensor of a checkpoint. `config` must have passed [`DecoderConfig::check`].
    pub fn new(params: &Params, config: &DecoderConfig) -> ParamResult<Self> {
        let (width, codes) = (config.dim, config.vocab_size);
        let sizes = BlockSizes {
            width,
            heads: config.n_head,
            kv_heads: config.kv_heads(),
            hidden: config.hidden(),
            epsilon: config.norm_eps,
        };
        let head = |norm: &str, output: &str, init: Init| -> ParamResult<Head> {
            let output = params.at(output);
            Ok(Head {
                norm: RmsNorm::new(&params.at(norm), width, config.norm_eps)?,
                output: Linear::with_names(&output, ["weight", "bias"], width, codes, false, init)?,
            })
        };
        let normal = Init::Normal(config.initializer_range);
        let below = config.medusa_attention_num.map(|_| head("medusa_norm", "medusa_output", normal)).transpose()?;
        let layers = params.at("layers");
        let blocks = 0..config.n_layer + config.medusa_attention_num.unwrap_or(0);
        // `check` has seen to it that there is one.
        let arrangement = config.arrangement().unwrap_or(Arrangement::Ordered(config.block_size));
        let order = match config.medusa_attention_num {
            Some(_) => Order::neighbours(config.cls_token_num, &arrangement),
            None => Order::line(config.cls_token_num, config.block_size),
        };
        let (half, base) = (config.head_dim() / 2, config.rope_base);
        let rotary = match arrangement {
            Arrangement::Ordered(len) => Rotary::line(config.cls_token_num + len, half, base),
            Arrangement::Grid([_, columns]) => {
                let place = |at: &usize| [(at / columns) as f64, (at % columns) as f64];
                let places: Vec<[f64; 2]> = order.positions().iter().map(place).collect();
                Rotary::grid(config.cls_token_num, &places, half, base)
            }
            // One token after the other, scale after scale.
            Arrangement::Scales(_) if config.medusa_attention_num.is_none() => {
                Rotary::line(config.cls_token_num + config.block_size, half, base)
            }
            // The scale, and the middle of what a token stands for in the last one.
            Arrangement::Scales(counts) => {
                let last = counts.last().copied().unwrap_or(1) as f64;
                let of_scale = |(scale, &count): (usize, &usize)| {
                    (0..count).map(move |at| [scale as f64, (at as f64 + 0.5) * last / count as f64 - 0.5])
                };
                let places: Vec<[f64; 2]> = counts.iter().enumerate().flat_map(of_scale).collect();
                let places: Vec<[f64; 2]> =
                    order.positions().iter().map(|&at| places.get(at).copied().unwrap_or_default()).collect();
                Rotary::grid(config.cls_token_num, &places, half, base)
            }
        };
        Ok(Self {
            condition: ConditionEmbedding::new(params, config)?,
            embedding: params.at("tok_embeddings").tensor("weight", [codes, width], normal)?,
            layers: blocks.map(|block| DecoderBlock::new(&layers.at(block), sizes)).collect::<ParamResult<_>>()?,
            right: head("norm", "output", Init::Zeros)?,
            below,
            backbone: config.n_layer,
            kv_width: config.kv_heads() * config.head_dim(),
            order: Arc::new(order),
            rotary,
            turns: config.turns.clone(),
        })
    }

    /// The order in which tokens are decoded.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Vocabularies that take turns, where there are several.
    pub fn turns(&self) -> Option<&Turns> {
        self.turns.as_ref()
    }

    /// Rotary angles by place in the sequence.
    pub fn rotary(&self) -> &Rotary {
        &self.rotary
    }

    /// The device that the network is on.
    pub fn device(&self) -> Device {
        self.embedding.device()
    }

    /// Caches for `rows` whole sequences, one for each block.
    pub fn caches(&self, rows: usize) -> Vec<KeyValueCache> {
        let (most, device) = (self.rotary.positions(), self.device());
        self.layers.iter().map(|_| KeyValueCache::new(rows, most, self.kv_width, &device)).collect()
    }

    /// Condition positions `[rows, condition positions, width]`.
    pub fn embed_prompt(&self, prompt: &Prompt) -> Tensor<3> {
        self.condition.embed(prompt, &self.device())
    }

    /// Tokens `[rows, count]` as the blocks read them, `[rows, count, width]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let ([rows, count], [_, width]) = (ids.dims(), self.embedding.dims());
        self.embedding.val().select(0, ids.reshape([rows * count])).reshape([rows, count, width])
    }

    /// States of the positions `x [rows, count, width]`, which stand at place `from` of their sequences. With caches, one for
    /// each block, they follow those that the caches hold, and are added to them.
    ///
    /// Reports `layer<i>`, `layer<i>.attention` and `layer<i>.feed_forward` to `trace`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        from: usize,
        padding: Option<&Padding>,
        caches: Option<&mut [KeyValueCache]>,
        trace: &mut Trace,
    ) -> States {
        let [_, count, _] = x.dims();
        let turns = self.rotary.at(from..from + count, &x.device());
        let sight = Sight { turns: &turns, mask: self.order.mask(), padding };
        let mut caches = caches.map(<[KeyValueCache]>::iter_mut);
        let (mut x, mut right) = (x, None);
        for (index, layer) in self.layers.iter().enumerate() {
            let cache = caches.as_mut().and_then(Iterator::next);
            x = layer.forward(x, sight, cache, &mut trace.at(&format!("layer{index}")));
            trace.see(format_args!("layer{index}"), || x.clone());
            if index + 1 == self.backbone && self.below.is_some() {
                right = Some(x.clone());
            }
        }
        match right {
            Some(right) => States { right, below: Some(x), from },
            None => States { right: x, below: None, from },
        }
    }

    /// A teacher-forced pass over tokens `[rows, tokens]` in the layout's order. Reports `cond_embedding` and what
    /// [`Decoder::forward`] does to `trace`.
    pub fn teach(&self, ids: Tensor<2, Int>, prompt: &Prompt, trace: &mut Trace) -> States {
        let device = self.device();
        let ids = self.in_order(ids);
        let condition = self.embed_prompt(prompt);
        trace.see("cond_embedding", || condition.clone());
        let x = match self.order.taught() {
            0 => condition,
            taught => Tensor::cat(vec![condition, self.embed(ids.narrow(1, 0, taught))], 1),
        };
        let padding = ConditionEmbedding::padding(prompt, &device);
        self.forward(x, 0, padding.as_ref(), None, trace)
    }

    /// Tokens `[rows, tokens]` by position of the layout as tokens by place in the order.
    pub fn in_order(&self, ids: Tensor<2, Int>) -> Tensor<2, Int> {
        match self.order.is_raster() {
            true => ids,
            false => ids.select(1, index(self.order.positions().iter().copied(), &self.device())),
        }
    }

    /// Logits `[rows, count, codes]` of the tokens at these places of the order, from the states of those that predict them:
    /// the mean of both heads' where there are two.
    pub fn logits(&self, states: &States, targets: Range<usize>) -> Tensor<3> {
        let sources = self.order.sources(targets);
        let right = self.right.predict(&states.right, states.from, sources, |source| source.right);
        match (&self.below, &states.below) {
            (Some(head), Some(below)) => {
                let below = head.predict(below, states.from, sources, |source| source.below);
                [right, below].into_iter().flatten().reduce(|a, b| a + b)
            }
            _ => right,
        }
        .unwrap_or_else(|| Tensor::zeros([0, 0, 0], &self.device()))
    }

    /// Logits of each head at every position of `states`, `[rows, count, codes]`: the first, and NAR's second.
    pub fn heads(&self, states: &States) -> (Tensor<3>, Option<Tensor<3>>) {
        let below = self.below.as_ref().zip(states.below.clone());
        (self.right.forward(states.right.clone()), below.map(|(head, states)| head.forward(states)))
    }
}

impl Head {
    fn forward(&self, states: Tensor<3>) -> Tensor<3> {
        self.output.forward(self.norm.forward(states))
    }

    /// This head's share of the logits of tokens with these sources; `None` where it predicts none of them.
    fn predict(
        &self,
        states: &Tensor<3>,
        from: usize,
        sources: &[Sources],
        mine: impl Fn(&Sources) -> Option<usize>,
    ) -> Option<Tensor<3>> {
        let places: Vec<Option<usize>> =
            sources.iter().map(|source| Some(mine(source)?.saturating_sub(from))).collect();
        let first = places.iter().flatten().copied().next()?;
        // Halves where the other head predicts too, nothing where only that one does.
        let share = |source: &Sources| match mine(source) {
            None => 0.0,
            Some(_) if source.right.is_some() && source.below.is_some() => 0.5,
            Some(_) => 1.0,
        };
        let shares: Vec<f32> = sources.iter().map(share).collect();
        let count = places.len();
        let in_a_run = places.iter().enumerate().all(|(index, place)| *place == Some(first + index));
        let picked = match in_a_run {
            true => states.clone().narrow(1, first, count),
            false => {
                let places = places.into_iter().map(|place| place.unwrap_or(first));
                states.clone().select(1, index(places, &states.device()))
            }
        };
        let mut normal = self.norm.forward(picked);
        if shares.iter().any(|&share| share != 1.0) {
            let shares = Tensor::<1>::from_data(TensorData::new(shares, [count]), &normal.device());
            normal = normal * shares.reshape([1, count, 1]);
        }
        Some(self.output.forward(normal))
    }
}
