//! Cases of SEED: whole tokenizers, causality, both stages of training.

mod causality;
mod codec;
mod contrastive;
mod tokenizer;

use burn::tensor::{Device, Tensor};
use tessera_tokenizers::seed::VitConfig;

use super::inputs::float_input;
use super::{Case, CaseError, Value, Values};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    match case.kind.as_str() {
        "seed1-reverse" | "seed1-checkpoint-pt" | "seed2-mlp" | "seed2-reverse" | "seed2-checkpoint-pt" => {
            tokenizer::run(case, device, values)
        }
        "seed1-causality" | "seed2-causality" => causality::run(case, device, values),
        "seed1-losses" | "seed2-losses" => codec::run(case, device, values),
        "seed-itc" => contrastive::run(case, device, values),
        other => Err(CaseError::UnknownKind {
            system: case.system.clone(),
            kind: other.to_owned(),
            known: "seed1-reverse, seed2-mlp, seed2-reverse, seed{1,2}-checkpoint-pt, seed{1,2}-causality, \
                    seed{1,2}-losses and seed-itc",
        }),
    }
}

/// The input `image`, already normalised.
fn image(case: &Case, vit: &VitConfig, device: &Device) -> Result<Tensor<4>, CaseError> {
    let image = float_input::<4>(case, "image", device)?;
    let [batch, channels, height, width] = image.dims();
    let side = vit.img_size;
    if batch == 0 || [channels, height, width] != [vit.in_chans, side, side] {
        let expected = format!("[batch, {}, {side}, {side}]", vit.in_chans);
        return Err(CaseError::input("input \"image\"", expected, format!("{:?}", image.dims())));
    }
    Ok(image)
}

/// Numbers that stand in the names of expected tensors between `prefix` and the next dot or the end.
fn numbered(values: &Values, prefix: &str) -> Vec<usize> {
    let number = |name: &str| name.strip_prefix(prefix)?.split('.').next()?.parse().ok();
    let mut found: Vec<usize> = values.wanted().filter_map(number).collect();
    found.dedup();
    found
}
