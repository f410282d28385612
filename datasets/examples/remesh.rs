//! Extracts a mesh anew from its own signed distance, or a ball from its formula, and says what that took.
//!
//! `cargo run --release -p tessera-datasets --example remesh -- MESH|ball SIDE dense|sparse [OUT.ply [OUT.png]]`

use std::time::Instant;

use rayon::prelude::*;
use tessera_datasets::save_png;
use tessera_datasets::shape::{
    Lattice, Point, RenderOptions, Solid, Sparse, SurfaceOptions, TriangleTree, check_mesh, extract_surface, load_mesh,
    render_around, save_mesh,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, side, search, out @ ..] = arguments.as_slice() else {
        return Err("expected MESH|ball SIDE dense|sparse [OUT.ply [OUT.png]]".into());
    };
    let ball = Solid::Sphere { radius: 0.8 };
    let tree = match source.as_str() {
        "ball" => None,
        path => Some(TriangleTree::new(&load_mesh(path)?.normalised()?)),
    };
    let value = |place: &Point| match &tree {
        Some(tree) => -tree.signed_distance(*place) as f32,
        None => ball.value(*place) as f32,
    };
    let lattice = Lattice::cube(side.parse()?)?;
    let options = match search.as_str() {
        "dense" => SurfaceOptions::new(lattice),
        _ => SurfaceOptions::new(lattice).sparse(Sparse::fitting(lattice)),
    };
    let start = Instant::now();
    let surface = extract_surface(&options, &mut |places| Ok(places.par_iter().map(value).collect()))?;
    let (seconds, memory) = (start.elapsed().as_secs_f64(), peak_memory());
    let check = check_mesh(&surface.mesh);
    println!(
        "{source} {side} {search}: {seconds:.2} s, {} samples, peak memory {}, {} faces, closed manifold {}, Euler number {}, \
         {} parts, volume {:.5}",
        surface.evaluations,
        memory,
        check.faces,
        check.manifold,
        check.euler,
        check.components,
        surface.mesh.volume()
    );
    if let Some(path) = out.first() {
        save_mesh(path, &surface.mesh)?;
    }
    if let Some(path) = out.get(1) {
        save_png(
            path,
            &render_around(&surface.mesh, 6, 3, &RenderOptions { smooth: true, ..RenderOptions::default() })?,
        )?;
    }
    Ok(())
}

/// Where the system tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |peak| peak.trim().to_owned())
}
