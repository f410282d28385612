//! How large an autoencoder is.

/// Sizes of an encoder or a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvSizes {
    /// Channels behind the encoder's first convolution; those of level 0 where absent.
    pub stem: Option<usize>,
    /// Channels of each level; level 0 has the picture's resolution and each further one half of the one before.
    pub widths: Vec<usize>,
    /// Residual blocks of a level.
    pub blocks: usize,
    /// Groups of every normalisation; divides every width.
    pub groups: usize,
    /// Whether the middle has an attention layer.
    pub middle_attention: bool,
    /// Levels with an attention layer behind each residual block.
    pub attention_levels: Vec<usize>,
}

impl ConvSizes {
    /// Channels of `level`; beyond the last level, those of the last.
    pub(super) fn width(&self, level: usize) -> usize {
        self.widths.get(level).or(self.widths.last()).copied().unwrap_or(1)
    }

    /// Channels of the coarsest level.
    pub(super) fn widest(&self) -> usize {
        self.width(usize::MAX)
    }
}
