//! Cases of metrics: numbers of meshes, and distances between them from given random numbers. Nothing here runs on a device.

use serde::Deserialize;
use tessera_datasets::shape::{
    Distances, Mesh, Overlap, Point, Solid, SurfacePoint, SurfaceSampler, SurfaceSamples, TriangleTree, check_mesh,
    compare_samples, overlap, spheres_iou, winding_number,
};

use crate::verify::{Case, CaseError, Value, Values};

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    thresholds: Vec<f64>,
    spheres: Option<Spheres>,
}

/// Two balls, the first at the origin, the second at `distance` along x, on a lattice of `grid` samples along each axis.
#[derive(Deserialize)]
struct Spheres {
    r1: f64,
    r2: f64,
    distance: f64,
    grid: usize,
}

pub(super) fn run(case: &Case, values: &mut Values) -> Result<(), CaseError> {
    let described: Described = serde_json::from_value(case.config.clone())
        .map_err(|error| CaseError::input("config.json", "thresholds and spheres", error.to_string()))?;
    let names: Vec<String> = case.inputs.entries().into_iter().map(|entry| entry.name).collect();
    let tags = |prefix: &str| -> Vec<String> {
        let mut tags: Vec<_> = names.iter().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect();
        tags.sort();
        tags
    };
    let bodies = tags("vertices_");
    for body in &bodies {
        numbers(values, body, &mesh(case, body, None)?);
        at_queries(case, values, body, &mesh(case, body, None)?)?;
    }
    let first = bodies.first().cloned().unwrap_or_default();
    for variant in tags("faces_") {
        numbers(values, &variant, &mesh(case, &first, Some(&variant))?);
        for body in &bodies {
            let tag = format!("{body}_{variant}");
            if values.wants(&format!("winding_{tag}")) {
                let mesh = mesh(case, body, Some(&variant))?;
                floats(values, &format!("winding_{tag}"), queries(case)?.iter().map(|&at| winding_number(&mesh, at)));
            }
        }
    }
    let mut samples = Vec::new();
    for body in tags("face_uniform_") {
        samples.push((body.clone(), sampled(case, values, &body)?));
    }
    if let [(a, of_a), (b, of_b), ..] = samples.as_slice() {
        let distances = compare_samples(&of_a.as_slice().into(), &of_b.as_slice().into())?;
        compared(values, (a, b), &distances, &described.thresholds);
    }
    if let [a, b, ..] = bodies.as_slice()
        && case.has_input("query_points")
    {
        let inside = |body: &str| -> Result<Vec<bool>, CaseError> {
            Ok(TriangleTree::new(&mesh(case, body, None)?).contains_each(&queries(case)?))
        };
        shared(values, &overlap(&inside(a)?, &inside(b)?)?);
    }
    described.spheres.map_or(Ok(()), |spheres| balls(values, &spheres))
}

/// Vertices of one body under its faces, or under other faces.
fn mesh(case: &Case, body: &str, variant: Option<&str>) -> Result<Mesh, CaseError> {
    let own = format!("faces_{body}");
    let faces = match variant {
        Some(variant) => format!("faces_{variant}"),
        None if case.has_input(&own) => own,
        None => "faces".to_owned(),
    };
    let vertices = places(case, &format!("vertices_{body}"))?;
    let ([_, corners], indices) = case.integers::<2>(&faces)?;
    if corners != 3 {
        return Err(CaseError::input(format!("input \"{faces}\""), "three corners a face", corners.to_string()));
    }
    let wrong = |index: i64| CaseError::input(format!("input \"{faces}\""), "indices of vertices", index.to_string());
    let indices = indices.into_iter().map(|index| u32::try_from(index).map_err(|_| wrong(index)));
    let indices = indices.collect::<Result<Vec<u32>, _>>()?;
    Ok(Mesh::new(vertices, indices.as_chunks::<3>().0.to_vec())?)
}

fn places(case: &Case, name: &str) -> Result<Vec<Point>, CaseError> {
    let ([_, axes], values) = case.floats::<2>(name)?;
    if axes != 3 {
        return Err(CaseError::input(format!("input \"{name}\""), "three coordinates", axes.to_string()));
    }
    Ok(values.as_chunks::<3>().0.iter().map(|place| Point::from(place.map(f64::from))).collect())
}

fn queries(case: &Case) -> Result<Vec<Point>, CaseError> {
    places(case, "query_points")
}

/// What a mesh is by itself.
fn numbers(values: &mut Values, tag: &str, mesh: &Mesh) {
    let check = check_mesh(mesh);
    float(values, &format!("area_{tag}"), mesh.area());
    float(values, &format!("volume_{tag}"), mesh.volume());
    if let Some(centre) = mesh.centroid() {
        floats(values, &format!("centroid_{tag}"), centre.iter().copied());
    }
    let counts = [
        ("euler", check.euler),
        ("edges", check.edges as i64),
        ("boundary_edges", check.boundary_edges as i64),
        ("nonmanifold_edges", check.nonmanifold_edges as i64),
        ("watertight", check.closed.into()),
        ("consistently_oriented", check.oriented.into()),
        ("components", check.components as i64),
    ];
    for (name, count) in counts {
        values.insert(&format!("{name}_{tag}"), Value::Integers(vec![1], vec![count]));
    }
}

/// Distances and winding numbers at the query points.
fn at_queries(case: &Case, values: &mut Values, body: &str, mesh: &Mesh) -> Result<(), CaseError> {
    if !case.has_input("query_points") {
        return Ok(());
    }
    let (queries, tree) = (queries(case)?, TriangleTree::new(mesh));
    floats(values, &format!("unsigned_distance_{body}"), queries.iter().map(|&at| tree.distance(at)));
    floats(values, &format!("signed_distance_{body}"), queries.iter().map(|&at| tree.signed_distance(at)));
    floats(values, &format!("winding_{body}"), queries.iter().map(|&at| winding_number(mesh, at)));
    let inside = tree.contains_each(&queries).into_iter().map(i64::from).collect();
    values.insert(&format!("inside_{body}"), Value::Integers(vec![queries.len()], inside));
    Ok(())
}

/// Samples of a body's surface from the case's random numbers.
fn sampled(case: &Case, values: &mut Values, body: &str) -> Result<Vec<SurfacePoint>, CaseError> {
    let mesh = mesh(case, body, None)?;
    let ([count], which) = case.floats::<1>(&format!("face_uniform_{body}"))?;
    let ([rows, two], place) = case.floats::<2>(&format!("bary_uniform_{body}"))?;
    if (rows, two) != (count, 2) {
        let found = format!("[{rows}, {two}]");
        return Err(CaseError::input(format!("input \"bary_uniform_{body}\""), format!("[{count}, 2]"), found));
    }
    let sampler = SurfaceSampler::new(&mesh)?;
    let pairs = which.iter().zip(place.as_chunks::<2>().0);
    let points: Vec<SurfacePoint> = pairs.map(|(&u, ab)| sampler.at(u.into(), ab.map(f64::from))).collect();
    let SurfaceSamples { places, normals } = points.as_slice().into();
    let rows = |rows: &mut dyn Iterator<Item = f64>| Value::Floats(vec![count, 3], rows.map(|v| v as f32).collect());
    let places = rows(&mut places.iter().flat_map(|place| place.iter().copied()));
    values.insert(&format!("sample_points_{body}"), places);
    let normals = rows(&mut normals.iter().flat_map(|normal| normal.iter().copied()));
    values.insert(&format!("sample_normals_{body}"), normals);
    let faces = points.iter().map(|point| point.face as i64).collect();
    values.insert(&format!("sample_faces_{body}"), Value::Integers(vec![count], faces));
    Ok(points)
}

/// Distances of two sets of samples.
fn compared(values: &mut Values, (a, b): (&str, &str), distances: &Distances, thresholds: &[f64]) {
    let ways = [
        (format!("{a}_to_{b}"), &distances.there, &distances.nearest_there),
        (format!("{b}_to_{a}"), &distances.back, &distances.nearest_back),
    ];
    for (way, lengths, nearest) in ways {
        floats(values, &format!("nn_dist_{way}"), lengths.iter().copied());
        let nearest: Vec<i64> = nearest.iter().map(|&index| index as i64).collect();
        values.insert(&format!("nn_index_{way}"), Value::Integers(vec![nearest.len()], nearest));
    }
    float(values, "chamfer_l1", distances.chamfer_l1());
    float(values, "chamfer_l1_sum", distances.chamfer_l1_sum());
    float(values, "chamfer_l2sq_sum", distances.chamfer_l2sq_sum());
    float(values, "hausdorff", distances.hausdorff());
    float(values, "normal_consistency", distances.normal_consistency);
    let scores: Vec<_> = thresholds.iter().map(|&threshold| distances.f_score(threshold)).collect();
    floats(values, "thresholds", thresholds.iter().copied());
    floats(values, "precision", scores.iter().map(|score| score.precision));
    floats(values, "recall", scores.iter().map(|score| score.recall));
    floats(values, "f_score", scores.iter().map(|score| score.f_score));
}

fn shared(values: &mut Values, counts: &Overlap) {
    values.insert("intersection_count", Value::Integers(vec![1], vec![counts.both as i64]));
    values.insert("union_count", Value::Integers(vec![1], vec![counts.either as i64]));
    float(values, "iou_samples", counts.iou());
    float(values, "accuracy_samples", counts.accuracy());
}

/// Two balls on a lattice, and their overlap in closed form.
fn balls(values: &mut Values, spheres: &Spheres) -> Result<(), CaseError> {
    let Spheres { r1, r2, distance, grid } = *spheres;
    let lattice = tessera_datasets::shape::Lattice::cube(grid)?;
    let along = || (0..grid).map(|index| lattice.coordinate(index as f64));
    let places = along().flat_map(|x| along().flat_map(move |y| along().map(move |z| Point::new(x, y, z))));
    let places: Vec<Point> = places.collect();
    let second: Vec<Point> = places.iter().map(|place| Point::new(place.x - distance, place.y, place.z)).collect();
    let inside = |radius: f64, places: &[Point]| Solid::Sphere { radius }.contains_each(places);
    let counts = overlap(&inside(r1, &places), &inside(r2, &second))?;
    let numbers = [counts.first, counts.second, counts.both, counts.either].map(|count| count as i64).to_vec();
    values.insert("spheres_grid_counts", Value::Integers(vec![4], numbers));
    float(values, "spheres_iou_grid", counts.iou());
    float(values, "spheres_iou_analytic", spheres_iou(r1, r2, distance));
    Ok(())
}

fn float(values: &mut Values, name: &str, value: f64) {
    floats(values, name, std::iter::once(value));
}

fn floats(values: &mut Values, name: &str, list: impl Iterator<Item = f64>) {
    let list: Vec<f32> = list.map(|value| value as f32).collect();
    values.insert(name, Value::Floats(vec![list.len()], list));
}
