//! The U-shaped ViT of TiTok-S-128: pre-norm blocks, the second half reading the outputs of the first.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use tessera_layers::attention::packed_self_attention;
use tessera_layers::{Init, LayerNorm, Linear, ParamResult, Params, Trace};
use tessera_shaders::gelu;

use super::MaskGitConfig;

const EPSILON: f64 = 1e-5;

/// Half of the layers going in, one in the middle, half going out with skip connections.
#[derive(Module, Debug)]
pub struct UVit {
    embeddings: Param<Tensor<2>>,
    pos_embed: Param<Tensor<3>>,
    in_blocks: Vec<UVitBlock>,
    mid_block: UVitBlock,
    out_blocks: Vec<UVitBlock>,
    norm: LayerNorm,
    lm_head: Linear,
}

#[derive(Module, Debug)]
struct UVitBlock {
    skip_linear: Option<Linear>,
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl UVit {
    /// Takes every tensor of the released file.
    pub fn new(params: &Params, config: &MaskGitConfig) -> ParamResult<Self> {
        let width = config.hidden_size;
        let half = config.num_hidden_layers / 2;
        let init = Init::Normal(0.02);
        let blocks = |name: &str, skip: bool| {
            (0..half).map(|i| UVitBlock::new(&params.at(name).at(i), config, skip)).collect::<ParamResult<Vec<_>>>()
        };
        let table = [config.vocabulary(), width];
        Ok(Self {
            embeddings: params.at("embeddings").tensor("weight", table, init)?,
            pos_embed: params.tensor("pos_embed", [1, config.image_seq_len + 1, width], init)?,
            in_blocks: blocks("in_blocks", false)?,
            mid_block: UVitBlock::new(&params.at("mid_block"), config, false)?,
            out_blocks: blocks("out_blocks", true)?,
            norm: LayerNorm::new(&params.at("norm"), width, EPSILON)?,
            lm_head: Linear::new(&params.at("lm_head"), width, config.codebook_size, true)?,
        })
    }

    /// Ids `[batch, 1 + positions]`, the class first, to logits `[batch, positions, codes]`.
    pub fn forward(&self, ids: Tensor<2, Int>, trace: &mut Trace) -> Tensor<3> {
        let [batch, length] = ids.dims();
        let table = self.embeddings.val();
        let [_, width] = table.dims();
        let words = table.select(0, ids.reshape([batch * length])).reshape([batch, length, width]);
        let mut x = words + self.pos_embed.val().slice([0..1, 0..length]);
        let mut skips = Vec::with_capacity(self.in_blocks.len());
        for (i, block) in self.in_blocks.iter().enumerate() {
            x = block.forward(x, None);
            trace.see(format_args!("in_block{i}"), || x.clone());
            skips.push(x.clone());
        }
        x = self.mid_block.forward(x, None);
        trace.see("mid_block", || x.clone());
        for (i, block) in self.out_blocks.iter().enumerate() {
            x = block.forward(x, skips.pop());
            trace.see(format_args!("out_block{i}"), || x.clone());
        }
        self.lm_head.forward(self.norm.forward(x.slice([0..batch, 1..length])))
    }
}

impl UVitBlock {
    fn new(params: &Params, config: &MaskGitConfig, skip: bool) -> ParamResult<Self> {
        let (width, hidden) = (config.hidden_size, config.intermediate_size);
        let skip_linear = || Linear::new(&params.at("skip_linear"), 2 * width, width, true);
        Ok(Self {
            skip_linear: skip.then(skip_linear).transpose()?,
            norm1: LayerNorm::new(&params.at("norm1"), width, EPSILON)?,
            qkv: Linear::new(&params.at("attn.qkv"), width, 3 * width, false)?,
            proj: Linear::new(&params.at("attn.proj"), width, width, true)?,
            norm2: LayerNorm::new(&params.at("norm2"), width, EPSILON)?,
            fc1: Linear::new(&params.at("mlp.fc1"), width, hidden, true)?,
            fc2: Linear::new(&params.at("mlp.fc2"), hidden, width, true)?,
            heads: config.num_attention_heads,
        })
    }

    fn forward(&self, x: Tensor<3>, skip: Option<Tensor<3>>) -> Tensor<3> {
        let x = match (&self.skip_linear, skip) {
            (Some(linear), Some(skip)) => linear.forward(Tensor::cat(vec![x, skip], 2)),
            _ => x,
        };
        let qkv = self.qkv.forward(self.norm1.forward(x.clone()));
        let x = x + self.proj.forward(packed_self_attention(qkv, self.heads));
        let hidden = gelu(self.fc1.forward(self.norm2.forward(x.clone())));
        x + self.fc2.forward(hidden)
    }
}
