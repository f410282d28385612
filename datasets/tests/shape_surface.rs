//! Surfaces of fields: closed, oriented, of the right Euler number, and the same however they are looked for.

use tessera_datasets::shape::{
    Fill, Lattice, Mesh, Point, ShapeError, Solid, Sparse, Surface, SurfaceOptions, check_mesh, extract_surface,
    field_normals,
};

fn torus() -> Solid {
    Solid::Torus { major: 0.5, minor: 0.2 }
}

fn at(solid: Solid, x: f64, y: f64, z: f64) -> Solid {
    Solid::Placed(Box::new(solid), nalgebra::Isometry3::translation(x, y, z))
}

fn ball(radius: f64) -> Solid {
    Solid::Sphere { radius }
}

fn extract(options: &SurfaceOptions, solid: &Solid) -> Surface {
    extract_surface(options, &mut |places| Ok(places.iter().map(|&place| solid.value(place) as f32).collect())).unwrap()
}

fn options(side: usize) -> SurfaceOptions {
    SurfaceOptions::new(Lattice::cube(side).unwrap())
}

/// Numbers in -1..1 that only depend on the place.
fn noise(places: &[Point]) -> Vec<f32> {
    let value = |place: &Point| {
        let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
        for part in place.iter() {
            bits = (bits ^ part.to_bits()).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits ^= bits >> 29;
        }
        (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    places.iter().map(value).collect()
}

/// The finest lattice that the surface of noise is extracted on, with its border as it comes.
fn noisy(fill: Fill, seal: bool) -> Surface {
    extract_surface(&SurfaceOptions { fill, seal, ..options(20) }, &mut |places| Ok(noise(places))).unwrap()
}

fn hollow() -> Solid {
    Solid::Difference(Box::new(ball(0.8)), Box::new(ball(0.45)))
}

fn two() -> Solid {
    Solid::Union(vec![at(ball(0.3), -0.45, 0.1, 0.0), at(ball(0.35), 0.4, -0.1, 0.2)])
}

fn linked() -> Solid {
    let turned = nalgebra::Isometry3::new(
        nalgebra::Vector3::new(0.3, 0.0, 0.0),
        nalgebra::Vector3::x() * std::f64::consts::FRAC_PI_2,
    );
    let ring = Solid::Torus { major: 0.4, minor: 0.12 };
    Solid::Union(vec![at(ring.clone(), -0.1, 0.0, 0.0), Solid::Placed(Box::new(ring), turned)])
}

#[test]
fn solids_give_closed_outward_manifolds_of_their_topology() {
    let pi = std::f64::consts::PI;
    let shapes = [
        ("ball", ball(0.7), 2, 1, Some(4.0 / 3.0 * pi * 0.343)),
        ("torus", torus(), 0, 1, Some(2.0 * pi * pi * 0.5 * 0.04)),
        ("two balls", two(), 4, 2, Some(4.0 / 3.0 * pi * (0.027 + 0.042875))),
        ("hollow ball", hollow(), 4, 2, Some(4.0 / 3.0 * pi * (0.512 - 0.091125))),
        ("linked rings", linked(), 0, 2, None),
        ("box", Solid::Cuboid { half: [0.5, 0.33, 0.71], rounding: 0.0 }, 2, 1, Some(8.0 * 0.5 * 0.33 * 0.71)),
        ("twist", Solid::Twisted(Box::new(Solid::Cuboid { half: [0.2, 0.8, 0.4], rounding: 0.05 }), 2.0), 2, 1, None),
    ];
    for (name, solid, euler, components, volume) in shapes {
        for side in [33, 48] {
            for fill in [Fill::Centre, Fill::Fan] {
                let surface = extract(&SurfaceOptions { fill, ..options(side) }, &solid);
                let check = check_mesh(&surface.mesh);
                assert!(check.manifold, "{name} {side} {fill:?}: {check:?}");
                assert_eq!((check.euler, check.components), (euler, components), "{name} {side} {fill:?}");
                assert_eq!(check.vertices, surface.mesh.vertices().len(), "{name}: unused vertices");
                assert!(surface.mesh.volume() > 0.0, "{name}: faces look inward");
                if let Some(volume) = volume {
                    let found = surface.mesh.volume();
                    assert!((found / volume - 1.0).abs() < 0.04, "{name} {side}: volume {found}, expected {volume}");
                }
                assert_eq!(surface.evaluations, (side * side * side) as u64);
            }
        }
    }
}

#[test]
fn vertices_lie_on_edges_of_the_lattice_where_the_line_between_its_ends_is_zero() {
    let surface = extract(&options(24), &torus());
    let lattice = Lattice::cube(24).unwrap();
    for (edge, vertex) in surface.crossings.iter().zip(surface.mesh.vertices()) {
        let axis = usize::from(edge.axis);
        let mut upper = edge.lower;
        upper[axis] += 1;
        let [low, high] = [edge.lower, upper].map(|sample| lattice.place(sample));
        let [a, b] = [low, high].map(|place| f64::from(torus().value(place) as f32));
        assert!((a >= 0.0) != (b >= 0.0));
        let expected = low + (high - low) * (a / (a - b));
        assert!((vertex - expected).norm() < 1e-12, "{edge:?}: {vertex}, expected {expected}");
    }
    let mut edges = surface.crossings.clone();
    edges.sort();
    edges.dedup();
    assert_eq!(edges.len(), surface.crossings.len(), "two vertices on one edge");
}

#[test]
fn noise_gives_a_manifold_too() {
    let surface = noisy(Fill::Centre, true);
    let check = check_mesh(&surface.mesh);
    assert!(check.manifold && surface.mesh.faces().len() > 10_000, "{check:?}");
    // A fan keeps every edge passed once each way in every pair, but may let four faces share one.
    let fan = check_mesh(&noisy(Fill::Fan, true).mesh);
    assert_eq!(fan.boundary_edges, 0);
    assert_eq!(fan.vertices, surface.crossings.len());
}

#[test]
fn the_border_is_sealed_or_left_open() {
    let slab = Solid::Cuboid { half: [2.0, 0.4, 2.0], rounding: 0.0 };
    let sealed = check_mesh(&extract(&options(17), &slab).mesh);
    assert!(sealed.manifold && sealed.euler == 2, "{sealed:?}");
    let open = check_mesh(&extract(&SurfaceOptions { seal: false, ..options(17) }, &slab).mesh);
    assert!(open.oriented && open.boundary_edges > 0 && open.components == 2, "{open:?}");
    let full = extract(&options(5), &ball(9.0));
    assert!(check_mesh(&full.mesh).manifold);
    let full = extract(&SurfaceOptions { seal: false, ..options(5) }, &ball(9.0));
    assert_eq!(full.mesh, Mesh::default());
    assert!(extract(&options(5), &at(ball(0.1), 5.0, 0.0, 0.0)).mesh.is_empty());
}

#[test]
fn samples_that_are_zero_leave_no_hole() {
    // A ball whose surface passes through samples of the lattice.
    let mut field = |places: &[Point]| {
        Ok(places.iter().map(|place| (25.0 - (place.coords * 10.0).map(f64::round).norm_squared()) as f32).collect())
    };
    let surface = extract_surface(&options(21), &mut field).unwrap();
    assert!(check_mesh(&surface.mesh).manifold);
    let welded = surface.mesh.welded();
    assert!(welded.vertices().len() < surface.mesh.vertices().len());
    let check = check_mesh(&welded);
    assert!(check.closed && check.oriented && check.euler == 2, "{check:?}");
}

#[test]
fn a_sparse_search_finds_the_same_surface_with_fewer_samples() {
    for (name, solid) in
        [("ball", ball(0.7)), ("torus", torus()), ("two", two()), ("hollow", hollow()), ("rings", linked())]
    {
        for side in [40, 80] {
            let dense = extract(&options(side), &solid);
            for sparse in [
                Sparse { step: side / 20, margin: 1, steepness: None },
                Sparse { step: 4, margin: 0, steepness: Some(1.0) },
                Sparse { step: 2, margin: 0, steepness: None },
                Sparse { step: 64, margin: 1, steepness: Some(1.0) },
                Sparse { step: 1, margin: 0, steepness: None },
            ] {
                let found = extract(&options(side).sparse(sparse), &solid);
                assert_eq!(found.mesh, dense.mesh, "{name} {side} {sparse:?}");
                assert_eq!(found.crossings, dense.crossings, "{name} {side} {sparse:?}");
                assert!(found.evaluations <= dense.evaluations * 5 / 4);
                if side == 80 && sparse.step == 4 {
                    assert!(3 * found.evaluations < dense.evaluations, "{name}: {}", found.evaluations);
                }
            }
        }
    }
}

#[test]
fn the_coarse_cells_of_a_search_fit_its_lattice() {
    let expected = [(2, 1), (65, 1), (128, 1), (129, 2), (256, 2), (257, 4), (300, 4), (513, 8), (1025, 16)];
    for (side, step) in expected {
        assert_eq!(Sparse::fitting(Lattice::cube(side).unwrap()).step, step, "{side}");
    }
}

#[test]
fn a_sparse_search_follows_the_surface_out_of_the_cells_that_it_began_in() {
    // A thin, long rod, most of which lies between the coarse samples.
    let rod = Solid::Placed(
        Box::new(Solid::Union(vec![Solid::Capsule { half: 0.8, radius: 0.05 }, ball(0.2)])),
        nalgebra::Isometry3::rotation(nalgebra::Vector3::new(0.4, 0.2, 0.7)),
    );
    let dense = extract(&options(65), &rod);
    let sparse = extract(&options(65).sparse(Sparse { step: 8, margin: 0, steepness: None }), &rod);
    assert_eq!(sparse.mesh, dense.mesh);
    assert!(10 * sparse.evaluations < dense.evaluations);
    // A speck that no coarse sample sees is found where the steepness is known.
    let speck = at(ball(0.06), 0.37, 0.11, -0.13);
    let blind = extract(&options(65).sparse(Sparse { step: 16, margin: 0, steepness: None }), &speck);
    let seeing = extract(&options(65).sparse(Sparse { step: 16, margin: 0, steepness: Some(1.0) }), &speck);
    assert!(blind.mesh.is_empty());
    assert_eq!(seeing.mesh, extract(&options(65), &speck).mesh);
}

#[test]
fn sparse_and_sealed_go_together() {
    for side in [2, 3, 9, 17, 30] {
        for solid in [ball(9.0), Solid::Cuboid { half: [2.0, 0.4, 2.0], rounding: 0.0 }] {
            let dense = extract(&options(side), &solid);
            let sparse = extract(&options(side).sparse(Sparse { step: 8, margin: 0, steepness: Some(1.0) }), &solid);
            assert_eq!(sparse.mesh, dense.mesh, "{side} {solid:?}");
            assert!(check_mesh(&dense.mesh).manifold || dense.mesh.is_empty());
        }
    }
    let sealed =
        extract_surface(&options(20).sparse(Sparse { step: 2, margin: 1, steepness: None }), &mut |p| Ok(noise(p)));
    assert!(check_mesh(&sealed.unwrap().mesh).manifold);
}

#[test]
fn the_batch_changes_nothing() {
    let whole = extract(&options(20), &torus());
    for batch in [1, 7, 400, 401] {
        let mut most = 0;
        let mut field = |places: &[Point]| {
            most = most.max(places.len());
            Ok(places.iter().map(|&place| torus().value(place) as f32).collect())
        };
        let parts = extract_surface(&SurfaceOptions { batch, ..options(20) }, &mut field).unwrap();
        assert_eq!((parts.mesh, most), (whole.mesh.clone(), batch.min(400)));
    }
}

#[test]
fn broken_fields_and_settings_are_refused() {
    let run = |field: &mut tessera_datasets::shape::Field<'_>| extract_surface(&options(4), field).unwrap_err();
    let error = run(&mut |places| Ok(vec![f32::NAN; places.len()]));
    assert!(matches!(error, ShapeError::FieldValue { value, .. } if value.is_nan()), "{error}");
    let error = run(&mut |places| Ok(vec![f32::INFINITY; places.len()]));
    assert!(matches!(error, ShapeError::FieldValue { .. }), "{error}");
    let error = run(&mut |places| Ok(vec![0.0; places.len() - 1]));
    assert!(matches!(error, ShapeError::Length { expected: 16, found: 15, .. }), "{error}");
    let error = run(&mut |_| Err("no memory".into()));
    assert_eq!(error.to_string(), "the field could not be evaluated: no memory");
    let zero = extract_surface(&SurfaceOptions { batch: 0, ..options(4) }, &mut |_| Ok(Vec::new()));
    assert!(matches!(zero, Err(ShapeError::Setting { .. })));
    for (side, bounds) in [(0, 1.0), (1, 1.0), (1026, 1.0), (usize::MAX, 1.0), (9, 0.0), (9, -1.0), (9, f64::NAN)] {
        assert!(matches!(Lattice::new(side, bounds), Err(ShapeError::Setting { .. })), "{side} {bounds}");
    }
    for sparse in [
        Sparse { step: 0, margin: 1, steepness: None },
        Sparse { step: 3, margin: 1, steepness: None },
        Sparse { step: 1 << 20, margin: 1, steepness: None },
        Sparse { step: 2, margin: 1, steepness: Some(f64::NAN) },
    ] {
        let found = extract_surface(&options(9).sparse(sparse), &mut |places| Ok(vec![-1.0; places.len()]));
        assert!(matches!(found, Err(ShapeError::Setting { .. })), "{sparse:?}");
    }
}

#[test]
fn normals_of_the_field_point_outward() {
    let mesh = ball(0.6).mesh(33).unwrap();
    let mut field = |places: &[Point]| Ok(places.iter().map(|&place| ball(0.6).value(place) as f32).collect());
    let normals = field_normals(mesh.vertices(), 0.01, 1000, &mut field).unwrap();
    for (normal, vertex) in normals.iter().zip(mesh.vertices()) {
        assert!((normal - vertex.coords.normalize()).norm() < 1e-3, "{normal} at {vertex}");
    }
    let flat = field_normals(mesh.vertices(), 0.01, 60, &mut |places| Ok(vec![3.0; places.len()])).unwrap();
    assert!(flat.iter().all(|normal| normal.norm() == 0.0));
    assert!(field_normals(mesh.vertices(), 0.0, 60, &mut |places| Ok(vec![3.0; places.len()])).is_err());
    assert!(field_normals(mesh.vertices(), 0.1, 60, &mut |_| Ok(Vec::new())).is_err());
}
