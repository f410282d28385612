//! `tessera inspect MESH`

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;
use tessera::datasets::save_png;
use tessera::datasets::shape::{RenderOptions, check_mesh, load_mesh, render_around};

use super::inspect::{Facts, done};
use super::output::Done;

/// Views of a mesh from all around, and how many of them stand in a row.
const VIEWS: [u32; 2] = [6, 3];

/// Size and soundness of a mesh; with `picture`, views of it as a PNG.
pub fn run(path: &Path, picture: Option<&Path>) -> Result<Done> {
    let mesh = load_mesh(path)?;
    let check = check_mesh(&mesh);
    let corners = mesh.bounding_box().unwrap_or_default();
    let facts: Facts = vec![
        ("vertices", check.vertices.into()),
        ("faces", check.faces.into()),
        ("lowest corner", json!(corners[0].coords.as_slice())),
        ("highest corner", json!(corners[1].coords.as_slice())),
        ("area", mesh.area().into()),
        ("volume", mesh.volume().into()),
        ("closed", check.closed.into()),
        ("oriented", check.oriented.into()),
        ("manifold", check.manifold.into()),
        ("edges of one face", check.boundary_edges.into()),
        ("edges of more than two", check.nonmanifold_edges.into()),
        ("Euler number", check.euler.into()),
        ("parts", check.components.into()),
    ];
    let mut done = done(facts);
    if let Some(picture) = picture {
        let [count, columns] = VIEWS;
        let views = render_around(&mesh, count, columns, &RenderOptions::default())?;
        save_png(picture, &views).with_context(|| picture.display().to_string())?;
        done.text += &format!("wrote {}\n", picture.display());
    }
    Ok(done)
}
