//! How long the surface of a ball takes, from every sample of a lattice and from those near the surface: best of several, in seconds of
//! wall time and of the processor.
//!
//! ```text
//! cargo run --release -p tessera-datasets --example surface_speed [SIDE [RADIUS]]
//! ```

use std::error::Error;
use std::time::Instant;

use tessera_datasets::shape::{Lattice, Point, Sparse, SurfaceOptions, extract_surface};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let side: usize = arguments.next().map_or(Ok(257), |side| side.parse())?;
    let radius: f64 = arguments.next().map_or(Ok(0.6), |radius| radius.parse())?;
    let lattice = Lattice::cube(side)?;
    let dense = SurfaceOptions::new(lattice);
    let mut meshes = Vec::new();
    for (name, options) in [("dense", dense), ("sparse", dense.sparse(Sparse::fitting(lattice)))] {
        let (mut best, mut asked) = (f64::INFINITY, 0);
        for _ in 0..5 {
            let mut ball = |places: &[Point]| {
                Ok(places.iter().map(|place| (radius - place.coords.norm()) as f32).collect::<Vec<f32>>())
            };
            let start = Instant::now();
            let surface = extract_surface(&options, &mut ball)?;
            best = best.min(start.elapsed().as_secs_f64());
            asked = surface.evaluations;
            meshes.push(surface.mesh);
        }
        println!("{name}: {best:.4} s, {asked} samples, {} faces", meshes.last().map_or(0, |mesh| mesh.faces().len()));
    }
    println!("the same mesh: {}", meshes.iter().all(|mesh| Some(mesh) == meshes.first()));
    Ok(())
}
