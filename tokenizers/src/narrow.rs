//! Starting values for widths well below 512.

use tessera_layers::Init;

/// Layers at whose end a residual branch is added.
const ENDS: [&str; 6] = ["attn.proj.", "out_proj.", "fc2.", "c_proj.", "output.dense.", "output_query.dense."];

/// What a matrix starts from in place of a small normal distribution of fixed deviation: one over the root of its inputs, or 0.4 of
/// that where it ends a residual branch; positions and learned vectors five times as strong. Other starts fit their widths, and stay.
///
/// A deviation of 0.02 leaves the signal of a narrow network so weak that attention learns where to look only after thousands of
/// steps.
pub(crate) fn start(name: &str, shape: &[usize], init: Init) -> Init {
    let Init::Normal(deviation) = init else { return init };
    if deviation > 0.02 || name.contains("quantize") {
        return init;
    }
    let inputs = shape.iter().skip(1).product::<usize>().max(1) as f32;
    if !name.ends_with("weight") || shape.len() < 2 || name.contains("_embedding.weight") && shape.len() == 2 {
        return init.scaled(5.0);
    }
    let share = if ENDS.iter().any(|end| name.contains(end)) { 0.4 } else { 1.0 };
    Init::Normal(share / inputs.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_start_by_their_inputs_and_other_starts_stay() {
        let old = Init::Normal(0.02);
        assert_eq!(start("layer.attention.self.query.weight", &[128, 100], old), Init::Normal(0.1));
        assert_eq!(start("layer.output.dense.weight", &[128, 100], old), Init::Normal(0.04));
        assert_eq!(start("embeddings.patch_embedding.weight", &[8, 3, 5, 5], old), Init::Normal(1.0 / 75.0_f32.sqrt()));
        assert_eq!(start("embeddings.position_embedding.weight", &[64, 128], old), old.scaled(5.0));
        assert_eq!(start("cls_token", &[1, 1, 8], old), old.scaled(5.0));
        for kept in [Init::Zeros, Init::Uniform(0.1), Init::Normal(1.0)] {
            assert_eq!(start("query_tokens", &[1, 8, 8], kept), kept);
        }
        assert_eq!(start("quantize.embedding.weight", &[8, 8], old), old);
    }
}
