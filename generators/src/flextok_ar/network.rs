//! The network, top to bottom.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params, Trace};
use tessera_shaders::{AttentionMask, masked_attention, swiglu};

use super::FlexTokArConfig;
use crate::cache::KeyValueCache;

/// What a sequence is conditioned on: a class, or nothing.
pub type Label = Option<u32>;

/// Embeddings, blocks and the head over the codes, under `models.ar_image_model`.
#[derive(Module, Debug)]
pub struct FlexTokArNetwork {
    embedding: Param<Tensor<2>>,
    start: Param<Tensor<3>>,
    positions: Param<Tensor<2>>,
    classes: Param<Tensor<2>>,
    blocks: Vec<Block>,
    post_norm: Option<LayerNorm>,
    head: Linear,
}

#[derive(Module, Debug)]
struct Block {
    norm_1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    proj: Linear,
    norm_2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    heads: usize,
}

impl FlexTokArNetwork {
    /// Takes every tensor of a checkpoint. `config` must have passed [`FlexTokArConfig::check`].
    pub fn new(params: &Params, config: &FlexTokArConfig) -> ParamResult<Self> {
        let model = params.at("models.ar_image_model");
        let (before, trunk) = (model.at("preprocessor"), model.at("trunk"));
        let (width, init) = (config.embed_dim, Init::Uniform(0.1));
        let post_norm = || LayerNorm::new(&trunk.at("post_trunk_norm"), width, config.norm_eps);
        Ok(Self {
            embedding: before.at("embedding").tensor("weight", [config.codebook_size, width], init)?,
            start: before.tensor("sos_token_embed", [1, 1, width], init)?,
            positions: before.tensor("positional_embedding", [config.num_tokens, width], init)?,
            classes: before.at("cls_embedding").tensor("weight", [config.num_classes, width], init)?,
            blocks: (0..config.num_blocks)
                .map(|block| Block::new(&trunk.at("blocks").at(block), config))
                .collect::<ParamResult<_>>()?,
            post_norm: config.post_trunk_norm.then(post_norm).transpose()?,
            head: Linear::new(&model.at("head.linear"), width, config.codebook_size, config.use_bias)?,
        })
    }

    /// What the blocks read at positions `first ..`: the start token where `first` is 0, then `ids [rows, count]`; positions
    /// are added to all of them, labels to position 0. `[rows, count (+ 1), width]`
    pub fn embed(&self, ids: Option<Tensor<2, Int>>, labels: &[Label], first: usize) -> Tensor<3> {
        let [_, width] = self.embedding.dims();
        let (rows, device) = (labels.len(), self.embedding.device());
        let mut parts = Vec::new();
        if first == 0 {
            parts.push(self.start.val().expand([rows, 1, width]) + self.labels(labels, &device));
        }
        if let Some(ids) = ids {
            let [_, count] = ids.dims();
            parts.push(self.embedding.val().select(0, ids.reshape([rows * count])).reshape([rows, count, width]));
        }
        let x = Tensor::cat(parts, 1);
        let [_, count, _] = x.dims();
        x + self.positions.val().slice([first..first + count]).unsqueeze::<3>()
    }

    /// Vectors of the labels `[rows, 1, width]`; zeros where there is none.
    fn labels(&self, labels: &[Label], device: &Device) -> Tensor<3> {
        let [_, width] = self.classes.dims();
        let rows = labels.len();
        let ids: Vec<i32> = labels.iter().map(|label| i32::try_from(label.unwrap_or(0)).unwrap_or(0)).collect();
        let there: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(label.is_some()))).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [rows]), device);
        let there = Tensor::<2>::from_data(TensorData::new(there, [rows, 1]), device);
        (self.classes.val().select(0, ids) * there).reshape([rows, 1, width])
    }

    /// Logits `[rows, count, codes]` of [`FlexTokArNetwork::embed`] `[rows, count, width]`. With caches, one for each block,
    /// the positions follow those that the caches hold, and are added to them.
    ///
    /// Reports `block<i>` to `trace`.
    pub fn forward(&self, x: Tensor<3>, caches: Option<&mut [KeyValueCache]>, trace: &mut Trace) -> Tensor<3> {
        let mut caches = caches.map(<[KeyValueCache]>::iter_mut);
        let mut x = x;
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, caches.as_mut().and_then(Iterator::next));
            trace.see(format_args!("block{index}"), || x.clone());
        }
        if let Some(norm) = &self.post_norm {
            x = norm.forward(x);
        }
        self.head.forward(x)
    }

    /// Teacher-forced logits `[batch, tokens, codes]`: at each position those of the token there, given the tokens before it
    /// in `ids [batch, tokens]`. Reports `input_embeddings` and `block<i>` to `trace`.
    pub fn teach(&self, ids: Tensor<2, Int>, labels: &[Label], trace: &mut Trace) -> Tensor<3> {
        let [batch, count] = ids.dims();
        let before = (count > 1).then(|| ids.slice([0..batch, 0..count - 1]));
        let x = self.embed(before, labels, 0);
        trace.see("input_embeddings", || x.clone());
        self.forward(x, None, trace)
    }

    /// Caches for `rows` sequences of up to `most` positions.
    pub fn caches(&self, rows: usize, most: usize) -> Vec<KeyValueCache> {
        let [_, width] = self.embedding.dims();
        let device = self.embedding.device();
        self.blocks.iter().map(|_| KeyValueCache::new(rows, most, width, &device)).collect()
    }
}

impl Block {
    fn new(params: &Params, config: &FlexTokArConfig) -> ParamResult<Self> {
        let (width, hidden, bias) = (config.embed_dim, config.ffn_hidden, config.use_bias);
        let (attention, mlp) = (params.at("attn"), params.at("mlp"));
        let square = |name: &str| Linear::new(&attention.at(name), width, width, bias);
        Ok(Self {
            norm_1: LayerNorm::new(&params.at("norm_1"), width, config.norm_eps)?,
            q_proj: square("q_proj")?,
            k_proj: square("k_proj")?,
            v_proj: square("v_proj")?,
            proj: square("proj")?,
            norm_2: LayerNorm::new(&params.at("norm_2"), width, config.norm_eps)?,
            fc1: Linear::new(&mlp.at("fc1"), width, hidden, bias)?,
            fc2: Linear::new(&mlp.at("fc2"), hidden, width, bias)?,
            fc3: Linear::new(&mlp.at("fc3"), width, hidden, bias)?,
            heads: config.num_heads,
        })
    }

    /// `[rows, count, width] -> [rows, count, width]`
    fn forward(&self, x: Tensor<3>, cache: Option<&mut KeyValueCache>) -> Tensor<3> {
        let normal = self.norm_1.forward(x.clone());
        let q = self.q_proj.forward(normal.clone());
        let (k, v) = (self.k_proj.forward(normal.clone()), self.v_proj.forward(normal));
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v),
            None => (k, v),
        };
        let [_, _, width] = q.dims();
        let scale = 1.0 / (width as f32 / self.heads as f32).sqrt();
        let x = x + self.proj.forward(masked_attention(q, k, v, self.heads, scale, AttentionMask::Causal));
        let normal = self.norm_2.forward(x.clone());
        x + self.fc2.forward(swiglu(self.fc1.forward(normal.clone()), self.fc3.forward(normal)))
    }
}
