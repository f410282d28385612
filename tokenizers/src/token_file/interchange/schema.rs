//! The JSON header: what it says, and how it is read and written.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bitstream::TokenFileError;
use crate::tokens::TokenLayout;

/// Version of metadata that says nothing of an overlap.
pub(super) const FIRST: u32 = 1;
/// Version of metadata of overlapping tiles, the newest.
pub(super) const OVERLAP: u32 = 2;
/// Longest header in bytes; the largest layout and depth fit.
pub(super) const MAX_HEADER: usize = 1 << 17;
/// Bytes before the header: its length.
pub(super) const LENGTH_BYTES: usize = 8;
/// Bytes of an I64.
pub(super) const ID_BYTES: usize = 8;

/// The whole header; a tensor of another name is an error.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    #[serde(rename = "__metadata__")]
    pub(super) metadata: Metadata,
    pub(super) ids: Tensor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<Tensor>,
}

/// Safetensors metadata has only strings: numbers are decimal, the rest JSON. Keys of other programs are passed over.
#[derive(Serialize, Deserialize)]
pub(super) struct Metadata {
    pub(super) tessera_tokens: String,
    pub(super) layout: String,
    pub(super) vocab: String,
    pub(super) fingerprint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) picture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) overlap: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tensor {
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    pub(super) data_offsets: [usize; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Layout {
    Ordered { len: u32 },
    Grid { height: u32, width: u32 },
    Scales { counts: Vec<u32> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl From<&TokenLayout> for Layout {
    fn from(layout: &TokenLayout) -> Self {
        match layout {
            TokenLayout::Ordered { len } => Self::Ordered { len: *len },
            TokenLayout::Grid { height, width } => Self::Grid { height: *height, width: *width },
            TokenLayout::Scales { counts } => Self::Scales { counts: counts.clone() },
        }
    }
}

impl From<Layout> for TokenLayout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Ordered { len } => Self::Ordered { len },
            Layout::Grid { height, width } => Self::Grid { height, width },
            Layout::Scales { counts } => Self::Scales { counts },
        }
    }
}

impl Tensor {
    /// Checks type, shape and length.
    pub(super) fn check(
        &self,
        what: &'static str,
        dtypes: &[&str],
        shape: &[usize],
        bytes: usize,
    ) -> Result<(), TokenFileError> {
        let [start, end] = self.data_offsets;
        let right = dtypes.contains(&self.dtype.as_str()) && self.shape == shape;
        if right && end.checked_sub(start) == Some(bytes) {
            return Ok(());
        }
        let expected = format!("{} {shape:?} of {bytes} bytes", dtypes.join(" or "));
        let shape: Vec<_> = self.shape.iter().take(4).collect();
        let found = format!("{} {shape:?} at bytes {start}..{end}", clean(&self.dtype));
        Err(TokenFileError::Field { what, expected, found })
    }

    /// The tensor's part of the data.
    pub(super) fn data<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        let [start, end] = self.data_offsets;
        data.get(start..end).unwrap_or_default()
    }
}

pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<T, TokenFileError> {
    serde_json::from_slice(json).map_err(|error| TokenFileError::Json { what, problem: clean(&error.to_string()) })
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, TokenFileError> {
    serde_json::to_string(value)
        .map_err(|error| TokenFileError::Json { what: "safetensors header", problem: error.to_string() })
}

/// The start of text from a file, fit for an error message.
pub(super) fn clean(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_debug).collect()
}
