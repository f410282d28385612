//! Alignment of the decoder's features with those of a frozen network (REPA).

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use tessera_layers::perceptual::{Resampling, resize};
use tessera_layers::{Linear, ParamResult, Params};

use tessera_shaders::norm;

use super::block::{EPSILON, xavier};

/// Projects patches of the decoder to the teacher's channels: a norm and three linear layers with SiLU between them.
///
/// It helps in training and is no part of the finished model. Source: Yu et al. 2024, "Representation Alignment for
/// Generation" (arXiv 2410.06940), section 3.
#[derive(Module, Debug)]
pub struct AlignmentHead {
    layers: Vec<Linear>,
}

/// Hidden channels for each channel of the decoder.
const RATIO: usize = 4;

impl AlignmentHead {
    /// From `dim` channels of the decoder to those of the teacher; takes `0`, `1` and `2`.
    pub fn new(params: &Params, dim: usize, teacher: usize) -> ParamResult<Self> {
        let hidden = RATIO * dim;
        let sizes = [[dim, hidden], [hidden, hidden], [hidden, teacher]];
        let layers = sizes.into_iter().enumerate();
        let layers = layers.map(|(index, [inputs, outputs])| xavier(&params.at(index), inputs, outputs, true));
        Ok(Self { layers: layers.collect::<ParamResult<_>>()? })
    }

    /// The negative cosine of the angle between the projected patches `[batch, rows * columns, dim]` and the teacher's
    /// features `[batch, channels, h, w]`, which are resized to the patches' grid; averaged over all patches, -1..=1.
    pub fn loss(&self, patches: Tensor<3>, teacher: Tensor<4>, grid: [usize; 2]) -> Tensor<1> {
        let mut x = norm(patches, EPSILON);
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(if index == 0 { x } else { activation::silu(x) });
        }
        let [batch, channels, ..] = teacher.dims();
        let [rows, columns] = grid;
        let teacher = resize(teacher, grid, Resampling::Bilinear);
        let teacher = teacher.reshape([batch, channels, rows * columns]).swap_dims(1, 2);
        (unit(x) * unit(teacher)).sum_dim(2).mean().neg()
    }
}

/// Channel vectors of length one.
fn unit(x: Tensor<3>) -> Tensor<3> {
    let length = x.clone().square().sum_dim(2).clamp_min(1e-12).sqrt();
    x / length
}
