//! Surfaces at 257 samples a side: every sample, or only those near the surface; of a ball's formula and of what the built-in VAT
//! decodes.
//!
//!     cargo bench --no-default-features --bench surface -- [--mesh chair.ply] [--side 257] [--search sparse|dense] [--repeat 1]
//!
//! Prints one JSON line for each field. Without `--search` both run and their meshes are compared; with it, the peak is that search's own.

mod common;

use burn::tensor::Device;
use common::{Anything, arguments, report, timed};
use tessera::datasets::shape::{
    FieldFailure, Lattice, Point, ProceduralShapes, Sparse, Surface, SurfaceOptions, extract_surface, load_mesh,
};
use tessera::{DecodeOptions, default_shape_tokenizer, encode_shape};

/// Values of places, positive inside.
type Values<'a> = dyn FnMut(&[Point]) -> Result<Vec<f32>, FieldFailure> + 'a;

fn main() -> Result<(), Anything> {
    let (mut mesh, mut side, mut search, mut repeat) = (None, 257, String::new(), 1);
    for (name, value) in arguments()? {
        match name.as_str() {
            "--mesh" => mesh = Some(value),
            "--side" => side = value.parse()?,
            "--search" => search = value,
            "--repeat" => repeat = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let searches = match search.as_str() {
        "" => vec!["sparse", "dense"],
        "sparse" | "dense" => vec![search.as_str()],
        other => return Err(format!("unknown search {other}").into()),
    };
    for radius in [0.3, 0.6, 0.9] {
        println!("ball of radius {radius}");
        let mut ball = |places: &[Point]| Ok(places.iter().map(|at| (radius - at.coords.norm()) as f32).collect());
        both(&searches, Lattice::cube(side)?, 1 << 16, repeat, &mut ball)?;
    }
    let device = Device::flex();
    let tokenizer = default_shape_tokenizer(&device)?;
    let mesh = match mesh {
        Some(path) => load_mesh(path)?,
        None => ProceduralShapes::new(7).shape(0, 65)?.1,
    };
    let tokens = encode_shape(&*tokenizer, &mesh, 0, &device)?.tokens;
    let field = tokenizer.decode(&tokens, &DecodeOptions::default())?.into_field().ok_or("no tokenizer of shapes")?;
    println!("what the built-in VAT decodes");
    let mut values = |places: &[Point]| {
        let places: Vec<[f32; 3]> = places.iter().map(|at| [at.x, at.y, at.z].map(|x| x as f32)).collect();
        field.evaluate(0, &places).map_err(FieldFailure::from)
    };
    both(&searches, Lattice::new(side, field.bounds())?, field.chunk(), repeat, &mut values)
}

/// Times the searches, and compares their meshes where both ran.
fn both(
    searches: &[&str],
    lattice: Lattice,
    batch: usize,
    repeat: usize,
    values: &mut Values<'_>,
) -> Result<(), Anything> {
    let mut found: Vec<(Surface, f64)> = Vec::new();
    for &search in searches {
        let mut options = SurfaceOptions::new(lattice);
        options.batch = batch;
        if search == "sparse" {
            options = options.sparse(Sparse::fitting(lattice));
        }
        let (surface, [cold, warm]) = timed(repeat, || Ok(extract_surface(&options, values)?))?;
        let figures = [("cold_s", cold), ("warm_s", warm), ("evaluations", surface.evaluations as f64)];
        print!("{search:7}");
        report(&figures, 0);
        found.push((surface, warm));
    }
    if let [(sparse, fast), (dense, slow)] = found.as_slice() {
        let same = sparse.mesh.faces().len() == dense.mesh.faces().len();
        println!("dense takes {:.1} times as long; as many faces: {same}", slow / fast);
    }
    Ok(())
}
