//! The first training stage: features of pictures and texts, the contrastive loss, and gradients.

use burn::tensor::Device;
use tessera_layers::Trace;
use tessera_tokenizers::seed::train::{Captions, contrastive_losses};
use tessera_tokenizers::seed::{ContrastiveConfig, load_contrastive};

use super::{Values, image};
use crate::verify::{Case, CaseError, gradients};

pub(super) fn run(case: &Case, device: &Device, values: &mut Values) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let config = ContrastiveConfig::from_value(&case.config)?;
    let (network, specs) = load_contrastive(&config, &case.weights()?, &device)?;
    let image = image(case, &config.encoder.vit, &device)?;
    let captions = captions(case)?;
    let losses = contrastive_losses(
        &network,
        image,
        &captions,
        config.label_smoothing,
        &mut Trace::new(&mut |name, tap| values.tap(name, tap)),
    )?;
    values.floats("text_hidden", losses.text_hidden);
    values.floats("image_feat", losses.image);
    values.floats("text_feat", losses.text);
    values.floats("loss_itc", losses.loss.clone());
    let backward = losses.loss.backward();
    for spec in specs {
        let name = format!("grad.{}", spec.name);
        if values.wants(&name) {
            gradients::take(&network, &spec, &backward, &name, values);
        }
    }
    Ok(())
}

fn captions(case: &Case) -> Result<Captions, CaseError> {
    let (shape, ids) = case.integers::<2>("input_ids")?;
    let (mask_shape, mask) = case.integers::<2>("attention_mask")?;
    if mask_shape != shape {
        return Err(CaseError::input("input \"attention_mask\"", format!("{shape:?}"), format!("{mask_shape:?}")));
    }
    let id = |id: i64| {
        u32::try_from(id).map_err(|_| CaseError::input("input \"input_ids\"", "ids from 0 on", id.to_string()))
    };
    let ids = ids.into_iter().map(id).collect::<Result<_, _>>()?;
    Ok(Captions { ids, mask: mask.into_iter().map(|word| word != 0).collect(), shape })
}
