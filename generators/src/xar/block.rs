//! One block: attention and a gated MLP, both shifted, scaled and gated by the condition of an entity.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_layers::{Init, Linear, ParamResult, Params, Turns};
use tessera_shaders::{AttentionMask, gelu, masked_attention};

use super::Entities;
use crate::cache::KeyValueCache;

/// Epsilon of the normalisations inside a block, which have no weight.
const EPSILON: f64 = 1e-6;

/// `x += gate attn(norm(x) (1 + scale) + shift)`, and the same with an MLP.
#[derive(Module, Debug)]
pub struct XarBlock {
    qkv: Linear,
    proj: Linear,
    fc1_g: Linear,
    fc1_x: Linear,
    fc2: Linear,
    ada_lin: Linear,
    heads: usize,
}

/// A linear layer that starts as the release does.
pub(super) fn linear(params: &Params, inputs: usize, outputs: usize) -> ParamResult<Linear> {
    Linear::with_names(params, ["weight", "bias"], inputs, outputs, true, Init::xavier_uniform(inputs, outputs))
}

/// What the positions of a pass are.
#[derive(Clone, Copy)]
pub(super) enum Pass<'a> {
    /// A whole sequence, block-causal over its entities.
    Whole(&'a Entities),
    /// One entity behind those that the caches hold; `keeps` says whether it is added to them.
    Entity { keeps: bool },
}

impl XarBlock {
    /// Takes `attn.*`, `mlp.*` and `ada_lin.1`.
    pub(super) fn new(params: &Params, [width, hidden, heads]: [usize; 3]) -> ParamResult<Self> {
        let (attention, mlp) = (params.at("attn"), params.at("mlp"));
        Ok(Self {
            qkv: linear(&attention.at("qkv"), width, 3 * width)?,
            proj: linear(&attention.at("proj"), width, width)?,
            fc1_g: linear(&mlp.at("fc1_g"), width, hidden)?,
            fc1_x: linear(&mlp.at("fc1_x"), width, hidden)?,
            fc2: linear(&mlp.at("fc2"), hidden, width)?,
            ada_lin: linear(&params.at("ada_lin.1"), width, 6 * width)?,
            heads,
        })
    }

    /// `x [rows, positions, width]`, conditions `[rows, entities, width]` of the entities of the pass.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        condition: Tensor<3>,
        turns: &Turns,
        pass: Pass<'_>,
        cache: Option<&mut KeyValueCache>,
    ) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let modulation = self.ada_lin.forward(activation::silu(condition)); // [rows, entities, 6 width]
        let part = |index: usize| spread(modulation.clone().narrow(2, index * width, width), &x, pass);
        let [gate_1, gate_2, scale_1, scale_2, shift_1, shift_2] = [0, 1, 2, 3, 4, 5].map(part);
        let x = x.clone() + gate_1 * self.attend(norm(x) * (scale_1 + 1.0) + shift_1, turns, pass, cache);
        let normal = norm(x.clone()) * (scale_2 + 1.0) + shift_2;
        x + gate_2 * self.fc2.forward(gelu(self.fc1_g.forward(normal.clone())) * self.fc1_x.forward(normal))
    }

    fn attend(&self, normal: Tensor<3>, turns: &Turns, pass: Pass<'_>, cache: Option<&mut KeyValueCache>) -> Tensor<3> {
        let [rows, count, width] = normal.dims();
        let packed = self.qkv.forward(normal);
        let part = |index: usize| packed.clone().narrow(2, index * width, width);
        let (q, k, v) = (turns.turn(part(0)), turns.turn(part(1)), part(2));
        let scale = 1.0 / (width as f32 / self.heads as f32).sqrt();
        let attend = |q, k, v, mask| masked_attention(q, k, v, self.heads, scale, mask);
        let y = match pass {
            Pass::Entity { keeps } => {
                let (k, v) = match cache {
                    Some(cache) => {
                        let held = cache.len();
                        let all = cache.append(k, v);
                        if !keeps {
                            cache.truncate(held);
                        }
                        all
                    }
                    None => (k, v),
                };
                attend(q, k, v, AttentionMask::Full)
            }
            Pass::Whole(entities) => match entities.common_size() {
                Some(size) => attend(q, k, v, AttentionMask::Blocks { size }),
                // Entities of several sizes: each sees all up to its own end.
                None => {
                    let of_entity = entities.ranges().iter().map(|range| {
                        let seen = |x: &Tensor<3>| x.clone().narrow(1, 0, range.end);
                        attend(q.clone().narrow(1, range.start, range.len()), seen(&k), seen(&v), AttentionMask::Full)
                    });
                    Tensor::cat(of_entity.collect(), 1)
                }
            },
        };
        self.proj.forward(y.reshape([rows, count, width]))
    }
}

/// `x / sqrt(mean(x^2) + eps)`
fn norm(x: Tensor<3>) -> Tensor<3> {
    x.clone() * (x.clone() * x).mean_dim(2).add_scalar(EPSILON).sqrt().recip()
}

/// What each entity has, `[rows, entities, width]`, at each of its positions, in the shape of `x` or one that broadcasts to it.
fn spread(of_entity: Tensor<3>, x: &Tensor<3>, pass: Pass<'_>) -> Tensor<3> {
    let ([rows, count, _], [_, entities, width]) = (x.dims(), of_entity.dims());
    match pass {
        _ if entities == 1 => of_entity,
        Pass::Whole(order) if order.common_size().is_none() => {
            of_entity.select(1, crate::kept::index(order.entity_of(), &x.device()))
        }
        _ => {
            let size = count / entities;
            of_entity
                .reshape([rows, entities, 1, width])
                .expand([rows, entities, size, width])
                .reshape([rows, count, width])
        }
    }
}
