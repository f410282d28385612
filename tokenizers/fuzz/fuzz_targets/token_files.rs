//! Any bytes as a token file: what the bounded test in `tests/bitstream_hostile.rs` checks, for as long as one likes.

#![no_main]

#[path = "../../tests/hostile/header.rs"]
mod header;
#[path = "../../tests/hostile/mod.rs"]
mod hostile;

use libfuzzer_sys::fuzz_target;
use tessera_tokenizers::read_tsr;
use tessera_tokenizers::token_file::read_safetensors;

fuzz_target!(|bytes: &[u8]| {
    let _ = hostile::check_tsr(bytes, read_tsr);
    // a fuzzer does not guess checksums
    let mut repaired = bytes.to_vec();
    header::repair(&mut repaired);
    let _ = hostile::check_tsr(&repaired, read_tsr);
    let _ = hostile::check_safetensors(bytes, read_safetensors);
});
