//! Keys and values of positions that were decoded already.

use burn::tensor::{Device, Tensor};

/// Keys and values of one layer, in buffers that are as long as the longest sequence from the start.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    keys: Tensor<3>,
    values: Tensor<3>,
    length: usize,
}

impl KeyValueCache {
    /// Room for `most` positions of `width` channels in each of `rows` sequences.
    pub fn new(rows: usize, most: usize, width: usize, device: &Device) -> Self {
        let empty = || Tensor::zeros([rows, most, width], device);
        Self { keys: empty(), values: empty(), length: 0 }
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no position is held.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds positions `[rows, count, width]` and gives all that are held, `[rows, length, width]`.
    ///
    /// # Panics
    /// If there is no room, or shapes differ: a shape error, as in any tensor operation.
    pub fn append(&mut self, keys: Tensor<3>, values: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let [rows, count, width] = keys.dims();
        let (from, to) = (self.length, self.length + count);
        let place = [0..rows, from..to, 0..width];
        let held = |buffer: &mut Tensor<3>, new: Tensor<3>| {
            // Nobody else holds the buffer meanwhile, so that it is written in place.
            let old = std::mem::replace(buffer, Tensor::empty([1, 1, 1], &new.device()));
            *buffer = old.slice_assign(place.clone(), new);
            buffer.clone().slice([0..rows, 0..to, 0..width])
        };
        self.length = to;
        (held(&mut self.keys, keys), held(&mut self.values, values))
    }

    /// The first `length` positions that are held, followed by others `[rows, count, width]`, which are not kept:
    /// `[rows, length + count, width]`.
    ///
    /// # Panics
    /// If fewer positions are held, or shapes differ: a shape error, as in any tensor operation.
    pub fn beside(&self, length: usize, keys: Tensor<3>, values: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let joined = |buffer: &Tensor<3>, new: Tensor<3>| {
            let held = buffer.clone().narrow(1, 0, length.min(self.length));
            Tensor::cat(vec![held, new], 1)
        };
        (joined(&self.keys, keys), joined(&self.values, values))
    }

    /// Forgets all but the first `length` positions.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Forgets every position.
    pub fn clear(&mut self) {
        self.length = 0;
    }
}
