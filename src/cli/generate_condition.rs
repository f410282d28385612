//! What `tessera generate` is asked for: class, style, words.

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use tessera::generators::{Condition, GeneratorInfo};

/// What the samples are to show.
#[derive(Args)]
pub struct ConditionArguments {
    /// Class: a word of the model's own such as animals, or the number of a class.
    #[arg(long)]
    class: Option<String>,
    /// Condition on what is given and on nothing more. Without it, what is not given of class, style and name is drawn by chance from
    /// what the model has learnt, for each sample anew, unless there is a prompt.
    #[arg(long, conflicts_with = "prompt_ids")]
    exactly: bool,
    /// Style: a word of the model's own such as noto.
    #[arg(long)]
    style: Option<String>,
    /// Caption, in words that the model knows.
    #[arg(long)]
    prompt: Option<String>,
    /// Caption as ids of the model's own text tokenizer with commas between them, for models that take these.
    #[arg(long, value_name = "ID,ID", value_delimiter = ',', conflicts_with_all = ["class", "style", "prompt"])]
    prompt_ids: Option<Vec<u32>>,
    /// What guidance leads away from, as ids likewise.
    #[arg(long, value_name = "ID,ID", value_delimiter = ',', requires = "prompt_ids")]
    negative_ids: Option<Vec<u32>>,
}

impl ConditionArguments {
    /// Whether chance says what the user did not: of captions, or which of its named classes.
    fn draws(&self, info: &GeneratorInfo) -> bool {
        let knows = match &info.words {
            Some(words) => !words.subjects().is_empty(),
            None => self.class.is_none() && !info.class_names.is_empty(),
        };
        knows && self.prompt.is_none() && self.prompt_ids.is_none() && !self.exactly
    }

    /// What chance said, of each sample.
    pub fn drawn(&self, condition: &Condition, info: &GeneratorInfo) -> Vec<String> {
        match condition {
            _ if !self.draws(info) => Vec::new(),
            Condition::Captions(captions) => captions.clone(),
            Condition::Classes(classes) => {
                let name = |class: &u32| info.class_names.get(usize::try_from(*class).ok()?).cloned();
                classes.iter().map(|class| name(class).unwrap_or_default()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the user asks for, in the model's own words or class numbers.
    pub fn condition(&self, info: &GeneratorInfo, count: usize, seed: u64) -> Result<Condition> {
        let Self { class, style, prompt, .. } = self;
        if let Some(ids) = &self.prompt_ids {
            return Ok(Condition::TextIds { prompts: vec![ids.clone(); count], negative: self.negative_ids.clone() });
        }
        if let Some(words) = &info.words {
            let mut caption = Vec::new();
            for (flag, value) in [("--style", style), ("--class", class)] {
                let Some(value) = value else { continue };
                let is_style = flag == "--style";
                let fits = |word: &&String| word.split_once('=').is_some_and(|(key, _)| (key == "style") == is_style);
                let tags: Vec<&String> = words.all().iter().filter(fits).collect();
                let value = value.trim().to_lowercase().replace(' ', "_");
                let tag = tags.iter().find(|tag| tag.split_once('=').is_some_and(|(_, known)| known == value));
                let Some(tag) = tag else {
                    let known: Vec<&str> = tags.iter().filter_map(|tag| Some(tag.split_once('=')?.1)).collect();
                    bail!("{flag}: expected one of {}, found \"{value}\"", known.join(", "));
                };
                caption.push((*tag).clone());
            }
            if let Some(prompt) = prompt {
                ensure!(
                    !prompt.trim().is_empty(),
                    "--prompt: expected words, found none; leave it out for any picture"
                );
                caption.push(prompt.clone());
            }
            if self.draws(info) {
                return Ok(Condition::Captions(words.draw_captions(&caption, count, seed)));
            }
            return Ok(match caption.is_empty() {
                true => Condition::Unconditional(count),
                false => Condition::Captions(vec![caption.join(" "); count]),
            });
        }
        for (flag, value) in [("--style", style), ("--prompt", prompt)] {
            ensure!(
                value.is_none(),
                "{flag}: this model knows no words; {}",
                match info.classes {
                    Some(classes) => format!("give --class with a number from 0 to {}", classes.saturating_sub(1)),
                    None => "leave it out".to_owned(),
                }
            );
        }
        match (class, info.classes) {
            (None, Some(_)) if self.draws(info) => {
                // In turn, in an order that chance says.
                let mut classes: Vec<u32> = (0..).take(info.class_names.len()).collect();
                classes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
                Ok(Condition::Classes(classes.into_iter().cycle().take(count).collect()))
            }
            (None, _) => Ok(Condition::Unconditional(count)),
            (Some(class), Some(classes)) => {
                let name = class.trim().to_lowercase();
                let place = info.class_names.iter().position(|known| known.to_lowercase() == name);
                let number = place.and_then(|place| u32::try_from(place).ok()).or_else(|| class.parse().ok());
                let number = number.with_context(|| {
                    let names = match info.class_names.as_slice() {
                        [] => String::new(),
                        names => format!("one of {}, or ", names.join(", ")),
                    };
                    format!("--class: expected {names}a number below {classes}, found \"{class}\"")
                })?;
                Ok(Condition::Classes(vec![number; count]))
            }
            (Some(_), None) => bail!("--class: this model knows no classes; leave it out"),
        }
    }
}
