//! Distances, overlaps and checks, against definitions written out.

use tessera_datasets::shape::{
    Mesh, Point, PointTree, ShapeError, Solid, SurfaceSampler, SurfaceSamples, Vector, check_mesh, compare_samples,
    cross_scale_iou, overlap, spheres_iou,
};

fn points(count: usize, seed: u64) -> Vec<Point> {
    let mesh = Solid::Torus { major: 0.5, minor: 0.2 }.mesh(20).unwrap();
    SurfaceSampler::new(&mesh).unwrap().draw(count, seed).into_iter().map(|point| point.place).collect()
}

#[test]
fn the_tree_finds_the_nearest_point_and_the_first_of_equals() {
    let mut cloud = points(700, 1);
    cloud.extend(points(50, 1));
    cloud.extend(vec![Point::new(0.1, 0.1, 0.1); 40]);
    for size in [0, 1, 2, 12, 13, 40, 790] {
        let cloud = &cloud[..size];
        let tree = PointTree::new(cloud);
        for query in points(200, 2).iter().chain(cloud) {
            let mut expected: Option<(usize, f64)> = None;
            for (index, point) in cloud.iter().enumerate() {
                let distance = (point - query).norm_squared();
                if expected.is_none_or(|(_, best)| distance < best) {
                    expected = Some((index, distance));
                }
            }
            let expected = expected.map(|(index, distance)| (index, distance.sqrt()));
            assert_eq!(tree.nearest(*query), expected, "{size}");
        }
    }
    assert_eq!(PointTree::new(&[]).nearest_each(&[Point::origin()]), [(0, f64::INFINITY)]);
    assert_eq!(PointTree::new(&cloud).nearest(Point::new(f64::NAN, 0.0, 0.0)), None);
}

#[test]
fn distances_are_as_defined() {
    let samples = |places: &[[f64; 3]], normals: &[[f64; 3]]| SurfaceSamples {
        places: places.iter().copied().map(Point::from).collect(),
        normals: normals.iter().copied().map(Vector::from).collect(),
    };
    let a = samples(&[[0.0; 3], [1.0, 0.0, 0.0]], &[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]);
    let b = samples(&[[0.0, 0.1, 0.0]], &[[0.0, 0.0, -1.0]]);
    let found = compare_samples(&a, &b).unwrap();
    let far = (1.0_f64 + 0.01).sqrt();
    assert_eq!((found.nearest_there.as_slice(), found.nearest_back.as_slice()), (&[0, 0][..], &[0][..]));
    assert!((found.chamfer_l1() - ((0.1 + far) / 2.0 + 0.1) / 2.0).abs() < 1e-12);
    assert!((found.chamfer_l1_sum() - ((0.1 + far) / 2.0 + 0.1)).abs() < 1e-12);
    assert!((found.chamfer_l2sq_sum() - ((0.01 + 1.01) / 2.0 + 0.01)).abs() < 1e-12);
    assert!((found.hausdorff() - far).abs() < 1e-12);
    assert!((found.normal_consistency - (0.5 + 1.0) / 2.0).abs() < 1e-12);
    let score = found.f_score(0.2);
    assert_eq!((score.precision, score.recall), (0.5, 1.0));
    assert!((score.f_score - 2.0 / 3.0).abs() < 1e-12);
    // Strictly under the threshold; nothing near at all.
    assert_eq!(found.f_score(found.there[0]).f_score, 0.0);
    let none = SurfaceSamples::default();
    assert!(matches!(compare_samples(&a, &none), Err(ShapeError::Length { .. })));
    let short = SurfaceSamples { normals: Vec::new(), ..a.clone() };
    assert!(matches!(compare_samples(&short, &a), Err(ShapeError::Length { .. })));
}

#[test]
fn overlaps_are_as_defined() {
    let counts = overlap(&[true, true, false, false], &[true, false, true, false]).unwrap();
    assert_eq!((counts.first, counts.second, counts.both, counts.either), (2, 2, 1, 3));
    assert!((counts.iou() - 1.0 / 3.0).abs() < 1e-12 && counts.accuracy() == 0.5);
    let empty = overlap(&[false; 3], &[false; 3]).unwrap();
    assert_eq!((empty.iou(), empty.accuracy()), (1.0, 1.0));
    assert!(matches!(overlap(&[true], &[]), Err(ShapeError::Length { .. })));
    let scales = [vec![true, false, false], vec![true, true, false], vec![true, true, true]];
    let expected = (0.5 + 2.0 / 3.0) / 2.0;
    assert!((cross_scale_iou(&scales).unwrap().unwrap() - expected).abs() < 1e-12);
    assert_eq!(cross_scale_iou(&scales[..1]).unwrap(), None);
    assert!(cross_scale_iou(&[vec![true], vec![]]).is_err());
}

#[test]
fn spheres_overlap_in_closed_form() {
    let grid: Vec<Point> = (0..64_u32.pow(3))
        .map(|i| Point::from([i % 64, i / 64 % 64, i / 4096].map(|k| (f64::from(k) - 31.5) / 32.0)))
        .collect();
    for (a, b, distance) in [(0.5, 0.45, 0.3), (0.4, 0.4, 0.0), (0.6, 0.2, 0.1), (0.3, 0.3, 0.9), (0.5, 0.3, 0.7)] {
        let ball = |radius: f64, x: f64| -> Vec<bool> {
            grid.iter().map(|place| (place - Point::new(x, 0.0, 0.0)).norm() <= radius).collect()
        };
        let counted = overlap(&ball(a, -distance / 2.0), &ball(b, distance / 2.0)).unwrap().iou();
        assert!((spheres_iou(a, b, distance) - counted).abs() < 0.01, "{a} {b} {distance}: {counted}");
    }
    assert_eq!(spheres_iou(0.0, 0.0, 1.0), 1.0);
}

#[test]
fn checks_tell_holes_flips_and_touching_parts() {
    let ball = Solid::Sphere { radius: 0.5 }.mesh(12).unwrap();
    let sound = check_mesh(&ball);
    assert!(sound.closed && sound.oriented && sound.manifold && sound.euler == 2 && sound.components == 1);
    let with = |change: &dyn Fn(&mut Vec<[u32; 3]>)| {
        let mut faces = ball.faces().to_vec();
        change(&mut faces);
        check_mesh(&Mesh::new(ball.vertices().to_vec(), faces).unwrap())
    };
    let hole = with(&|faces| faces.truncate(faces.len() - 1));
    assert!(!hole.closed && hole.oriented && !hole.manifold && hole.boundary_edges == 3 && hole.euler == 1);
    let flipped = with(&|faces| faces[0].reverse());
    assert!(flipped.closed && !flipped.oriented && !flipped.manifold);
    let doubled = with(&|faces| faces.push(faces[0]));
    assert!(!doubled.closed && !doubled.oriented && doubled.nonmanifold_edges == 3);
    // Two balls that share one vertex: every edge is sound, the vertex is not.
    let count = ball.vertices().len() as u32;
    let mut vertices = ball.vertices().to_vec();
    vertices.extend(ball.vertices().iter().map(|place| place + Vector::new(2.0, 0.0, 0.0)));
    let second = ball.faces().iter().map(|face| face.map(|index| if index == 0 { 0 } else { index + count }));
    let touching = Mesh::new(vertices, ball.faces().iter().copied().chain(second).collect()).unwrap();
    let check = check_mesh(&touching);
    assert!(
        check.closed && check.oriented && !check.manifold && check.components == 1 && check.euler == 3,
        "{check:?}"
    );
    let nothing = check_mesh(&Mesh::default());
    assert!(nothing.closed && nothing.oriented && nothing.euler == 0 && nothing.components == 0);
}
