//! What any bytes at all must satisfy; shared by the bounded test and the fuzz target.

use tessera_tokenizers::token_file::write_safetensors;
use tessera_tokenizers::{Cut, TokenFile, TokenFileError, write_tsr};

/// What a reader makes of a file.
pub type Outcome = Result<TokenFile, TokenFileError>;

/// Reads the bytes with `read` (which is `read_tsr`, perhaps watched), whole and in part, and returns both outcomes.
///
/// A file that is accepted is written again: the same bytes must come out, since a token file has one form only.
pub fn check_tsr(bytes: &[u8], mut read: impl FnMut(&[u8], bool) -> Outcome) -> [Outcome; 2] {
    let [whole, partial] = [read(bytes, false), read(bytes, true)];
    match (&whole, &partial) {
        (Ok(file), Ok(same)) => {
            assert_eq!((file, file.cut), (same, None));
            if small(file) {
                assert!(write_tsr(file).expect("what was read can be written") == bytes);
            }
        }
        (Err(TokenFileError::Cut { present, expected }), Ok(file)) => {
            assert_eq!(file.cut, Some(Cut { present: *present, expected: *expected }));
            if small(file) {
                let kept = file.tokens.kept().map(|kept| kept.iter().filter(|&&kept| kept).count());
                let kept = kept.unwrap_or(file.tokens.batch() * file.tokens.positions());
                assert_eq!(kept, *present);
            }
        }
        (Err(TokenFileError::Cut { .. }), Err(TokenFileError::Tokens(_))) => (),
        (Err(error), Err(same)) => assert_eq!(error.to_string(), same.to_string()),
        (Ok(_), Err(error)) => panic!("a whole file is no partial one: {error}"),
        (Err(error), Ok(_)) => panic!("a file that is not cut decodes in part: {error}"),
    }
    [whole, partial]
}

/// Reads the bytes with `read` (which is `read_safetensors`, perhaps watched); what is accepted must survive being
/// written and read again.
pub fn check_safetensors(bytes: &[u8], mut read: impl FnMut(&[u8]) -> Outcome) -> Outcome {
    let file = read(bytes)?;
    let written = write_safetensors(&file).expect("what was read can be written");
    assert_eq!(read(&written).expect("what was written can be read"), file);
    Ok(file)
}

/// Writing and counting many large files would take the test's time without telling more.
fn small(file: &TokenFile) -> bool {
    file.tokens.ids().len() < 1 << 16
}
