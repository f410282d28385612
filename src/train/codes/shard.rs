//! One shard of codes on disk.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tessera_layers::checkpoint::{NamedTensor, Precision, Weights, write_safetensors};
use tessera_tokenizers::{
    Fingerprint, TokenFile, TokenLayout, TokenizerError, Tokens, TokensError, load_tokens, save_tokens,
};

use super::batch::CodeValues;
use crate::train::TrainError;
use crate::train::checkpoint::{io, write};

/// Name of the tensor of latents.
const LATENTS: &str = "latents";

/// What stands beside the codes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Caption of each item.
    pub captions: Vec<Option<String>>,
    /// Class of each item.
    pub labels: Vec<Option<u32>>,
}

impl Described {
    /// Puts other items behind these.
    pub fn extend(&mut self, other: Self) {
        self.captions.extend(other.captions);
        self.labels.extend(other.labels);
    }
}

/// Shard `index` of the codes in `folder`.
pub struct Shard {
    codes: PathBuf,
    described: PathBuf,
}

impl Shard {
    /// Where the shard lies, or will lie; ids and latents have different files.
    pub fn new(folder: &Path, index: usize, values: &CodeValues) -> Self {
        let ending = match values {
            CodeValues::Ids(..) => "tsr",
            CodeValues::Latents(..) => "safetensors",
        };
        let file = |ending: &str| folder.join(format!("{index:05}.{ending}"));
        Self { codes: file(ending), described: file("json") }
    }

    /// Whether it is there as a whole: its codes are written last.
    pub fn is_there(&self) -> bool {
        self.codes.is_file()
    }

    /// Writes the shard.
    ///
    /// # Errors
    /// [`TrainError`] if a file cannot be written.
    pub fn write(
        &self,
        values: &CodeValues,
        described: &Described,
        layout: &TokenLayout,
        fingerprint: Fingerprint,
    ) -> Result<(), TrainError> {
        let items = described.captions.len();
        let text = serde_json::to_vec(described).map_err(|error| TrainError::Report(error.to_string()))?;
        write(&self.described, &text)?;
        match values {
            CodeValues::Ids(ids, vocab) => {
                let tokens = Tokens::new(ids.clone(), items, layout.clone(), vocab.clone(), fingerprint);
                save_tokens(&self.codes, &TokenFile::new(tokens.map_err(of_model)?))?;
            }
            CodeValues::Latents(values, channels) => {
                let shape = vec![items, layout.positions(), *channels];
                let tensor = NamedTensor { name: LATENTS.to_owned(), shape, values: values.clone() };
                write_safetensors(&self.codes, &[tensor], Precision::F16, Default::default())?;
            }
        }
        Ok(())
    }

    /// Reads the shard, which must hold as many items as are described.
    ///
    /// # Errors
    /// [`TrainError`] if a file cannot be read or is of something else.
    pub fn read(
        &self,
        kind: &CodeValues,
        layout: &TokenLayout,
        fingerprint: Fingerprint,
    ) -> Result<(CodeValues, Described), TrainError> {
        let text = std::fs::read(&self.described).map_err(|source| io(&self.described, source))?;
        let described: Described = serde_json::from_slice(&text)
            .map_err(|error| self.unfit("captions and classes in JSON", error.to_string()))?;
        let items = described.captions.len();
        if described.labels.len() != items {
            return Err(self.unfit("a class for each caption", format!("{} for {items}", described.labels.len())));
        }
        let values = match kind {
            CodeValues::Ids(_, vocab) => {
                let tokens = load_tokens(&self.codes, false)?.tokens;
                let fits = tokens.layout() == layout && tokens.vocab() == vocab && tokens.batch() == items;
                if !fits || tokens.fingerprint() != fingerprint || tokens.kept().is_some() {
                    let found =
                        format!("{} items, {}, vocabulary {:?}", tokens.batch(), tokens.layout(), tokens.vocab());
                    return Err(self.unfit(&format!("{items} items, {layout}, vocabulary {vocab:?}"), found));
                }
                CodeValues::Ids(tokens.ids().to_vec(), vocab.clone())
            }
            CodeValues::Latents(_, channels) => {
                let weights = Weights::open(&self.codes)?;
                let shape = vec![items, layout.positions(), *channels];
                let found: Vec<_> = weights.entries().into_iter().map(|entry| (entry.name, entry.shape)).collect();
                if found != [(LATENTS.to_owned(), shape.clone())] {
                    return Err(self.unfit(&format!("latents {shape:?}"), format!("{found:?}")));
                }
                CodeValues::Latents(weights.read_f32(LATENTS)?, *channels)
            }
        };
        Ok((values, described))
    }

    fn unfit(&self, expected: &str, found: String) -> TrainError {
        let message = format!("expected {expected}, found {found}; remove the folder, it will be made again");
        TrainError::Config { file: self.codes.clone(), message }
    }
}

/// Ids that a tokenizer made and that are no tokens: its fault.
fn of_model(error: TokensError) -> TrainError {
    TrainError::Codec(TokenizerError::from(error).into())
}
