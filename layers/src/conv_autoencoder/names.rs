//! What a family calls the tensors of its autoencoder.

/// Names of the parts, below the encoder's or the decoder's own prefix. `conv_in` and `conv_out` are the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvNames {
    /// Levels of the encoder.
    pub down: LevelNames,
    /// Levels of the decoder.
    pub up: LevelNames,
    /// Whether the decoder counts its levels in the order in which they run, coarsest first; else as the encoder does.
    pub up_counts_from_coarsest: bool,
    /// The residual block, the attention and the residual block in the middle.
    pub middle: [&'static str; 3],
    /// The 1x1 convolution of a residual block that changes its width.
    pub shortcut: &'static str,
    /// The parts of an attention layer.
    pub attention: AttentionNames,
    /// The last normalisation.
    pub norm_out: &'static str,
}

/// Names within a level: `<levels>.<level>.<blocks>.<i>`, `<levels>.<level>.<attentions>.<i>`, `<levels>.<level>.<resample>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelNames {
    /// All levels.
    pub levels: &'static str,
    /// A level's residual blocks.
    pub blocks: &'static str,
    /// A level's attention layers, one for each residual block.
    pub attentions: &'static str,
    /// The convolution that halves or doubles.
    pub resample: &'static str,
}

/// Names within an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionNames {
    /// The group normalisation.
    pub norm: &'static str,
    /// The projections to queries, keys, values, and the one behind the attention.
    pub projections: [&'static str; 4],
    /// Whether the projections are 1x1 convolutions `[c, c, 1, 1]`; else matrices `[c, c]`.
    pub is_convolution: bool,
}

impl ConvNames {
    /// `AutoencoderKL` of diffusers.
    pub const DIFFUSERS: Self = Self {
        down: LevelNames {
            levels: "down_blocks",
            blocks: "resnets",
            attentions: "attentions",
            resample: "downsamplers.0.conv",
        },
        up: LevelNames {
            levels: "up_blocks",
            blocks: "resnets",
            attentions: "attentions",
            resample: "upsamplers.0.conv",
        },
        up_counts_from_coarsest: true,
        middle: ["mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1"],
        shortcut: "conv_shortcut",
        attention: AttentionNames {
            norm: "group_norm",
            projections: ["to_q", "to_k", "to_v", "to_out.0"],
            is_convolution: false,
        },
        norm_out: "conv_norm_out",
    };

    /// LlamaGen's VQ.
    pub const LLAMAGEN: Self = Self {
        down: LevelNames { levels: "conv_blocks", blocks: "res", attentions: "attn", resample: "downsample.conv" },
        up: LevelNames { levels: "conv_blocks", blocks: "res", attentions: "attn", resample: "upsample.conv" },
        up_counts_from_coarsest: true,
        middle: ["mid.0", "mid.1", "mid.2"],
        shortcut: "nin_shortcut",
        attention: AttentionNames { norm: "norm", projections: ["q", "k", "v", "proj_out"], is_convolution: true },
        norm_out: "norm_out",
    };

    /// The autoencoders of latent diffusion's first release, and MAR's.
    pub const LATENT_DIFFUSION: Self = Self {
        down: LevelNames { levels: "down", blocks: "block", attentions: "attn", resample: "downsample.conv" },
        up: LevelNames { levels: "up", blocks: "block", attentions: "attn", resample: "upsample.conv" },
        up_counts_from_coarsest: false,
        middle: ["mid.block_1", "mid.attn_1", "mid.block_2"],
        ..Self::LLAMAGEN
    };
}
