//! A picture to tokens and back, with the built-in model, in a dozen lines.
//!
//! ```text
//! cargo run --release --example encode_reconstruct [-- PICTURE]
//! ```

use std::error::Error;

use tessera::datasets::{load_picture, psnr, save_png};
use tessera::tokenizers::save_tokens;
use tessera::{DecodeOptions, DeviceChoice, Framing, decode_tokens, default_tokenizer, encode_picture};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "examples/data/photo.jpg".to_owned());
    let device = DeviceChoice::Auto.open()?;
    let tokenizer = default_tokenizer(&device)?;
    let picture = load_picture(path, &Default::default())?;

    let file = encode_picture(&*tokenizer, &picture, Framing::Tile { overlap: 2 }, &device, &mut |_| {})?;
    save_tokens("reconstructed.tsr", &file)?;
    for keep in [4, 16, 64] {
        let decoded = decode_tokens(&*tokenizer, &file, &DecodeOptions::prefix(keep), &mut |_| {})?;
        let bits = keep * file.tokens.batch() * usize::try_from(file.tokens.bits_per_position())?;
        println!("{keep:2} tokens a tile, {:6} bytes: {:.2} dB", bits.div_ceil(8), psnr(&picture, &decoded)?);
        save_png(format!("reconstructed-{keep}.png"), &decoded)?;
    }
    Ok(())
}
