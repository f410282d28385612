//! Numbers out of buffers.

use super::document::{Accessor, Document, Sparse};
use super::malformed;
use crate::shape::error::Result;

/// The document with its buffers, and how many numbers may be taken out of them.
pub(super) struct Store<'a> {
    pub name: &'a str,
    pub document: &'a Document,
    pub buffers: &'a [Vec<u8>],
    /// Elements that one accessor may have: a document can promise billions of zeros in a line.
    pub limit: u64,
}

/// A run of elements in a buffer.
struct Run<'a> {
    bytes: &'a [u8],
    stride: usize,
    component: Component,
}

/// How one number is stored.
#[derive(Clone, Copy, PartialEq)]
enum Component {
    I8,
    U8,
    I16,
    U16,
    U32,
    F32,
}

impl Component {
    fn of(code: u32) -> Option<Self> {
        Some(match code {
            5120 => Self::I8,
            5121 => Self::U8,
            5122 => Self::I16,
            5123 => Self::U16,
            5125 => Self::U32,
            5126 => Self::F32,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::U32 | Self::F32 => 4,
        }
    }

    /// The number, and what a normalised one is divided by.
    fn read(self, bytes: &[u8]) -> Option<(f64, f64)> {
        fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
            bytes.get(..N)?.try_into().ok()
        }
        Some(match self {
            Self::I8 => (i8::from_le_bytes(array(bytes)?).into(), 127.0),
            Self::U8 => (u8::from_le_bytes(array(bytes)?).into(), 255.0),
            Self::I16 => (i16::from_le_bytes(array(bytes)?).into(), 32767.0),
            Self::U16 => (u16::from_le_bytes(array(bytes)?).into(), 65535.0),
            Self::U32 => (u32::from_le_bytes(array(bytes)?).into(), f64::from(u32::MAX)),
            Self::F32 => (f32::from_le_bytes(array(bytes)?).into(), 1.0),
        })
    }
}

impl Store<'_> {
    /// Places `[count]`.
    pub(super) fn places(&self, index: usize) -> Result<Vec<[f64; 3]>> {
        let accessor = self.accessor(index, "VEC3")?;
        self.read::<3>(accessor, index)
    }

    /// Indices `[count]`.
    pub(super) fn indices(&self, index: usize) -> Result<Vec<u32>> {
        let accessor = self.accessor(index, "SCALAR")?;
        if !matches!(accessor.component_type, 5121 | 5123 | 5125) {
            return Err(self.wrong(format!("indices of component type {}", accessor.component_type)));
        }
        // Unsigned numbers of up to 32 bits, which a double holds.
        Ok(self.read::<1>(accessor, index)?.into_iter().map(|[value]| value as u32).collect())
    }

    fn accessor(&self, index: usize, kind: &str) -> Result<&Accessor> {
        let accessor = self.document.accessors.get(index);
        let accessor = accessor.ok_or_else(|| self.wrong(format!("accessor {index}, which is not there")))?;
        match accessor.kind == kind && accessor.count <= self.limit {
            true => Ok(accessor),
            false => Err(self.wrong(format!(
                "accessor {index} of {} elements {:?}, where at most {} of {kind} were expected",
                accessor.count,
                super::shortened(&accessor.kind),
                self.limit
            ))),
        }
    }

    fn read<const N: usize>(&self, accessor: &Accessor, index: usize) -> Result<Vec<[f64; N]>> {
        // Not above the limit, which fits memory.
        let count = accessor.count as usize;
        let code = accessor.component_type;
        let normalized = accessor.normalized && N > 1;
        let mut values = match accessor.buffer_view {
            None => vec![[0.0; N]; count],
            Some(view) => {
                let run = self.run(view, accessor.byte_offset, code, N, count)?;
                (0..count).filter_map(|at| run.element(at, normalized)).collect()
            }
        };
        if let Some(sparse) = &accessor.sparse {
            self.overlay(&mut values, sparse, code, normalized)?;
        }
        match values.len() == count {
            true => Ok(values),
            false => Err(self.wrong(format!("accessor {index} that ends beyond its buffer"))),
        }
    }

    /// Replaces the elements that a sparse accessor lists.
    fn overlay<const N: usize>(
        &self,
        values: &mut [[f64; N]],
        sparse: &Sparse,
        code: u32,
        normalized: bool,
    ) -> Result<()> {
        if sparse.count > values.len() as u64 {
            return Err(self.wrong("more replaced elements than there are"));
        }
        let count = sparse.count as usize;
        let index_code = sparse.indices.component_type.unwrap_or(5125);
        let indices = self.run(sparse.indices.buffer_view, sparse.indices.byte_offset, index_code, 1, count)?;
        let new = self.run(sparse.values.buffer_view, sparse.values.byte_offset, code, N, count)?;
        for at in 0..count {
            let place = indices.element::<1>(at, false).and_then(|[index]| values.get_mut(index as usize));
            match (place, new.element(at, normalized)) {
                (Some(place), Some(value)) => *place = value,
                _ => return Err(self.wrong("a replaced element that is not there")),
            }
        }
        Ok(())
    }

    /// `count` elements of `parts` numbers each, which are all there.
    fn run(&self, view: usize, offset: u64, code: u32, parts: usize, count: usize) -> Result<Run<'_>> {
        let outside = || self.wrong(format!("numbers beyond the end of buffer view {view}"));
        let component =
            Component::of(code).ok_or_else(|| self.wrong(format!("component type {code}, which is unknown")))?;
        let view = self.document.buffer_views.get(view).ok_or_else(outside)?;
        let buffer = self.buffers.get(view.buffer).ok_or_else(outside)?;
        let part = |bytes: &'_ [u8], start: u64, length: Option<u64>| -> Option<std::ops::Range<usize>> {
            let start = usize::try_from(start).ok()?;
            let end = match length {
                Some(length) => start.checked_add(usize::try_from(length).ok()?)?,
                None => bytes.len(),
            };
            (start <= end && end <= bytes.len()).then_some(start..end)
        };
        let within = part(buffer, view.byte_offset, Some(view.byte_length)).ok_or_else(outside)?;
        let bytes = buffer.get(within).ok_or_else(outside)?;
        let bytes = part(bytes, offset, None).and_then(|range| bytes.get(range)).ok_or_else(outside)?;
        let size = parts * component.size();
        let stride = view.byte_stride.map_or(Some(size), |stride| usize::try_from(stride).ok()).ok_or_else(outside)?;
        let needed = count.checked_sub(1).map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(size));
        match stride >= size && needed.is_some_and(|needed| needed <= bytes.len()) {
            true => Ok(Run { bytes, stride, component }),
            false => Err(outside()),
        }
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> crate::shape::error::ShapeError {
        malformed(self.name, &problem.into())
    }
}

impl Run<'_> {
    fn element<const N: usize>(&self, at: usize, normalized: bool) -> Option<[f64; N]> {
        let bytes = self.bytes.get(at * self.stride..)?;
        let mut element = [0.0; N];
        for (part, value) in element.iter_mut().enumerate() {
            let (number, whole) = self.component.read(bytes.get(part * self.component.size()..)?)?;
            *value = if normalized { (number / whole).max(-1.0) } else { number };
        }
        Some(element)
    }
}
