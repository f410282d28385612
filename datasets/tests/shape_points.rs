//! Points on and around shapes: sampling, distances, winding numbers, training examples, procedural solids.

use nalgebra::Isometry3;
use tessera_datasets::shape::{
    ExampleOptions, Family, HALF_EXTENT, Mesh, MeshShape, Normalisation, Point, ProceduralShapes, ShapeError, Solid,
    SurfaceSampler, TriangleTree, check_mesh, load_mesh, winding_number,
};

fn bench(ending: &str) -> Mesh {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/meshes/city_bench");
    load_mesh(path.with_extension(ending)).unwrap()
}

/// Places spread over the cube.
fn places(count: usize) -> Vec<Point> {
    let fraction = |value: f64| 2.0 * (value - value.floor()) - 1.0;
    (0..count as u32)
        .map(|i| Point::from([0.754_877_666, 0.569_840_29, 0.445_041_86].map(|step| fraction(f64::from(i + 1) * step))))
        .collect()
}

fn box_mesh(half: [f64; 3]) -> Mesh {
    let vertices = (0..8).map(|corner| {
        Point::from([0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { half[axis] } else { -half[axis] }))
    });
    let faces = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]];
    let faces = faces.iter().flat_map(|&[a, b, c, d]| [[a, b, c], [a, c, d]]).collect();
    Mesh::new(vertices.collect(), faces).unwrap()
}

#[test]
fn numbers_of_a_box() {
    let mesh = box_mesh([0.5, 0.3, 0.2]);
    assert!(check_mesh(&mesh).manifold);
    assert!((mesh.volume() - 0.24).abs() < 1e-12 && (mesh.area() - 2.48).abs() < 1e-12);
    assert!(mesh.centroid().unwrap().coords.norm() < 1e-12);
    let moved = mesh.moved(|place| place + nalgebra::Vector3::new(3.0, -2.0, 1.0)).unwrap();
    assert!((moved.centroid().unwrap() - Point::new(3.0, -2.0, 1.0)).norm() < 1e-12);
    let normalised = moved.normalised().unwrap();
    let [low, high] = normalised.bounding_box().unwrap();
    assert!((high.x - HALF_EXTENT).abs() < 1e-12 && (low.x + HALF_EXTENT).abs() < 1e-12);
    assert!((high.y - 0.6 * HALF_EXTENT).abs() < 1e-12);
    let normalisation = Normalisation::of(&moved, HALF_EXTENT).unwrap();
    let place = Point::new(2.7, -2.2, 1.1);
    assert!((normalisation.undo(normalisation.apply(place)) - place).norm() < 1e-12);
    let joined = mesh.joined(&moved).unwrap();
    assert_eq!((check_mesh(&joined).components, check_mesh(&joined).euler), (2, 4));
    // Each face's own corners, welded.
    let loose =
        Mesh::new(mesh.triangles().flatten().collect(), (0..12).map(|f| [3 * f, 3 * f + 1, 3 * f + 2]).collect());
    assert_eq!(check_mesh(&loose.unwrap().welded()), check_mesh(&mesh));
    for (normal, face) in mesh.face_normals().iter().zip(mesh.triangles()) {
        assert!(normal.dot(&face[0].coords) > 0.0 && (normal.norm() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn meshes_without_size_are_refused() {
    let point = Mesh::new(vec![Point::new(1.0, 1.0, 1.0); 3], vec![[0, 1, 2]]).unwrap();
    for mesh in [&Mesh::default(), &point] {
        assert!(matches!(mesh.normalised(), Err(ShapeError::NoExtent { .. })));
        assert!(matches!(SurfaceSampler::new(mesh), Err(ShapeError::NoExtent { .. })));
        assert!(MeshShape::new(mesh).is_err());
    }
    let line = Mesh::new(vec![Point::origin(), Point::new(1.0, 0.0, 0.0), Point::new(2.0, 0.0, 0.0)], vec![[0, 1, 2]]);
    let line = line.unwrap();
    assert!(SurfaceSampler::new(&line).is_err() && line.normalised().is_ok());
    assert_eq!(winding_number(&line, Point::new(0.5, 0.0, 0.0)), 0.0);
    assert_eq!(TriangleTree::new(&line).distance(Point::new(0.5, 3.0, 4.0)), 5.0);
    let nothing = TriangleTree::new(&Mesh::default());
    assert_eq!((nothing.distance(Point::origin()), nothing.contains(Point::origin())), (f64::INFINITY, false));
    // Sizes that single precision does not know.
    let far = box_mesh([1e29, 1e28, 1e27]).normalised().unwrap();
    let tiny = box_mesh([1e-200, 1e-201, 1e-201]);
    assert!((far.bounding_box().unwrap()[1].x - HALF_EXTENT).abs() < 1e-12);
    assert_eq!(SurfaceSampler::new(&tiny).unwrap().draw(10, 0).len(), 10);
}

#[test]
fn samples_are_spread_by_area() {
    let mesh = box_mesh([0.5, 0.3, 0.2]);
    let sampler = SurfaceSampler::new(&mesh).unwrap();
    let points = sampler.draw(40_000, 3);
    let mut counts = [0_usize; 3];
    for point in &points {
        let axis = point.normal.map(f64::abs).imax();
        counts[axis] += 1;
        let half = [0.5, 0.3, 0.2];
        assert!((point.place[axis].abs() - half[axis]).abs() < 1e-12, "{point:?}");
        assert!(point.normal[axis] * point.place[axis] > 0.0);
    }
    // Areas of both sides across x, y and z are 0.24, 0.4 and 0.6 twice over, of 2.48.
    for (count, share) in counts.iter().zip([0.48 / 2.48, 0.8 / 2.48, 1.2 / 2.48]) {
        assert!((*count as f64 / 40_000.0 - share).abs() < 0.01, "{counts:?}");
    }
    // The same for the same seed, on one core or many, and the first of more.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| sampler.draw(5000, 3));
    assert_eq!(points[..5000], alone);
    assert_ne!(points[..100], sampler.draw(100, 4));
    // The definition: first face whose share exceeds the number; the corner opposite is folded back.
    let first = sampler.at(0.0, [0.75, 0.5]);
    assert_eq!(first, sampler.at(0.0, [0.25, 0.5]));
    assert_eq!(sampler.at(1.0, [0.0, 0.0]).face, 11);
}

#[test]
fn fast_winding_numbers_are_those_of_all_faces() {
    for mesh in [bench("ply"), bench("obj"), Solid::Torus { major: 0.6, minor: 0.25 }.mesh(28).unwrap()] {
        let tree = TriangleTree::new(&mesh);
        let (mut worst, mut sum) = (0.0_f64, 0.0);
        for place in places(3000) {
            let (exact, fast) = (winding_number(&mesh, place), tree.winding_number(place));
            worst = worst.max((exact - fast).abs());
            sum += (exact - fast).abs();
            assert_eq!(tree.contains(place), exact > 0.5, "{place}: {exact}, {fast}");
        }
        // Right beside the surface, where a place is decided by what is far away and what is near.
        for point in SurfaceSampler::new(&mesh).unwrap().draw(400, 9) {
            for aside in [-0.02, -0.002, 0.002, 0.02] {
                let place = point.place + point.normal * aside;
                let exact = winding_number(&mesh, place);
                assert!((exact - 0.5).abs() < 0.02 || tree.contains(place) == (exact > 0.5), "{place}: {exact}");
            }
        }
        assert!(worst < 0.015 && sum / 3000.0 < 0.002, "{mesh:?}: {worst} {}", sum / 3000.0);
    }
}

#[test]
fn labels_of_meshes_are_those_of_their_solids() {
    let solid = Solid::Difference(
        Box::new(Solid::Cuboid { half: [0.7, 0.6, 0.5], rounding: 0.1 }),
        Box::new(Solid::Sphere { radius: 0.55 }),
    );
    let tree = TriangleTree::new(&solid.mesh(129).unwrap());
    for place in places(5000) {
        let value = solid.value(place);
        if value.abs() > 0.01 {
            assert_eq!(tree.contains(place), value > 0.0, "{place}: {value}");
        }
        let distance = tree.signed_distance(place);
        assert!(distance.signum() == -value.signum() || value.abs() < 0.01);
        // The value is a lower bound of the distance.
        assert!(value.abs() <= distance.abs() + 0.01, "{place}: {value}, {distance}");
    }
}

#[test]
fn an_open_mesh_still_has_an_inside() {
    let closed = box_mesh([0.5, 0.5, 0.5]);
    let open = Mesh::new(closed.vertices().to_vec(), closed.faces()[..10].to_vec()).unwrap();
    let tree = TriangleTree::new(&open);
    assert!(!check_mesh(&open).closed);
    assert!(tree.contains(Point::origin()) && tree.contains(Point::new(0.0, 0.0, -0.4)));
    assert!(!tree.contains(Point::new(0.0, 0.0, 0.9)) && !tree.contains(Point::new(0.9, 0.0, 0.0)));
}

#[test]
fn distances_are_the_least_over_all_faces() {
    let mesh = bench("obj");
    let tree = TriangleTree::new(&mesh);
    let points = SurfaceSampler::new(&mesh).unwrap().draw(20_000, 1);
    for place in places(300) {
        let nearest = tree.nearest(place).unwrap();
        let sampled = points.iter().map(|point| (point.place - place).norm()).fold(f64::INFINITY, f64::min);
        assert!(nearest.distance <= sampled + 1e-12, "{place}");
        assert!(sampled - nearest.distance < 0.05, "{place}: {nearest:?}, {sampled}");
        assert!(((nearest.place - place).norm() - nearest.distance).abs() < 1e-12);
        let face = Mesh::new(mesh.vertices().to_vec(), vec![mesh.faces()[nearest.face]]).unwrap();
        assert!((TriangleTree::new(&face).distance(place) - nearest.distance).abs() < 1e-12);
    }
}

#[test]
fn examples_are_functions_of_their_seed_with_right_labels() {
    let options = ExampleOptions { points: 700, volume: 500, near: 400, deviations: vec![0.02, 0.05] };
    let shape = MeshShape::new(&bench("ply")).unwrap();
    let example = shape.example(&options, 5).unwrap();
    assert_eq!((example.points.len(), example.volume.places.len(), example.near.places.len()), (700, 500, 400));
    assert_eq!(example, shape.example(&options, 5).unwrap());
    assert_ne!(example, shape.example(&options, 6).unwrap());
    for labelled in [&example.volume, &example.near] {
        for (place, &inside) in labelled.places.iter().zip(&labelled.inside) {
            assert_eq!(inside, winding_number(shape.mesh(), Point::from(place.map(f64::from))) > 0.5);
        }
    }
    let distance = |place: &[f32; 3]| shape.tree().distance(Point::from(place.map(f64::from)));
    let mean = |step: usize| {
        let near: Vec<f64> = example.near.places.iter().skip(step).step_by(2).map(distance).collect();
        near.iter().sum::<f64>() / near.len() as f64
    };
    // Deviations take turns.
    assert!(mean(0) < 0.025 && mean(1) > 0.025 && mean(1) < 0.06, "{} {}", mean(0), mean(1));
    for point in &example.points {
        let [x, y, z, nx, ny, nz] = point.map(f64::from);
        assert!(shape.tree().distance(Point::new(x, y, z)) < 1e-6);
        assert!((nx.hypot(ny).hypot(nz) - 1.0).abs() < 1e-6);
    }
    let none = ExampleOptions { near: 10, deviations: Vec::new(), ..options };
    assert!(shape.example(&none, 0).unwrap().near.places.iter().all(|place| distance(place) < 1e-6));
}

#[test]
fn procedural_shapes_are_endless_different_and_the_same_again() {
    let shapes = ProceduralShapes::new(11);
    let options = ExampleOptions { points: 256, volume: 2000, near: 256, deviations: vec![0.02, 0.05] };
    let mut volumes = Vec::new();
    for index in (0..40).chain([u64::MAX]) {
        let (solid, mesh) = shapes.shape(index, 48).unwrap();
        if index % 16 == 15 {
            assert_eq!((&solid, &mesh), (&shapes.shape(index, 48).unwrap().0, &shapes.shape(index, 48).unwrap().1));
        }
        let check = check_mesh(&mesh);
        assert!(check.manifold, "{index}: {check:?} {solid:?}");
        let [low, high] = mesh.bounding_box().unwrap();
        let half = (high - low).max() / 2.0;
        assert!((half - HALF_EXTENT).abs() < 1e-9 && (high + low.coords).coords.norm() < 1e-9, "{index}");
        // Labels of the solid agree with the mesh beyond the lattice's resolution, points lie on the solid.
        let tree = TriangleTree::new(&mesh);
        let example = solid.example(&mesh, &options, 1).unwrap();
        let wrong = example
            .volume
            .places
            .iter()
            .zip(&example.volume.inside)
            .filter(|(place, inside)| tree.contains(Point::from(place.map(f64::from))) != **inside);
        assert!(wrong.count() < 40, "{index}: {solid:?}");
        let off = example
            .points
            .iter()
            .filter(|p| solid.value(Point::new(p[0].into(), p[1].into(), p[2].into())).abs() > 1e-4);
        assert!(off.count() < 64, "{index}: {solid:?}");
        volumes.push((mesh.volume() * 1e6) as i64);
    }
    assert_eq!(shapes.example(3, 33, &options).unwrap(), shapes.example(3, 33, &options).unwrap());
    assert_ne!(shapes.example(3, 33, &options).unwrap(), shapes.example(4, 33, &options).unwrap());
    volumes.sort_unstable();
    volumes.dedup();
    assert_eq!(volumes.len(), 41);
    let rings = ProceduralShapes::of(3, &[Family::Chain]);
    for index in 0..10 {
        let check = check_mesh(&rings.shape(index, 64).unwrap().1);
        assert!(check.euler == 0 && (2..=3).contains(&check.components), "{check:?}");
    }
}

#[test]
fn steepness_bounds_the_slope_of_every_solid() {
    let turned = Isometry3::new(nalgebra::Vector3::new(0.1, 0.2, -0.1), nalgebra::Vector3::new(0.5, 0.1, 0.9));
    let primitives = [
        Solid::Sphere { radius: 0.5 },
        Solid::Ellipsoid { radii: [0.2, 0.9, 0.5] },
        Solid::Cuboid { half: [0.5, 0.2, 0.7], rounding: 0.1 },
        Solid::Torus { major: 0.5, minor: 0.2 },
        Solid::Capsule { half: 0.4, radius: 0.2 },
        Solid::Cylinder { half: 0.3, radius: 0.6 },
    ];
    let mut solids = primitives.to_vec();
    solids.extend(primitives.iter().map(|solid| Solid::Placed(Box::new(solid.clone()), turned)));
    solids.extend(primitives.iter().map(|solid| Solid::Twisted(Box::new(solid.clone()), 3.0)));
    solids.extend(
        primitives.iter().map(|solid| Solid::Scaled(Box::new(Solid::Twisted(Box::new(solid.clone()), -2.0)), 0.5)),
    );
    solids.push(Solid::Difference(Box::new(primitives[2].clone()), Box::new(primitives[0].clone())));
    solids.push(Solid::Intersection(primitives.to_vec()));
    solids.push(Solid::Union(primitives.to_vec()));
    for solid in &solids {
        let steepness = solid.steepness();
        for pair in places(2000).windows(2) {
            let near = pair[0] + (pair[1] - pair[0]) * 0.02;
            let slope = (solid.value(near) - solid.value(pair[0])).abs() / (near - pair[0]).norm();
            assert!(slope <= steepness * (1.0 + 1e-9), "{solid:?}: {slope} over {steepness}");
        }
        // Nothing inside beyond its reach.
        let beyond = places(500).into_iter().map(|place| place * (2.0 * solid.reach() / place.coords.norm().max(1e-9)));
        assert!(beyond.into_iter().all(|place| !solid.contains(place)), "{solid:?}");
    }
    assert!(!Solid::Union(Vec::new()).contains(Point::origin()));
    assert!(Solid::Intersection(Vec::new()).contains(Point::origin()));
}
