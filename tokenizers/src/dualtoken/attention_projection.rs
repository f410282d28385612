//! Between the encoder's channels and those of the codes: attention that changes the width.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_layers::{LayerNorm, Linear, PackedQkv, ParamResult, Params, Trace};
use tessera_shaders::{AttentionMask, masked_attention};

/// `y = proj(norm3(x)) + attn(norm1(x))`, then `y + mlp(norm2(y))`, from one width to another.
///
/// Heads are as wide as the narrower of both widths. Towards codes every position sees all others and the heads' results are
/// averaged; away from codes positions see those before them, row by row, and the heads stand side by side.
#[derive(Module, Debug)]
pub struct AttentionProjection {
    norm1: LayerNorm,
    qkv: PackedQkv,
    attention_proj: Linear,
    proj: Linear,
    norm3: LayerNorm,
    norm2: LayerNorm,
    mlp_norm: LayerNorm,
    w0: Linear,
    w1: Linear,
    w2: Linear,
    heads: usize,
    wide: usize,
    outputs: usize,
}

impl AttentionProjection {
    /// A projection between widths of which one divides the other.
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> ParamResult<Self> {
        let (attention, mlp) = (params.at("attn"), params.at("mlp"));
        let (wide, narrow) = (inputs.max(outputs), inputs.min(outputs));
        let norm = |name: &str, width: usize| LayerNorm::new(&params.at(name), width, 1e-5);
        Ok(Self {
            norm1: norm("norm1", inputs)?,
            qkv: PackedQkv::new(&attention, inputs, wide, true)?,
            attention_proj: Linear::new(&attention.at("proj"), outputs, outputs, true)?,
            proj: Linear::new(&params.at("proj"), inputs, outputs, true)?,
            norm3: norm("norm3", inputs)?,
            norm2: norm("norm2", outputs)?,
            mlp_norm: LayerNorm::new(&mlp.at("norm"), outputs, 1e-6)?,
            w0: Linear::new(&mlp.at("w0"), outputs, 2 * outputs, true)?,
            w1: Linear::new(&mlp.at("w1"), outputs, 2 * outputs, true)?,
            w2: Linear::new(&mlp.at("w2"), 2 * outputs, outputs, true)?,
            heads: wide / narrow.max(1),
            wide,
            outputs,
        })
    }

    /// `[batch, positions, inputs] -> [batch, positions, outputs]`. Reports `attn` to `trace`.
    pub fn forward(&self, x: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        let attended = self.attend(self.norm1.forward(x.clone()));
        trace.see("attn", || attended.clone());
        let y = self.proj.forward(self.norm3.forward(x)) + attended;
        let m = self.mlp_norm.forward(self.norm2.forward(y.clone()));
        let gate = activation::gelu_approximate(self.w0.forward(m.clone()));
        y + self.w2.forward(gate * self.w1.forward(m))
    }

    fn attend(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, positions, inputs] = x.dims();
        let packed = self.qkv.forward(x);
        let [q, k, v] = [0, 1, 2].map(|part| packed.clone().narrow(2, part * self.wide, self.wide));
        let dim = self.wide / self.heads;
        let is_shrinking = inputs > self.outputs;
        let mask = if is_shrinking { AttentionMask::Full } else { AttentionMask::Causal };
        let y = masked_attention(q, k, v, self.heads, 1.0 / (dim as f32).sqrt(), mask);
        let y = match is_shrinking {
            true => {
                let heads = y.reshape([batch * positions, self.heads, dim]).mean_dim(1);
                heads.reshape([batch, positions, dim])
            }
            false => y,
        };
        self.attention_proj.forward(y)
    }
}
