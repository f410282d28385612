//! Contact sheets.

mod common;

use common::procedural;
use tessera_datasets::{DatasetError, Picture, Sheet};

const WHITE: Option<[u8; 3]> = Some([255; 3]);

/// Black pixels within a window.
fn ink(sheet: &Picture, columns: std::ops::Range<u32>, rows: std::ops::Range<u32>) -> usize {
    let black = |x, y| sheet.pixel(x, y) == Some([0; 3]);
    rows.map(|y| columns.clone().filter(|&x| black(x, y)).count()).sum()
}

#[test]
fn pictures_are_enlarged_by_a_whole_factor() {
    let picture = procedural(10, 6);
    let sheet = Sheet::new().with_cell_side(40).push(picture.clone(), &["x"]).draw().unwrap();
    for y in 0..24 {
        for x in 0..40 {
            assert_eq!(sheet.pixel(8 + x, 8 + y), picture.pixel(x / 4, y / 4));
        }
    }
    assert_eq!(sheet.pixel(7, 8), WHITE);
    assert_eq!(sheet.pixel(48, 8), WHITE);
}

#[test]
fn large_pictures_are_drawn_as_they_are() {
    let sheet = Sheet::new().with_cell_side(5).push(procedural(30, 20), &[""; 0]).draw().unwrap();
    assert_eq!((sheet.width(), sheet.height()), (46, 40));
}

#[test]
fn labels_are_written_below() {
    let blank = Picture::filled(64, 64, [255; 3]).unwrap();
    let sheet = Sheet::new().push(blank, &["A", "", "\u{e9}\u{3b1}\u{4e2d}"]).draw().unwrap();
    // The picture ends at row 136, text begins 4 below, lines are 10 apart.
    assert!(ink(&sheet, 8..16, 140..148) > 10);
    assert_eq!(ink(&sheet, 0..sheet.width(), 148..160), 0);
    for letter in 0..3 {
        assert!(ink(&sheet, 8 + 8 * letter..16 + 8 * letter, 160..168) > 5, "letter {letter}");
    }
}

#[test]
fn the_letter_l_stands_upright() {
    let blank = Picture::filled(8, 8, [255; 3]).unwrap();
    let sheet = Sheet::new().with_cell_side(8).push(blank, &["L"]).draw().unwrap();
    let (left, right) = (ink(&sheet, 8..12, 20..28), ink(&sheet, 12..16, 20..28));
    let (upper, lower) = (ink(&sheet, 8..16, 20..24), ink(&sheet, 8..16, 24..28));
    assert!(left > right && lower > upper, "{left} {right} {upper} {lower}");
}

#[test]
fn rows_wrap_at_the_widest_allowed() {
    let mut sheet = Sheet::new().with_cell_side(32).with_max_width(100);
    for _ in 0..5 {
        sheet = sheet.push(procedural(32, 32), &[""; 0]);
    }
    let drawn = sheet.draw().unwrap();
    // Two cells of 32 and three gaps of 8 fit into 100; three rows of 36 with four gaps.
    assert_eq!((drawn.width(), drawn.height()), (88, 3 * 36 + 4 * 8));
    assert_eq!(drawn.pixel(8, 96), procedural(1, 1).pixel(0, 0));
}

#[test]
fn long_lines_are_broken_and_never_reach_the_next_cell() {
    let blank = || Picture::filled(8, 8, [255; 3]).unwrap();
    let long = "M".repeat(60);
    let sheet = Sheet::new().with_cell_side(8).push(blank(), &[long]).push(blank(), &["M"]).draw().unwrap();
    // 24 letters wide: three lines of 24, 24 and 12.
    assert_eq!(sheet.height(), 8 + 8 + 4 + 30 + 8);
    assert_eq!(ink(&sheet, 200..208, 0..sheet.height()), 0);
    assert!(ink(&sheet, 208..216, 20..28) > 5);
}

#[test]
fn empty_and_enormous_sheets_are_refused() {
    assert!(matches!(Sheet::new().draw().unwrap_err(), DatasetError::EmptySheet));
    let huge = Sheet::new().with_cell_side(u32::MAX).push(procedural(1, 1), &["x"]).draw().unwrap_err();
    assert!(matches!(huge, DatasetError::TooLarge { .. }), "{huge}");
}
