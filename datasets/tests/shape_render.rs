//! Pictures of meshes.

use tessera_datasets::shape::{Mesh, Point, RenderOptions, ShapeError, Solid, Vector, View, render, render_around};

fn options(side: u32) -> RenderOptions {
    RenderOptions { side, ..RenderOptions::default() }
}

/// Share of pixels that are not background.
fn covered(picture: &tessera_datasets::Picture) -> f64 {
    let pixels = picture.rgb().as_chunks::<3>().0;
    pixels.iter().filter(|&&pixel| pixel != [255; 3]).count() as f64 / pixels.len() as f64
}

#[test]
fn a_ball_is_a_disc_from_everywhere() {
    let ball = Solid::Sphere { radius: 0.4 }.mesh(48).unwrap();
    let moved = ball.moved(|place| place * 30.0 + Vector::new(5.0, -9.0, 100.0)).unwrap();
    for view in [View::default(), View { azimuth: 200.0, elevation: -80.0 }, View { azimuth: 0.0, elevation: 90.0 }] {
        for mesh in [&ball, &moved] {
            let picture = render(mesh, view, &options(128)).unwrap();
            let share = covered(&picture);
            let expected = std::f64::consts::PI * 0.485 * 0.485;
            assert!((share - expected).abs() < 0.04, "{view:?}: {share}, expected {expected}");
            assert_eq!(picture.pixel(1, 1), Some([255; 3]));
        }
    }
    // Lit from above, left.
    let picture = render(&ball, View::default(), &options(128)).unwrap();
    let brightness = |x, y| picture.pixel(x, y).unwrap().iter().map(|&part| u32::from(part)).sum::<u32>();
    assert!(brightness(48, 40) > brightness(80, 96) + 100, "{} {}", brightness(48, 40), brightness(80, 96));
}

#[test]
fn the_nearer_surface_is_drawn_whatever_the_order() {
    // Two squares across the line of sight, the small one in front.
    let square = |half: f64, z: f64| [[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]];
    let vertices: Vec<Point> = [square(0.5, -0.4), square(0.2, 0.4)].concat().into_iter().map(Point::from).collect();
    let faces = [[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]];
    let front = View { azimuth: 0.0, elevation: 0.0 };
    let one = render(&Mesh::new(vertices.clone(), faces.to_vec()).unwrap(), front, &options(64)).unwrap();
    let mut turned = faces.to_vec();
    turned.reverse();
    let other = render(&Mesh::new(vertices, turned).unwrap(), front, &options(64)).unwrap();
    assert_eq!(one, other);
    // The small one shows its back, which is darker.
    assert_ne!(one.pixel(32, 32), one.pixel(18, 32));
    assert!(one.pixel(32, 32).unwrap()[2] < one.pixel(18, 32).unwrap()[2]);
}

#[test]
fn edges_are_smooth_and_views_stand_in_rows() {
    let block = Solid::Cuboid { half: [0.3, 0.5, 0.2], rounding: 0.0 }.mesh(32).unwrap();
    let colours = |supersampling: u32| {
        let picture = render(&block, View::default(), &RenderOptions { supersampling, ..options(64) }).unwrap();
        let mut colours = picture.rgb().as_chunks::<3>().0.to_vec();
        colours.sort_unstable();
        colours.dedup();
        colours.len()
    };
    assert!(colours(1) < colours(3));
    let sheet = render_around(&block, 5, 3, &options(40)).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (120, 80));
    assert_eq!(sheet.pixel(100, 60), Some([255; 3]), "the sixth place is empty");
    assert_ne!(sheet.pixel(60, 60), Some([255; 3]));
    let first = render(&block, View::default(), &options(40)).unwrap();
    assert_eq!(sheet.pixel(17, 21), first.pixel(17, 21));
    let smooth = render(&block, View::default(), &RenderOptions { smooth: true, ..options(64) }).unwrap();
    assert_ne!(smooth, render(&block, View::default(), &options(64)).unwrap());
}

#[test]
fn meshes_of_any_kind_are_drawn_and_settings_checked() {
    let point = Mesh::new(vec![Point::new(3.0, 3.0, 3.0); 3], vec![[0, 1, 2]]).unwrap();
    let line = Mesh::new(vec![Point::origin(), Point::new(1.0, 0.0, 0.0), Point::new(2.0, 0.0, 0.0)], vec![[0, 1, 2]])
        .unwrap();
    let stray = Mesh::new(
        vec![Point::origin(), Point::new(1.0, 0.0, 0.0), Point::new(0.0, 1.0, 0.0), Point::new(1e30, 1e30, -1e30)],
        vec![[0, 1, 2]],
    );
    for mesh in [Mesh::default(), point, line] {
        assert_eq!(covered(&render(&mesh, View::default(), &options(20)).unwrap()), 0.0);
    }
    assert!(covered(&render(&stray.unwrap(), View::default(), &options(64)).unwrap()) > 0.1);
    let ball = Solid::Sphere { radius: 0.4 }.mesh(12).unwrap();
    let odd = View { azimuth: f64::NAN, elevation: f64::INFINITY };
    assert!(covered(&render(&ball, odd, &options(32)).unwrap()) > 0.5);
    for supersampling in [0, 9, u32::MAX] {
        let refused = render(&ball, View::default(), &RenderOptions { supersampling, ..options(20) });
        assert!(matches!(refused, Err(ShapeError::Setting { .. })));
    }
    for side in [0, 100_000, u32::MAX] {
        assert!(matches!(render(&ball, View::default(), &options(side)), Err(ShapeError::Dataset(_))), "{side}");
    }
    assert!(render_around(&ball, 0, 3, &options(20)).is_err() && render_around(&ball, 3, 0, &options(20)).is_err());
    assert!(render_around(&ball, u32::MAX, 1, &options(20)).is_err());
}
