//! The positions that say what a sample is conditioned on.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use tessera_layers::{Init, Linear, ParamResult, Params};

use super::condition::PromptPart;
use super::config::ScaleArConfig;

/// Turns one sort of condition into positions.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a model holds one or two")]
pub enum ConditionPart {
    /// A table whose last row stands for no class.
    Classes(ClassTable),
    /// A row for each word, and one for each place that holds none.
    Words(WordTable),
    /// A projection, a vector that stands for no features, and one that marks the positions.
    Features(FeatureProjection),
}

/// `class_embed.weight [classes + 1, width]`
#[derive(Module, Debug)]
pub struct ClassTable {
    table: Param<Tensor<2>>,
}

/// `word_cond.weight [words + 1, width]`, `word_pos [places, width]`
#[derive(Module, Debug)]
pub struct WordTable {
    table: Param<Tensor<2>>,
    places: Param<Tensor<2>>,
}

/// `cond_proj`, `cond_null [channels]`, `cond_level [width]`; of a second condition `cond2_proj` and so on.
#[derive(Module, Debug)]
pub struct FeatureProjection {
    proj: Linear,
    null: Param<Tensor<1>>,
    level: Param<Tensor<1>>,
}

impl ConditionPart {
    /// All parts of a model, in the order of their positions.
    pub(super) fn all(params: &Params, config: &ScaleArConfig) -> ParamResult<Vec<Self>> {
        let mut parts = Vec::new();
        let table = Init::Normal(0.02);
        if let Some(classes) = config.classes {
            let table = params.at("class_embed").tensor("weight", [classes + 1, config.dim], table)?;
            parts.push(Self::Classes(ClassTable { table }));
        }
        if let Some(words) = &config.words {
            let rows = [words.len() + 1, config.dim];
            parts.push(Self::Words(WordTable {
                table: params.at("word_cond").tensor("weight", rows, table)?,
                places: params.tensor("word_pos", [config.most_words, config.dim], table)?,
            }));
        }
        for (prefix, sizes) in ["cond", "cond2"].into_iter().zip(config.conditions()) {
            parts.push(Self::Features(FeatureProjection {
                proj: Linear::new(&params.at(format_args!("{prefix}_proj")), sizes.dim, config.dim, true)?,
                null: params.tensor(&format!("{prefix}_null"), [sizes.dim], table)?,
                level: params.tensor(&format!("{prefix}_level"), [config.dim], table)?,
            }));
        }
        Ok(parts)
    }

    /// `[rows, positions, width]` of the prompt's part of the same sort.
    pub(super) fn embed(&self, part: &PromptPart, device: &Device) -> Tensor<3> {
        match (self, part) {
            (Self::Classes(ClassTable { table }), PromptPart::Classes(classes)) => {
                let [rows, width] = table.dims();
                let null = rows.saturating_sub(1);
                let id = |class: &Option<u32>| class.map_or(null, |class| usize::try_from(class).unwrap_or(null));
                let ids = crate::kept::index(classes.iter().map(id), device);
                table.val().select(0, ids).reshape([classes.len(), 1, width])
            }
            (Self::Words(WordTable { table, places }), PromptPart::Words(captions)) => {
                let ([rows, width], [most, _]) = (table.dims(), places.dims());
                let null = rows.saturating_sub(1);
                let of_row = |words: &Vec<u32>| {
                    let words = words.iter().map(|&word| usize::try_from(word).map_or(null, |word| word.min(null)));
                    words.chain(std::iter::repeat(null)).take(most).collect::<Vec<usize>>()
                };
                let ids = crate::kept::index(captions.iter().flat_map(of_row), device);
                table.val().select(0, ids).reshape([captions.len(), most, width]) + places.val().unsqueeze::<3>()
            }
            (Self::Features(part), PromptPart::Features { features, kept }) => {
                let [rows, positions, channels] = features.dims();
                let marks: Vec<f32> = kept.iter().map(|&kept| f32::from(u8::from(kept))).collect();
                let marks = Tensor::<3>::from_data(TensorData::new(marks, [rows, positions, 1]), device);
                let null = part.null.val().reshape([1, 1, channels]);
                let features = match kept.contains(&false) {
                    true => features.clone() * marks.clone() + null * (marks.neg() + 1.0),
                    false => features.clone(),
                };
                part.proj.forward(features) + part.level.val().reshape([1, 1, -1])
            }
            // Prompts come from `ScalePrompt::of`, which makes no other.
            _ => Tensor::zeros([0, 1, 1], device),
        }
    }
}
