//! A mesh to tokens and back: every scale of the tokens more is a finer shape.
//!
//! ```text
//! cargo run --release --example encode_mesh [MODEL [MESH]]
//! ```
//!
//! Without a model the small one that is built in does it, on a procedural shape if there is no mesh either.

use std::error::Error;

use tessera::datasets::shape::{ProceduralShapes, load_mesh, save_mesh};
use tessera::tokenizers::{TokenFile, save_tokens, write_tsr};
use tessera::{
    DecodeOptions, DeviceChoice, decode_shape, default_shape_tokenizer, encode_shape, from_pretrained, scale_ends,
};

fn main() -> Result<(), Box<dyn Error>> {
    let device = DeviceChoice::Auto.open()?;
    let mut arguments = std::env::args().skip(1);
    let tokenizer = match arguments.next() {
        Some(model) => from_pretrained(&model, &device)?,
        None => default_shape_tokenizer(&device)?,
    };
    let mesh = match arguments.next() {
        Some(path) => load_mesh(path)?,
        None => ProceduralShapes::new(7).shape(0, 65)?.1,
    };

    let file = encode_shape(&*tokenizer, &mesh, 0, &device)?;
    save_tokens("encoded.tsr", &file)?;
    for keep in scale_ends(file.tokens.layout()) {
        let kept = TokenFile::new(file.tokens.clone().prefix(keep)?);
        let bytes = write_tsr(&kept)?.len();
        match decode_shape(&*tokenizer, &kept.tokens, &DecodeOptions::default(), 65) {
            Ok(shape) => {
                save_mesh(format!("decoded-{keep}.ply"), &shape)?;
                println!("{keep:4} tokens, {bytes:4} bytes: {} faces", shape.faces().len());
            }
            Err(tessera::Error::NoSurface { .. }) => println!("{keep:4} tokens, {bytes:4} bytes: no surface"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
