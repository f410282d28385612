//! Splitting into tiles and back.

mod common;

use common::procedural;
use proptest::prelude::*;
use tessera_datasets::{DatasetError, Picture, TileGrid};

#[test]
fn tiles_come_row_by_row() {
    let grid = TileGrid::new(10, 7, 4).unwrap();
    assert_eq!((grid.columns(), grid.rows(), grid.len()), (3, 2, 6));
    let origins: Vec<_> = grid.origins().collect();
    assert_eq!(origins, [(0, 0), (4, 0), (8, 0), (0, 4), (4, 4), (8, 4)]);
}

#[test]
fn edge_tiles_repeat_the_last_column_and_row() {
    let picture = procedural(10, 7);
    let grid = TileGrid::new(10, 7, 4).unwrap();
    let tiles = grid.split(&picture).unwrap();
    for ((left, top), tile) in grid.origins().zip(&tiles) {
        for y in 0..4 {
            for x in 0..4 {
                let nearest = picture.pixel((left + x).min(9), (top + y).min(6));
                assert_eq!(tile.pixel(x, y), nearest, "tile at ({left}, {top}), pixel ({x}, {y})");
            }
        }
    }
}

#[test]
fn a_tile_may_be_larger_than_the_picture() {
    let picture = procedural(1, 1);
    let grid = TileGrid::new(1, 1, 16).unwrap();
    let tiles = grid.split(&picture).unwrap();
    let colour = picture.pixel(0, 0).unwrap();
    assert_eq!(tiles, [Picture::filled(16, 16, colour).unwrap()]);
    assert_eq!(grid.stitch(&tiles).unwrap(), picture);
}

#[test]
fn impossible_grids_are_refused() {
    for (width, height, tile) in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
        assert!(matches!(TileGrid::new(width, height, tile).unwrap_err(), DatasetError::Zero { .. }));
    }
    for (width, height, tile) in [(1, 1, u32::MAX), (u32::MAX, u32::MAX, 7), (40_000, 40_000, 256)] {
        let error = TileGrid::new(width, height, tile).unwrap_err();
        assert!(matches!(error, DatasetError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn other_pictures_and_tile_counts_are_refused() {
    let grid = TileGrid::new(10, 7, 4).unwrap();
    let error = grid.split(&procedural(7, 10)).unwrap_err();
    assert!(matches!(error, DatasetError::SizeMismatch { .. }), "{error}");
    let mut tiles = grid.split(&procedural(10, 7)).unwrap();
    tiles[3] = procedural(4, 5);
    assert!(matches!(grid.stitch(&tiles).unwrap_err(), DatasetError::SizeMismatch { .. }));
    let error = grid.stitch(&tiles[..5]).unwrap_err();
    assert!(matches!(error, DatasetError::TileCount { expected: 6, found: 5 }), "{error}");
}

#[test]
fn overlapping_tiles_share_columns_and_rows() {
    let picture = procedural(20, 7);
    let grid = TileGrid::overlapping(20, 7, 8, 3).unwrap();
    assert_eq!((grid.step(), grid.columns(), grid.rows()), (5, 4, 1));
    assert_eq!(grid.origins().collect::<Vec<_>>(), [(0, 0), (5, 0), (10, 0), (15, 0)]);
    let tiles = grid.split(&picture).unwrap();
    for y in 0..7 {
        for x in 0..3 {
            assert_eq!(tiles[0].pixel(5 + x, y), tiles[1].pixel(x, y));
        }
    }
    // One more column of pixels needs one more column of tiles.
    assert_eq!(TileGrid::overlapping(23, 7, 8, 3).unwrap().columns(), 4);
    assert_eq!(TileGrid::overlapping(24, 7, 8, 3).unwrap().columns(), 5);
    assert_eq!(TileGrid::overlapping(10, 7, 4, 0).unwrap(), TileGrid::new(10, 7, 4).unwrap());
}

#[test]
fn an_overlap_of_half_a_tile_is_refused() {
    for (tile, overlap) in [(1, 1), (2, 1), (8, 4), (9, 5), (8, u32::MAX), (u32::MAX, 1 << 31)] {
        let error = TileGrid::overlapping(30, 30, tile, overlap).unwrap_err();
        assert!(matches!(error, DatasetError::Overlap { .. }), "{tile} {overlap}: {error}");
    }
    assert!(TileGrid::overlapping(30, 30, 9, 4).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn stitching_undoes_splitting(width in 1u32..50, height in 1u32..50, tile in 1u32..20) {
        let picture = procedural(width, height);
        let grid = TileGrid::new(width, height, tile).unwrap();
        let tiles = grid.split(&picture).unwrap();
        prop_assert!(tiles.iter().all(|it| it.width() == tile && it.height() == tile));
        prop_assert_eq!(grid.stitch(&tiles).unwrap(), picture);
    }

    #[test]
    fn stitching_undoes_splitting_for_any_overlap(
        width in 1u32..60, height in 1u32..60, tile in 1u32..24, share in 0u32..24,
    ) {
        let picture = procedural(width, height);
        let grid = TileGrid::overlapping(width, height, tile, share % tile.div_ceil(2)).unwrap();
        let tiles = grid.split(&picture).unwrap();
        prop_assert_eq!(tiles.len(), grid.len());
        prop_assert_eq!(grid.stitch(&tiles).unwrap(), picture);
    }
}
