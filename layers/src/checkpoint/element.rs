//! What numbers are stored as, and how they become f32 or i64.

use pytorch_reader::DType;
use safetensors::tensor::Dtype;

/// How a file stores the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ElementType {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 64-bit unsigned integer.
    U64,
    /// 32-bit unsigned integer.
    U32,
    /// 16-bit unsigned integer.
    U16,
    /// 8-bit unsigned integer.
    U8,
    /// A truth value in one byte.
    Bool,
}

impl ElementType {
    /// Whether values are integers or truth values, which [`super::Weights::read_i64`] reads.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    pub(super) fn of_safetensors(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            Dtype::I64 => Self::I64,
            Dtype::I32 => Self::I32,
            Dtype::I16 => Self::I16,
            Dtype::I8 => Self::I8,
            Dtype::U64 => Self::U64,
            Dtype::U32 => Self::U32,
            Dtype::U16 => Self::U16,
            Dtype::U8 => Self::U8,
            Dtype::BOOL => Self::Bool,
            _ => return None,
        })
    }

    pub(super) fn of_torch(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Self::F64,
            DType::F32 => Self::F32,
            DType::F16 => Self::F16,
            DType::BF16 => Self::Bf16,
            DType::I64 => Self::I64,
            DType::I32 => Self::I32,
            DType::I16 => Self::I16,
            DType::I8 => Self::I8,
            DType::U64 => Self::U64,
            DType::U32 => Self::U32,
            DType::U16 => Self::U16,
            DType::U8 => Self::U8,
            DType::Bool => Self::Bool,
        }
    }

    /// `None` if these are integers.
    pub(super) fn to_f32(self, bytes: &[u8]) -> Option<Vec<f32>> {
        match self {
            Self::F32 => Some(each(bytes, f32::from_le_bytes)),
            Self::F64 => Some(each(bytes, |b| f64::from_le_bytes(b) as f32)),
            Self::F16 => Some(each(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
            Self::Bf16 => Some(each(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
            _ => None,
        }
    }

    /// `None` if these are floats, or an unsigned value is beyond i64.
    pub(super) fn to_i64(self, bytes: &[u8]) -> Option<Vec<i64>> {
        match self {
            Self::I64 => Some(each(bytes, i64::from_le_bytes)),
            Self::I32 => Some(each(bytes, |b| i32::from_le_bytes(b).into())),
            Self::I16 => Some(each(bytes, |b| i16::from_le_bytes(b).into())),
            Self::I8 => Some(each(bytes, |b| i8::from_le_bytes(b).into())),
            Self::U64 => each(bytes, |b| i64::try_from(u64::from_le_bytes(b)).ok()).into_iter().collect(),
            Self::U32 => Some(each(bytes, |b| u32::from_le_bytes(b).into())),
            Self::U16 => Some(each(bytes, |b| u16::from_le_bytes(b).into())),
            Self::U8 => Some(bytes.iter().map(|&byte| byte.into()).collect()),
            Self::Bool => Some(bytes.iter().map(|&byte| i64::from(byte != 0)).collect()),
            _ => None,
        }
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
}
