//! [`CodeBatch`]: items for one forward pass of a generator.

use burn::tensor::{Device, Int, Tensor, TensorData};
use tessera_generators::Generated;

/// Codes of a batch.
#[derive(Debug, Clone)]
pub enum Codes {
    /// Ids `[batch, positions, depth]`.
    Ids(Tensor<3, Int>),
    /// Latents `[batch, positions, channels]`.
    Latents(Tensor<3>),
}

/// Items with what they are conditioned on.
#[derive(Debug, Clone)]
pub struct CodeBatch {
    /// The codes.
    pub codes: Codes,
    /// Ids of the words of each caption; none for an item without a condition.
    pub captions: Vec<Vec<u32>>,
    /// Class of each item.
    pub labels: Vec<Option<u32>>,
}

impl CodeBatch {
    /// Items.
    pub fn len(&self) -> usize {
        self.captions.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.captions.is_empty()
    }

    /// Ids `[batch, positions]` of codes of one id each, on which `what` are learnt.
    ///
    /// # Errors
    /// [`crate::Error::Unfit`] for latents.
    pub fn ids(&self, what: &str) -> Result<Tensor<2, Int>, crate::Error> {
        match &self.codes {
            Codes::Ids(ids) => Ok(ids.clone().squeeze_dim(2)),
            Codes::Latents(_) => Err(crate::Error::Unfit(format!("{what} are learnt from ids, not from latents"))),
        }
    }
}

/// Values of items side by side, as they lie in memory.
#[derive(Debug, Clone, PartialEq)]
pub enum CodeValues {
    /// Ids, with the vocabulary of each depth.
    Ids(Vec<u32>, Vec<u32>),
    /// Latents, with their channels.
    Latents(Vec<f32>, usize),
}

impl CodeValues {
    /// Numbers at each position.
    pub fn depth(&self) -> usize {
        match self {
            Self::Ids(_, vocab) => vocab.len(),
            Self::Latents(_, channels) => *channels,
        }
    }

    /// The items at `places` as a tensor, each of `positions` positions.
    pub fn gather(&self, places: &[usize], positions: usize, device: &Device) -> Codes {
        let (depth, width) = (self.depth(), positions * self.depth());
        let shape = [places.len(), positions, depth];
        let ranges = places.iter().map(|place| place * width..(place + 1) * width);
        match self {
            Self::Ids(ids, _) => {
                let picked = ranges.filter_map(|range| ids.get(range)).flatten();
                let picked: Vec<i32> = picked.map(|&id| i32::try_from(id).unwrap_or(0)).collect();
                Codes::Ids(Tensor::from_data(TensorData::new(picked, shape), device))
            }
            Self::Latents(values, _) => {
                let picked: Vec<f32> = ranges.filter_map(|range| values.get(range)).flatten().copied().collect();
                Codes::Latents(Tensor::from_data(TensorData::new(picked, shape), device))
            }
        }
    }

    /// What a codec made.
    pub fn of(generated: Generated) -> Self {
        match generated {
            Generated::Latents(latents) => {
                let [_, _, channels] = latents.vectors.dims();
                Self::Latents(latents.vectors.into_data().iter().collect(), channels)
            }
            Generated::Tokens(tokens) => Self::Ids(tokens.ids().to_vec(), tokens.vocab().to_vec()),
            _ => Self::Ids(Vec::new(), Vec::new()),
        }
    }

    /// Puts other items of the same kind behind these.
    pub fn extend(&mut self, other: Self) {
        match (self, other) {
            (Self::Ids(ids, _), Self::Ids(more, _)) => ids.extend(more),
            (Self::Latents(values, _), Self::Latents(more, _)) => values.extend(more),
            _ => {}
        }
    }
}
