//! Patterns of shard names: `shards-{000..012}.tar` stands for thirteen files.

use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result};

/// The most files one pattern may stand for.
const MAX_SHARDS: u64 = 100_000;

/// The paths that `pattern` stands for; itself alone if it has no range in braces.
///
/// Numbers are padded with zeros to the width of the range's first number. Several ranges multiply.
pub(super) fn expand(pattern: &Path) -> Result<Vec<PathBuf>> {
    let Some(text) = pattern.to_str() else { return Ok(vec![pattern.to_path_buf()]) };
    let mut names = vec![String::new()];
    let mut rest = text;
    while let Some((before, first, last, width, after)) = next_range(rest) {
        let count = (names.len() as u64).saturating_mul(last.saturating_sub(first).saturating_add(1));
        if first > last || count > MAX_SHARDS {
            return Err(DatasetError::Setting {
                setting: "path",
                expected: "a rising range of at most 100000 shards in braces",
                found: format!("{text:?}"),
            });
        }
        let numbers = |name: &String| {
            let name = name.clone();
            (first..=last).map(move |number| format!("{name}{before}{number:0width$}"))
        };
        names = names.iter().flat_map(numbers).collect();
        rest = after;
    }
    Ok(names.into_iter().map(|name| PathBuf::from(name + rest)).collect())
}

/// The first `{first..last}` of `text`: what is before it, both numbers, the padding, and what follows.
fn next_range(text: &str) -> Option<(&str, u64, u64, usize, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find('{')?;
        let inside = text.get(open + 1..)?;
        let close = inside.find('}')?;
        let (range, after) = (inside.get(..close)?, inside.get(close + 1..)?);
        let numbers = range.split_once("..").and_then(|(a, b)| Some((number(a)?, number(b)?, a.len())));
        if let Some((first, last, width)) = numbers {
            return Some((text.get(..open)?, first, last, width, after));
        }
        from = open + 1;
    }
}

/// Digits only: no sign, at most nine of them.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        expand(Path::new(pattern)).unwrap().iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn ranges_are_padded_like_their_first_number() {
        assert_eq!(names("a-{008..010}.tar"), ["a-008.tar", "a-009.tar", "a-010.tar"]);
        assert_eq!(names("a-{8..10}.tar"), ["a-8.tar", "a-9.tar", "a-10.tar"]);
        assert_eq!(names("{0..1}/{0..1}.tar"), ["0/0.tar", "0/1.tar", "1/0.tar", "1/1.tar"]);
    }

    #[test]
    fn other_braces_are_ordinary_letters() {
        for plain in ["a.tar", "a{b}.tar", "a{.tar", "a}{.tar", "{..}.tar", "{-1..2}.tar", "{1..}.tar"] {
            assert_eq!(names(plain), [plain]);
        }
        assert_eq!(names("a{b}-{1..2}.tar"), ["a{b}-1.tar", "a{b}-2.tar"]);
    }

    #[test]
    fn falling_and_enormous_ranges_are_refused() {
        for pattern in ["{3..1}.tar", "{0..999999999}.tar", "{0..999}{0..999}.tar"] {
            assert!(matches!(expand(Path::new(pattern)), Err(DatasetError::Setting { .. })), "{pattern}");
        }
    }
}
