//! Helpers for bytes and texts of unknown origin.

/// The start of a text from a file, short enough for a message of one line.
pub(super) fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(160) {
        Some((end, _)) => format!("{} ...", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

/// `N` bytes from `at`; `None` if there are fewer.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// An unsigned number of four bytes, lowest first.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// Lines without their ends, `\n` or `\r\n`; each with its number from 1.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii))
}

/// Text whose `%41` are bytes; `None` if they are not UTF-8 or not two digits.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(if byte == b'%' { digit()? * 16 + digit()? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

/// The triangles of a polygon: a fan from its first corner.
pub(super) fn fan<T: Copy>(corners: &[T]) -> impl Iterator<Item = [T; 3]> {
    let first = corners.first().copied();
    corners.windows(2).skip(1).filter_map(move |pair| match pair {
        [second, third] => first.map(|first| [first, *second, *third]),
        _ => None,
    })
}
