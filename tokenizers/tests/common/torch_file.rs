//! Writes PyTorch files as PyTorch before 1.6 did: five pickles, then the numbers.

/// How the numbers of a tensor are stored.
#[derive(Clone)]
pub enum Numbers {
    F32(Vec<f32>),
    /// IEEE half precision, as its bits.
    F16(Vec<u16>),
    I64(Vec<i64>),
}

impl Numbers {
    fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "FloatStorage",
            Self::F16(_) => "HalfStorage",
            Self::I64(_) => "LongStorage",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// Name, shape and numbers.
pub type Entry = (String, Vec<usize>, Numbers);

fn text(value: &str) -> Vec<u8> {
    [b"X".as_slice(), &u32::try_from(value.len()).unwrap().to_le_bytes(), value.as_bytes()].concat()
}

fn integer(value: usize) -> Vec<u8> {
    [b"J".as_slice(), &i32::try_from(value).unwrap().to_le_bytes()].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), items.concat(), b"t".to_vec()].concat()
}

fn tensor(key: &str, shape: &[usize], numbers: &Numbers) -> Vec<u8> {
    let storage = [
        text("storage"),
        format!("ctorch\n{}\n", numbers.kind()).into_bytes(),
        text(key),
        text("cpu"),
        integer(numbers.len()),
        b"N".to_vec(),
    ];
    let strides: Vec<usize> = (0..shape.len()).map(|at| shape[at + 1..].iter().product()).collect();
    let sizes = |sizes: &[usize]| tuple(&sizes.iter().map(|&size| integer(size)).collect::<Vec<_>>());
    let arguments = [
        [tuple(&storage), b"Q".to_vec()].concat(),
        integer(0),
        sizes(shape),
        sizes(&strides),
        b"\x89".to_vec(),
        b"ccollections\nOrderedDict\n)R".to_vec(),
    ];
    [b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), tuple(&arguments), b"R".to_vec()].concat()
}

/// A flat dictionary of tensors, under `wrapper` where there is one.
pub fn torch_file(entries: &[Entry], wrapper: Option<&str>) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    let protocol = b"\x80\x02M\xe9\x03.".to_vec();
    let system = [b"\x80\x02}".to_vec(), text("little_endian"), b"\x88s.".to_vec()].concat();
    let items: Vec<u8> = (0..)
        .zip(entries)
        .flat_map(|(key, (name, shape, numbers)): (usize, &Entry)| {
            [text(name), tensor(&key.to_string(), shape, numbers)].concat()
        })
        .collect();
    let inner = [b"}(".to_vec(), items, b"u".to_vec()].concat();
    let state = match wrapper {
        Some(key) => [b"\x80\x02}".to_vec(), text(key), inner, b"s.".to_vec()].concat(),
        None => [b"\x80\x02".to_vec(), inner, b".".to_vec()].concat(),
    };
    let keys: Vec<u8> = (0..entries.len()).flat_map(|key| text(&key.to_string())).collect();
    let keys = [b"\x80\x02](".to_vec(), keys, b"e.".to_vec()].concat();
    let storages: Vec<u8> = entries
        .iter()
        .flat_map(|(_, _, numbers)| {
            [u64::try_from(numbers.len()).unwrap().to_le_bytes().to_vec(), numbers.bytes()].concat()
        })
        .collect();
    [magic, protocol, system, state, keys, storages].concat()
}
