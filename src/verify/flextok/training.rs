//! The training loss of given draws, and its gradients.

use burn::tensor::{Device, Tensor};
use tessera_layers::ParamSource;
use tessera_layers::checkpoint::Weights;
use tessera_tokenizers::flextok::train::{FlowDraw, flow_loss};
use tessera_tokenizers::flextok::{Condition, FlexTokConfig, FlexTokNetwork};

use super::super::inputs::float_input;
use crate::verify::{Case, CaseError, Values, gradients};

pub(super) fn run(
    case: &Case,
    config: &FlexTokConfig,
    weights: &Weights,
    latents: Tensor<4>,
    device: &Device,
    values: &mut Values,
) -> Result<(), CaseError> {
    let device = device.clone().autodiff();
    let source = ParamSource::weights(weights, "", &device);
    let network = FlexTokNetwork::new(&source.root(), config)?;
    let (_, sigmas) = case.floats::<1>("train.sigma")?;
    let (_, keep) = case.integers::<1>("train.keep_k")?;
    let [batch, ..] = latents.dims();
    if sigmas.len() != batch || keep.len() != batch {
        let found = format!("{} and {}", sigmas.len(), keep.len());
        return Err(CaseError::input("train.sigma and train.keep_k", format!("{batch} values each"), found));
    }
    let draws: Vec<FlowDraw> = sigmas
        .into_iter()
        .zip(keep)
        .map(|(sigma, keep)| FlowDraw {
            sigma,
            condition: Condition::Tokens(usize::try_from(keep).unwrap_or(0)),
            rounded: true,
        })
        .collect();
    let noise = float_input::<4>(case, "train.noise", &device)?;
    let loss = flow_loss(&network, Tensor::from_inner(latents), noise, &draws, None);
    values.floats("train.noised", loss.noised);
    values.floats("train.velocity", loss.velocity);
    values.floats("train.loss", loss.loss.clone());
    let backward = loss.loss.backward();
    for spec in source.into_taken() {
        let name = format!("train.grad.{}", spec.name);
        if values.wants(&name) {
            gradients::take(&network, &spec, &backward, &name, values);
        }
    }
    Ok(())
}
