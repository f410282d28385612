//! The released model.

use tessera_tokenizers::tokenflow::TokenFlowConfig;

use super::{LlmConfig, SamplingConfig, TokenFlowT2iConfig};

/// Names of the released models.
pub const PRESETS: [&str; 1] = ["tokenflow-t2i"];

/// The tokenizer that the release was trained on.
pub(super) const TOKENIZER: &str = "tokenflow-clipb-32k-enhanced";

/// The configuration of a released model, or `None` for an unknown name.
pub fn preset(name: &str) -> Option<TokenFlowT2iConfig> {
    if name != "tokenflow-t2i" {
        return None;
    }
    let llm = LlmConfig {
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: None,
        vocab_size: 64_769,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        mm_projector_type: "mlp2x_gelu".to_owned(),
        image_token_start: Some(32_001),
        pad_token_id: Some(32_000),
    };
    let tokenizer = TokenFlowConfig::preset(TOKENIZER)?;
    let sampling = SamplingConfig::default();
    let (mm_vision_tower, words, most_words, learnt) = (None, None, 16, None);
    Some(TokenFlowT2iConfig { llm, tokenizer, sampling, mm_vision_tower, words, most_words, learnt })
}
