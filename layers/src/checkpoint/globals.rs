//! Which Python names a pickle asks for, found without running it.
//!
//! The reader behind [`super::torch`] executes nothing, and keeps what it does not know as an inert value. A file that
//! asks for more than data is refused all the same, before anything is made of it: it is no checkpoint.

use std::collections::HashMap;

/// Containers, tensors, and the plain values that training scripts save beside them.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("collections", &["OrderedDict", "defaultdict", "Counter"]),
    (
        "torch._utils",
        &[
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
        ],
    ),
    ("torch._tensor", &["_rebuild_from_type_v2"]),
    ("torch.nn.parameter", &["Parameter"]),
    ("torch.storage", &["UntypedStorage", "TypedStorage", "_UntypedStorage", "_TypedStorage"]),
    ("argparse", &["Namespace"]),
    ("builtins", PLAIN),
    ("__builtin__", PLAIN),
    ("numpy", &["dtype", "ndarray"]),
    ("numpy.core.multiarray", &["scalar", "_reconstruct"]),
    ("numpy._core.multiarray", &["scalar", "_reconstruct"]),
    ("_codecs", &["encode"]),
    ("pathlib", &["Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"]),
    ("typing", &["Any"]),
];
const PLAIN: &[&str] =
    &["set", "frozenset", "dict", "list", "tuple", "int", "float", "bool", "str", "bytearray", "complex"];
const TORCH: [&str; 19] = [
    "Size", "device", "Tensor", "float", "float16", "float32", "float64", "half", "double", "bfloat16", "int", "int8",
    "int16", "int32", "int64", "long", "short", "uint8", "bool",
];

fn is_allowed(module: &str, name: &str) -> bool {
    let storage = name.strip_suffix("Storage").is_some_and(|kind| kind.chars().all(|c| c.is_ascii_alphanumeric()));
    match module {
        "torch" => storage || TORCH.contains(&name),
        _ if module == "omegaconf" || module.starts_with("omegaconf.") => true,
        _ => ALLOWED.iter().any(|(known, names)| *known == module && names.contains(&name)),
    }
}

/// Why a pickle was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It asks for this name.
    Global(String),
    /// It is no pickle, or one of a kind that PyTorch does not write.
    Broken(&'static str),
}

/// Scans the first pickle in `bytes`; returns its length.
pub(super) fn scan(bytes: &[u8]) -> Result<usize, Refusal> {
    let mut scanner = Scanner { bytes, at: 0, texts: [None, None], memo: HashMap::new(), memoized: 0 };
    while scanner.step()? {}
    Ok(scanner.at)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The last two values pushed, where they are text: what `STACK_GLOBAL` joins.
    texts: [Option<&'a str>; 2],
    memo: HashMap<u64, Option<&'a str>>,
    memoized: u64,
}

impl<'a> Scanner<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Refusal> {
        let cut = Refusal::Broken("its pickle ends too early");
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or(cut)?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number(&mut self, width: u64) -> Result<u64, Refusal> {
        Ok(self.take(width)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Result<&'a str, Refusal> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or(Refusal::Broken("its pickle ends too early"))?;
        let line = self.take(u64::try_from(length).unwrap_or(u64::MAX))?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| Refusal::Broken("its pickle holds text that is not UTF-8"))
    }

    fn pushed(&mut self, text: Option<&'a str>) {
        self.texts = [self.texts[1], text];
    }

    fn text(&mut self, width: u64) -> Result<(), Refusal> {
        let length = self.number(width)?;
        let text = std::str::from_utf8(self.take(length)?).ok();
        self.pushed(text);
        Ok(())
    }

    fn remember(&mut self, index: u64) {
        self.memo.insert(index, self.texts[1]);
        self.memoized += 1;
    }

    fn recall(&mut self, index: u64) {
        let text = self.memo.get(&index).copied().flatten();
        self.pushed(text);
    }

    fn check(&self, module: &str, name: &str) -> Result<(), Refusal> {
        if is_allowed(module, name) { Ok(()) } else { Err(Refusal::Global(format!("{module}.{name}"))) }
    }

    /// Passes one opcode; false after the last.
    fn step(&mut self) -> Result<bool, Refusal> {
        let code = self.take(1)?.first().copied().unwrap_or_default();
        let text_number = |line: &str| line.trim().parse().map_err(|_| Refusal::Broken("its pickle's memo is broken"));
        match code {
            b'.' => return Ok(false),
            b'c' | b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.check(module, name)?;
                self.pushed(None);
            }
            0x93 => {
                let [Some(module), Some(name)] = self.texts else {
                    return Err(Refusal::Broken("its pickle computes the names that it imports"));
                };
                self.check(module, name)?;
                self.pushed(None);
            }
            0x8c | b'U' => self.text(1)?,
            b'X' | b'T' => self.text(4)?,
            0x8d => self.text(8)?,
            b'V' => {
                let line = self.line()?;
                self.pushed(Some(line));
            }
            b'q' | b'r' => {
                let index = self.number(if code == b'q' { 1 } else { 4 })?;
                self.remember(index);
            }
            b'p' => {
                let index = text_number(self.line()?)?;
                self.remember(index);
            }
            0x94 => self.remember(self.memoized),
            b'h' | b'j' => {
                let index = self.number(if code == b'h' { 1 } else { 4 })?;
                self.recall(index);
            }
            b'g' => {
                let index = text_number(self.line()?)?;
                self.recall(index);
            }
            _ => {
                self.skip(code)?;
                // Protocol and frame marks push nothing.
                if !matches!(code, 0x80 | 0x95) {
                    self.pushed(None);
                }
            }
        }
        Ok(true)
    }

    /// Passes the argument of an opcode that neither names, holds text nor touches the memo.
    fn skip(&mut self, code: u8) -> Result<(), Refusal> {
        let length = match code {
            b'('
            | b'0'
            | b'1'
            | b'2'
            | b'N'
            | b'Q'
            | b'R'
            | b'a'
            | b'b'
            | b'd'
            | b'e'
            | b'l'
            | b'o'
            | b's'
            | b't'
            | b'u'
            | b')'
            | b']'
            | b'}'
            | 0x81
            | 0x85..=0x89
            | 0x8f..=0x92 => 0,
            b'K' | 0x80 => 1,
            b'M' => 2,
            b'J' => 4,
            b'G' | 0x95 => 8,
            b'C' | 0x8a => self.number(1)?,
            b'B' | 0x8b => self.number(4)?,
            0x8e | 0x96 => self.number(8)?,
            b'F' | b'I' | b'L' | b'S' | b'P' => {
                self.line()?;
                0
            }
            _ => return Err(Refusal::Broken("its pickle holds an unknown instruction")),
        };
        self.take(length)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_pass_and_code_is_named() {
        assert_eq!(scan(b"\x80\x02ccollections\nOrderedDict\n)R."), Ok(30));
        let system = Refusal::Global("os.system".to_owned());
        assert_eq!(scan(b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R."), Err(system));
        let eval = Refusal::Global("builtins.eval".to_owned());
        assert_eq!(scan(b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93)R."), Err(eval));
        // The same two names through the memo.
        let posix = Refusal::Global("posix.system".to_owned());
        assert_eq!(scan(b"\x80\x04\x8c\x05posix\x940\x8c\x06system\x940h\0h\x01\x93."), Err(posix));
        assert!(matches!(scan(b"\x80\x04]\x8c\x01a\x93."), Err(Refusal::Broken(_))));
        assert!(matches!(scan(b"\x80\x02X\xff\xff\xff\x7fab."), Err(Refusal::Broken(_))));
    }
}
