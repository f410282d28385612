//! `tessera generate` of shapes

use std::path::{Path, PathBuf};

use anyhow::Result;
use tessera::datasets::Picture;
use tessera::datasets::shape::{Mesh, RenderOptions, View, render, save_mesh};
use tessera::generators::Generated;
use tessera::{Codec, DecodeOptions};

/// Decoded samples.
pub struct Samples {
    /// Pictures, or views of shapes; the view of a shape without a surface is empty.
    pub pictures: Vec<Picture>,
    /// The shapes; none where pictures are generated.
    pub meshes: Vec<Mesh>,
}

impl Samples {
    /// Decodes what a generator made; the surfaces of shapes from `resolution` samples along a side.
    pub fn decode(
        codec: &Codec,
        generated: &Generated,
        options: &DecodeOptions,
        resolution: Option<usize>,
    ) -> Result<Self> {
        let Some(tokenizer) = codec.of_shapes() else {
            return Ok(Self { pictures: codec.decode(generated, options)?, meshes: Vec::new() });
        };
        let (tokens, resolution) = (codec.tokens(generated)?, resolution.unwrap_or(tessera::DEFAULT_RESOLUTION));
        let meshes = tessera::decode_shapes(tokenizer, &tokens, options, resolution, &mut |_| {})?;
        let view = |mesh: &Mesh| render(mesh, View::default(), &RenderOptions::default());
        Ok(Self { pictures: meshes.iter().map(view).collect::<Result<_, _>>()?, meshes })
    }

    /// How many shapes have no surface.
    pub fn empty(&self) -> usize {
        self.meshes.iter().filter(|mesh| mesh.is_empty()).count()
    }

    /// Writes every shape that has a surface as a PLY file; returns their paths.
    pub fn write_meshes(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let some = self.meshes.iter().enumerate().filter(|(_, mesh)| !mesh.is_empty());
        let write = |(index, mesh): (usize, &Mesh)| {
            let path = folder.join(format!("{index:04}.ply"));
            save_mesh(&path, mesh)?;
            Ok(path)
        };
        some.map(write).collect()
    }
}
