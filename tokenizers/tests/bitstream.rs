//! Token files: what is written comes back, what is cut decodes in part, what is damaged is an error.

#[path = "hostile/header.rs"]
mod header;

use std::path::Path;

use header::{header_bytes, repair};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tessera_tokenizers::token_file::{MAX_SCALES, read_safetensors, write_safetensors};
use tessera_tokenizers::{
    Cut, Fingerprint, PictureInfo, TokenFile, TokenFileError, TokenLayout, Tokens, id_bits, load_tokens, read_tsr,
    save_tokens, write_tsr,
};

/// The worked example of FORMAT.md.
const GOLDEN: &str = "
0000  89 54 53 52 01 34 01 00 00 01 02 03 04 05 06 07
0010  08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17
0020  18 19 1a 1b 1c 1d 1e 1f 02 00 00 00 04 00 00 00
0030  28 00 00 00 14 00 00 00 14 00 00 00 05 00 00 00
0040  03 00 00 00 e5 0c e2 c3 a1 b0 00 2d 9e a6 8e
";

fn golden_bytes() -> Vec<u8> {
    let words = GOLDEN.split_whitespace().filter(|word| word.len() == 2);
    words.map(|word| u8::from_str_radix(word, 16).unwrap()).collect()
}

fn golden_file() -> TokenFile {
    let fingerprint = Fingerprint(std::array::from_fn(|at| at as u8));
    let ids = vec![1, 2, 3, 0, 4, 0, 1, 0];
    let tokens = Tokens::new(ids, 2, ordered(4), vec![5], fingerprint).unwrap().prefix(3).unwrap();
    TokenFile::new(tokens).with_picture(PictureInfo::tiled(40, 20, 20, 0))
}

fn ordered(len: u32) -> TokenLayout {
    TokenLayout::Ordered { len }
}

/// Tokens whose ids wander over the whole of their vocabularies, the last one included.
fn tokens(items: usize, layout: TokenLayout, vocab: &[u32]) -> Tokens {
    let count = items * layout.positions() * vocab.len();
    let ids = (0_u32..).zip(vocab.iter().cycle()).take(count);
    let ids = ids.map(|(at, &vocab)| match at % 5 {
        0 => vocab - 1,
        _ => at.wrapping_mul(0x9e37_79b9) % vocab,
    });
    Tokens::new(ids.collect(), items, layout, vocab.to_vec(), Fingerprint([7; 32])).unwrap()
}

/// The ways to keep positions: all, one prefix, none, prefixes, a subset.
fn masks(whole: &Tokens) -> Vec<Tokens> {
    let (positions, items) = (whole.positions(), whole.batch());
    let masked = |keep: &dyn Fn(usize, usize) -> bool| {
        let marks = (0..items * positions).map(|at| keep(at / positions, at % positions));
        whole.clone().with_kept(marks.collect()).unwrap()
    };
    vec![
        whole.clone(),
        masked(&|_, position| position < positions.div_ceil(2)),
        masked(&|_, _| false),
        masked(&|item, position| position < (item * 3 + 1) % (positions + 1)),
        masked(&|item, position| (item + position * 7) % 3 != 0),
    ]
}

fn kept_count(tokens: &Tokens) -> usize {
    match tokens.kept() {
        Some(kept) => kept.iter().filter(|&&kept| kept).count(),
        None => tokens.batch() * tokens.positions(),
    }
}

#[test]
fn every_layout_depth_vocabulary_and_mask_comes_back() {
    let layouts = [
        ordered(1),
        ordered(37),
        TokenLayout::Grid { height: 3, width: 5 },
        TokenLayout::Scales { counts: vec![1, 4, 0, 9] },
    ];
    let vocabs: [&[u32]; 11] = [
        &[1],
        &[2],
        &[3],
        &[255],
        &[4096],
        &[4097],
        &[1 << 31],
        &[u32::MAX],
        &[1, 1, 1],
        &[u32::MAX, 1, 2, 64000],
        &[17; 255],
    ];
    for layout in layouts {
        for vocab in vocabs {
            for items in [1, 2, 6] {
                for tokens in masks(&tokens(items, layout.clone(), vocab)) {
                    let file = TokenFile::new(tokens);
                    let bytes = write_tsr(&file).unwrap();
                    assert_eq!(read_tsr(&bytes, false).unwrap(), file);
                    assert_eq!(read_tsr(&bytes, true).unwrap(), file);
                    let bits: usize = vocab.iter().map(|&vocab| id_bits(vocab) as usize).sum();
                    let payload = (kept_count(&file.tokens) * bits).div_ceil(8);
                    assert_eq!(bytes.len(), header_bytes(&bytes).unwrap() + payload + 4);
                    let bytes = write_safetensors(&file).unwrap();
                    assert_eq!(read_safetensors(&bytes).unwrap(), file);
                }
            }
        }
    }
}

#[test]
fn the_picture_comes_back() {
    let sizes = [
        (1, PictureInfo::whole(640, 480)),
        (6, PictureInfo::tiled(700, 500, 256, 0)),
        (15, PictureInfo::tiled(700, 500, 256, 127)),
        (1, PictureInfo::tiled(u32::MAX, 1, u32::MAX, 0)),
        (1, PictureInfo::tiled(u32::MAX, 1, u32::MAX, (1 << 31) - 1)),
    ];
    for (items, picture) in sizes {
        let file = TokenFile::new(tokens(items, ordered(8), &[100])).with_picture(picture);
        assert_eq!(read_tsr(&write_tsr(&file).unwrap(), false).unwrap().picture, Some(picture));
        assert_eq!(read_safetensors(&write_safetensors(&file).unwrap()).unwrap(), file);
    }
    let tiled = PictureInfo::tiled(700, 500, 256, 0);
    assert_eq!((tiled.columns(), tiled.rows(), tiled.tiles()), (3, 2, 6));
    let tiled = PictureInfo::tiled(700, 500, 256, 32);
    assert_eq!((tiled.columns(), tiled.rows(), tiled.tiles()), (3, 3, 9));
}

#[test]
fn the_bytes_of_the_written_specification_stay_as_they_are() {
    assert_eq!(write_tsr(&golden_file()).unwrap(), golden_bytes());
    assert_eq!(read_tsr(&golden_bytes(), false).unwrap(), golden_file());
    assert!(include_str!("../src/bitstream/FORMAT.md").contains(GOLDEN), "FORMAT.md shows the same bytes");
    let bytes = golden_bytes();
    let cut = read_tsr(&bytes[..bytes.len() - 5], true).unwrap();
    assert_eq!(cut.tokens.ids(), [1, 2, 3, 0, 4, 0, 0, 0]);
    assert_eq!(cut.tokens.prefix_lengths(), Some(vec![3, 2]));
}

#[test]
fn a_one_d_piece_picture_of_256_tokens_takes_384_bytes_and_a_header() {
    let picture = PictureInfo::whole(256, 256);
    let file = TokenFile::new(tokens(1, ordered(256), &[4096])).with_picture(picture);
    let bytes = write_tsr(&file).unwrap();
    let header = header_bytes(&bytes).unwrap();
    println!("header {header} bytes, checksum 4 bytes, file {} bytes", bytes.len());
    assert_eq!((header, bytes.len() - header), (64, 384 + 4));
    let prefix = TokenFile::new(file.tokens.prefix(32).unwrap()).with_picture(picture);
    assert_eq!(write_tsr(&prefix).unwrap().len(), 68 + 48 + 4);
}

#[test]
fn a_file_cut_at_any_byte_after_its_header_decodes_to_a_prefix_of_the_stream() {
    let shapes: [(usize, TokenLayout, &[u32]); 4] = [
        (1, ordered(20), &[4096]),
        (3, ordered(9), &[1000, 3]),
        (2, TokenLayout::Grid { height: 3, width: 4 }, &[1 << 14]),
        (2, TokenLayout::Scales { counts: vec![1, 4, 4] }, &[1, 5]),
    ];
    for (items, layout, vocab) in shapes {
        for tokens in masks(&tokens(items, layout.clone(), vocab)) {
            let (positions, depth) = (tokens.positions(), tokens.depth());
            let bits: usize = vocab.iter().map(|&vocab| id_bits(vocab) as usize).sum();
            let expected = kept_count(&tokens);
            let bytes = write_tsr(&TokenFile::new(tokens.clone())).unwrap();
            let header = header_bytes(&bytes).unwrap();
            for end in header..bytes.len() {
                let present = ((end - header) * 8 / bits).min(expected);
                let error = read_tsr(&bytes[..end], false).unwrap_err();
                let text = format!("expected {expected} tokens and a checksum, found {present} tokens");
                assert!(error.to_string().starts_with(&text), "{error}");

                let part = read_tsr(&bytes[..end], true).unwrap();
                assert_eq!(part.cut, Some(Cut { present, expected }));
                let mut left = present;
                let mut marks = vec![false; items * positions];
                let mut ids = vec![0; items * positions * depth];
                for position in 0..positions {
                    for item in 0..items {
                        let at = item * positions + position;
                        if tokens.kept().is_none_or(|kept| kept[at]) && left > 0 {
                            left -= 1;
                            marks[at] = true;
                            let range = at * depth..(at + 1) * depth;
                            ids[range.clone()].copy_from_slice(&tokens.ids()[range]);
                        }
                    }
                }
                let all = marks.iter().all(|&kept| kept);
                assert_eq!(part.tokens.ids(), ids);
                assert_eq!(part.tokens.kept(), (!all).then_some(marks.as_slice()));
            }
            for end in 0..header {
                for partial in [false, true] {
                    let error = read_tsr(&bytes[..end], partial).unwrap_err();
                    assert!(matches!(error, TokenFileError::HeaderCut { .. }), "{end}: {error}");
                }
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_whole_file_is_an_error() {
    for tokens in masks(&tokens(3, ordered(9), &[1000, 3])) {
        let bytes = write_tsr(&TokenFile::new(tokens)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for partial in [false, true] {
                assert!(read_tsr(&flipped, partial).is_err(), "bit {bit}, partial {partial}");
            }
            // in a cut file nothing covers the payload, but the header must still be right
            let header = header_bytes(&bytes).unwrap();
            for end in header..bytes.len() {
                let part = read_tsr(&flipped[..end], true);
                assert!(bit / 8 >= header || part.is_err(), "bit {bit} of a file cut at {end}");
            }
        }
    }
}

#[test]
fn a_header_and_a_payload_of_different_files_do_not_go_together() {
    let file = |fingerprint| {
        let tokens = Tokens::new(vec![3, 1, 2], 1, ordered(3), vec![256], Fingerprint(fingerprint)).unwrap();
        write_tsr(&TokenFile::new(tokens)).unwrap()
    };
    let (mut mixed, other) = (file([1; 32]), file([2; 32]));
    let header = header_bytes(&mixed).unwrap();
    mixed[header..].copy_from_slice(&other[header..]);
    assert!(matches!(read_tsr(&mixed, true), Err(TokenFileError::Damaged { .. })));
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let bytes = write_tsr(&TokenFile::new(tokens(2, ordered(5), &[5]))).unwrap();
    let header = header_bytes(&bytes).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        let [whole, partial] = [false, true].map(|partial| read_tsr(&bytes, partial).unwrap_err());
        assert_eq!(whole.to_string(), partial.to_string());
        whole
    };
    let repaired = |change: &dyn Fn(&mut Vec<u8>)| {
        changed(&|bytes| {
            change(bytes);
            repair(bytes);
        })
    };
    use TokenFileError as E;
    assert!(matches!(changed(&|b| b[0] = b'T'), E::NotTsr { .. }));
    assert!(matches!(changed(&|b| b[4] = 3), E::Version { expected: 2, found: 3 }));
    assert!(matches!(changed(&|b| b[20] ^= 1), E::HeaderDamaged { .. }));
    assert!(matches!(changed(&|b| b[header] ^= 1), E::Damaged { .. }));
    assert!(matches!(changed(&|b| b.push(0)), E::TooLong { .. }));
    assert!(matches!(repaired(&|b| b[header] |= 7), E::Tokens(_)), "id 7 of a vocabulary of 5");
    let last = bytes.len() - 5;
    assert!(matches!(repaired(&|b| b[last] |= 0x80), E::Padding));
    let what = |error| match error {
        E::Field { what, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(what(repaired(&|b| b[5] |= 0x40)), "unused bits");
    assert_eq!(what(repaired(&|b| b[5] |= 0x03)), "layout");
    assert_eq!(what(repaired(&|b| b[5] |= 0x20)), "picture");
    assert_eq!(what(repaired(&|b| b[40..44].fill(0))), "items");
    assert_eq!(what(repaired(&|b| b[44..48].fill(0))), "positions");
    assert_eq!(what(repaired(&|b| b[48..52].fill(0))), "vocabulary");
    assert_eq!(what(repaired(&|b| b[47] = 4)), "positions");
    assert_eq!(what(repaired(&|b| b[43] = 4)), "items");
    assert_eq!(what(repaired(&|b| b[42] = 0xff)), "ids");
    assert!(matches!(repaired(&|b| b[42] = 0x1f), E::TooManyIds { limit: 4_194_304, .. }));
}

#[test]
fn a_mask_has_one_form_only() {
    let tokens = tokens(2, ordered(5), &[5]);
    let bytes = write_tsr(&TokenFile::new(tokens.clone().prefix(2).unwrap())).unwrap();
    let header = header_bytes(&bytes).unwrap();
    // the header alone, as of a file cut behind it
    let read = |code: u8, mask: &[u8]| {
        let mut other = bytes.clone();
        other.splice(header - 8..header - 4, mask.iter().copied());
        other[5] = code << 2;
        other.truncate(header - 8 + mask.len() + 4);
        repair(&mut other);
        read_tsr(&other, true)
    };
    assert!(read(1, &[2, 0, 0, 0]).is_ok());
    assert!(read(1, &[5, 0, 0, 0]).is_err(), "all, as a prefix");
    assert!(read(1, &[6, 0, 0, 0]).is_err(), "a prefix of more than there is");
    assert!(read(2, &[0b01_0010]).is_err(), "one prefix, as two");
    assert!(read(2, &[0b01_1010]).is_ok(), "2 and 3");
    assert!(read(2, &[0b11_1010]).is_err(), "2 and 7 of 5");
    assert!(read(2, &[0b101_1010]).is_err(), "bits after the last length");
    assert!(read(3, &[0b0110_0011, 0]).is_err(), "prefixes of 2 and 2, then 3 and more, as a subset");
    assert!(read(3, &[0b0100_0101, 0]).is_ok(), "a subset");
}

#[test]
fn what_no_token_file_can_hold_is_refused_by_both_writers() {
    let refused = |file: &TokenFile| {
        let errors = [write_tsr(file).unwrap_err(), write_safetensors(file).unwrap_err()];
        let [Some(what), Some(same)] = errors.map(|error| match error {
            TokenFileError::Field { what, .. } => Some(what),
            _ => None,
        }) else {
            panic!("another error")
        };
        assert_eq!(what, same);
        what
    };
    let new = |ids, items, layout, vocab| {
        TokenFile::new(Tokens::new(ids, items, layout, vocab, Fingerprint::default()).unwrap())
    };
    assert_eq!(refused(&new(vec![], 0, ordered(4), vec![2])), "items");
    assert_eq!(refused(&new(vec![], 3, ordered(0), vec![2])), "positions");
    assert_eq!(refused(&new(vec![], 0, ordered(4), vec![0])), "vocabulary");
    assert_eq!(refused(&new(vec![0; 256], 1, ordered(1), vec![2; 256])), "depth");
    let scales = TokenLayout::Scales { counts: vec![1; MAX_SCALES + 1] };
    assert_eq!(refused(&new(vec![0; MAX_SCALES + 1], 1, scales, vec![2])), "scales");
    let one = || TokenFile::new(tokens(1, ordered(4), &[2]));
    let picture = |width, height, tile| one().with_picture(PictureInfo { width, height, tile, overlap: 0 });
    assert_eq!(refused(&picture(0, 5, None)), "picture width");
    assert_eq!(refused(&picture(5, 0, None)), "picture height");
    assert_eq!(refused(&picture(5, 5, Some(0))), "tile side");
    assert_eq!(refused(&picture(5, 5, Some(4))), "items");
    let overlap = |tile, overlap| one().with_picture(PictureInfo { width: 5, height: 5, tile, overlap });
    assert_eq!(refused(&overlap(Some(8), 4)), "tile overlap");
    assert_eq!(refused(&overlap(Some(8), u32::MAX)), "tile overlap");
    assert_eq!(refused(&overlap(None, 1)), "tile overlap");
}

/// 40 x 20 pixels in tiles of 20 that overlap by 4: 3 x 1 tiles.
fn overlapped() -> TokenFile {
    TokenFile::new(tokens(3, ordered(4), &[5])).with_picture(PictureInfo::tiled(40, 20, 20, 4))
}

#[test]
fn an_overlap_makes_a_file_of_version_2_and_nothing_else_does() {
    let bytes = write_tsr(&overlapped()).unwrap();
    assert_eq!((bytes[4], bytes[5]), (2, 0b10_0000));
    assert_eq!(bytes[48..64], [40, 0, 0, 0, 20, 0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(read_tsr(&bytes, false).unwrap(), overlapped());
    let text = |file: &TokenFile| String::from_utf8_lossy(&write_safetensors(file).unwrap()).into_owned();
    assert!(text(&overlapped()).contains(r#""tessera_tokens":"2""#));
    assert!(text(&golden_file()).contains(r#""tessera_tokens":"1""#));
    assert_eq!(write_tsr(&golden_file()).unwrap()[4], 1);
}

#[test]
fn a_hostile_overlap_is_refused() {
    let what = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = write_tsr(&overlapped()).unwrap();
        change(&mut bytes);
        repair(&mut bytes);
        match read_tsr(&bytes, false).unwrap_err() {
            TokenFileError::Field { what, .. } => what,
            error => panic!("{error}"),
        }
    };
    let number = |bytes: &mut Vec<u8>, number: u32| bytes[60..64].copy_from_slice(&number.to_le_bytes());
    for overlap in [0, 10, 19, 20, 21, u32::MAX] {
        assert_eq!(what(&|bytes| number(bytes, overlap)), "tile overlap", "{overlap}");
    }
    // A wider picture needs more tiles.
    assert_eq!(what(&|bytes| bytes[48] = 60), "items");
    // A version without the field, and the version of the field without it.
    assert_eq!(what(&|bytes| bytes[4] = 1), "picture");
    for form in [0, 1, 3] {
        assert_eq!(what(&|bytes| bytes[5] = form << 4), "picture");
    }
}

#[test]
fn a_few_kept_tokens_of_very_many_are_refused_by_the_writer_as_by_the_reader() {
    let layout = ordered(5 << 20);
    let few = Tokens::new(vec![1; 5 << 20], 1, layout, vec![2], Fingerprint::default()).unwrap();
    let whole = write_tsr(&TokenFile::new(few.clone())).unwrap();
    assert_eq!(read_tsr(&whole, false).unwrap().tokens, few);
    assert!(matches!(read_tsr(&whole[..2000], true), Err(TokenFileError::TooManyIds { .. })));
    assert_eq!(read_tsr(&whole[..20_480], true).unwrap().cut.unwrap().expected, 5 << 20);
    let few = TokenFile::new(few.prefix(8).unwrap());
    assert!(matches!(write_tsr(&few), Err(TokenFileError::TooManyIds { .. })));
}

#[test]
fn the_safetensors_crate_reads_what_is_written() {
    let tokens = tokens(2, TokenLayout::Grid { height: 2, width: 3 }, &[9, 70000]);
    let marks: Vec<bool> = (0..12).map(|at| at % 5 != 1).collect();
    let file = TokenFile::new(tokens.with_kept(marks.clone()).unwrap());
    let file = file.with_picture(PictureInfo::tiled(30, 16, 16, 0));
    let bytes = write_safetensors(&file).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let (ids, kept) = (read.tensor("ids").unwrap(), read.tensor("kept").unwrap());
    assert_eq!((ids.dtype(), ids.shape()), (Dtype::I64, [2, 6, 2].as_slice()));
    assert_eq!((kept.dtype(), kept.shape()), (Dtype::BOOL, [2, 6].as_slice()));
    let numbers = ids.data().chunks(8).map(|id| i64::from_le_bytes(id.try_into().unwrap()));
    assert!(numbers.eq(file.tokens.ids().iter().map(|&id| i64::from(id))));
    assert!(kept.data().iter().map(|&mark| mark == 1).eq(marks));
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    let expected = [
        ("tessera_tokens", "1"),
        ("layout", r#"{"grid":{"height":2,"width":3}}"#),
        ("vocab", "[9,70000]"),
        ("fingerprint", &"07".repeat(32)),
        ("picture", r#"{"width":30,"height":16}"#),
        ("tile", "16"),
    ];
    assert_eq!(metadata.len(), expected.len());
    for (key, value) in expected {
        assert_eq!(metadata.get(key).map(String::as_str), Some(value));
    }
}

#[test]
fn a_file_of_another_safetensors_writer_is_read_and_a_wrong_one_refused() {
    let metadata = |changes: &[(&str, &str)]| {
        let base = [
            ("format", "pt"),
            ("tessera_tokens", "1"),
            ("layout", r#"{"ordered": {"len": 3}}"#),
            ("vocab", "[6]"),
            ("fingerprint", &"ab".repeat(32)),
        ];
        let pairs = base.iter().chain(changes).map(|(key, value)| (key.to_string(), value.to_string()));
        Some(pairs.filter(|(_, value)| !value.is_empty()).collect())
    };
    let ids: Vec<u8> = [5_i64, 4, 3].iter().flat_map(|id| id.to_le_bytes()).collect();
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let read = |tensors: Vec<(&str, TensorView)>, changes: &[(&str, &str)]| {
        read_safetensors(&safetensors::serialize(tensors, metadata(changes)).unwrap())
    };
    let good = || ("ids", view(Dtype::I64, &[1, 3, 1], &ids));
    let kept = |data| ("kept", view(Dtype::U8, &[1, 3], data));
    assert_eq!(read(vec![good()], &[]).unwrap().tokens.ids(), [5, 4, 3]);
    assert_eq!(read(vec![good(), kept(&[1, 0, 1])], &[]).unwrap().tokens.ids(), [5, 0, 3]);

    let fails = |result: Result<TokenFile, TokenFileError>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    fails(read(vec![good(), kept(&[1, 0, 2])], &[]), "tensor kept: a token file needs marks of 0 or 1, found 2");
    fails(read(vec![good(), ("more", view(Dtype::U8, &[1], &[0]))], &[]), "unknown field `more`");
    fails(read(vec![kept(&[1, 0, 1])], &[]), "missing field `ids`");
    fails(read(vec![("ids", view(Dtype::F64, &[1, 3, 1], &ids))], &[]), "tensor ids: a token file needs I64");
    fails(read(vec![("ids", view(Dtype::I64, &[1, 3], &ids))], &[]), "found I64 [1, 3]");
    fails(read(vec![("ids", view(Dtype::I64, &[3, 1, 1], &ids))], &[]), "tensor ids");
    fails(read(vec![good()], &[("vocab", "[5]")]), "token id 5 at index 0");
    fails(read(vec![good()], &[("vocab", "[6, 6]")]), "tensor ids");
    fails(read(vec![good()], &[("vocab", "six")]), "metadata vocab");
    fails(read(vec![good()], &[("layout", r#"{"spiral": {"len": 3}}"#)]), "metadata layout");
    fails(read(vec![good()], &[("tessera_tokens", "3")]), "version 2 or older, found 3");
    fails(read(vec![good()], &[("fingerprint", "ab")]), "metadata fingerprint");
    fails(read(vec![good()], &[("tile", "16")]), "metadata picture");
    fails(read(vec![good()], &[("picture", r#"{"width":9,"height":9}"#), ("tile", "5")]), "needs 4, one for each");
    let size = ("picture", r#"{"width":9,"height":5}"#);
    let second = |tile, overlap| [("tessera_tokens", "2"), size, ("tile", tile), ("overlap", overlap)];
    fails(read(vec![good()], &second("5", "")), "metadata overlap");
    fails(read(vec![good()], &second("5", "0")), "metadata overlap");
    fails(read(vec![good()], &second("5", "-1")), "metadata overlap");
    fails(read(vec![good()], &second("5", "3")), "tile overlap");
    fails(read(vec![good()], &second("", "1")), "tile overlap");
    fails(read(vec![good()], &second("5", "1")), "needs 2, one for each");
    let negative: Vec<u8> = [-1_i64, 4, 3].iter().flat_map(|id| id.to_le_bytes()).collect();
    fails(read(vec![("ids", view(Dtype::I64, &[1, 3, 1], &negative))], &[]), "found -1");
    let whole = safetensors::serialize(vec![good()], metadata(&[])).unwrap();
    for end in 0..whole.len() {
        assert!(read_safetensors(&whole[..end]).is_err(), "cut at {end}");
    }
    fails(read_safetensors(&[whole.as_slice(), &[0]].concat()), "tensor data");
    fails(read_safetensors(&[0xff; 64]), "safetensors header");
}

#[test]
fn offsets_that_overflow_or_overlap_are_refused() {
    let bytes = write_safetensors(&TokenFile::new(tokens(1, ordered(2), &[9]).prefix(1).unwrap())).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header = std::str::from_utf8(header).unwrap();
    let read = |from: &str, to: &str| {
        assert!(header.contains(from), "{header}");
        let header = header.replace(from, to);
        let parts = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data];
        read_safetensors(&parts.concat())
    };
    assert!(read("[0,16]", "[0,16]").is_ok());
    for (from, to) in [
        ("[0,16]", "[2,18]"),
        ("[16,18]", "[0,2]"),
        ("[16,18]", "[14,16]"),
        ("[16,18]", "[18,20]"),
        ("[16,18]", "[18,16]"),
        ("[0,16]", "[18446744073709551600,18446744073709551616]"),
        ("[0,16]", "[18446744073709551599,18446744073709551615]"),
        ("[1,2,1]", "[18446744073709551615,2,1]"),
        ("[1,2,1]", "[0,2,1]"),
        ("[1,2,1]", "[]"),
    ] {
        assert!(read(from, to).is_err(), "{to} for {from}");
    }
}

#[test]
fn the_extension_chooses_the_format_and_a_save_replaces_the_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.tsr", "B.TSR", "c.safetensors"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "an older file").unwrap();
        save_tokens(&path, &golden_file()).unwrap();
        assert_eq!(load_tokens(&path, false).unwrap(), golden_file());
    }
    assert_eq!(std::fs::read(folder.path().join("a.tsr")).unwrap(), golden_bytes());
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["B.TSR", "a.tsr", "c.safetensors"], "no temporary file stays");
}

#[cfg(unix)]
#[test]
fn a_saved_file_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    std::fs::write(folder.path().join("plain"), "").unwrap();
    save_tokens(folder.path().join("a.tsr"), &golden_file()).unwrap();
    assert_eq!(mode("a.tsr"), mode("plain"));
}

#[test]
fn errors_of_saving_and_loading_name_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let named = |error: TokenFileError, path: &Path| {
        let text = error.to_string();
        assert!(text.starts_with(&path.display().to_string()), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        error
    };
    use TokenFileError as E;
    let save = |path: &Path| named(save_tokens(path, &golden_file()).unwrap_err(), path);
    assert!(matches!(save(&at("none/a.tsr")), E::NoFolder { .. }));
    assert!(matches!(save(&at("a.png")), E::Extension { .. }));
    assert!(matches!(save(Path::new("tsr")), E::Extension { .. }));
    std::fs::create_dir(at("folder.tsr")).unwrap();
    assert!(matches!(save(&at("folder.tsr")), E::Write { .. }));
    std::fs::write(at("file"), "").unwrap();
    assert!(matches!(save(&at("file/a.tsr")), E::NoFolder { .. }));

    let load = |path: &Path| named(load_tokens(path, false).unwrap_err(), path);
    assert!(matches!(load(&at("none.tsr")), E::Read { .. }));
    assert!(matches!(load(&at("folder.tsr")), E::Read { .. }));
    assert!(matches!(load(&at("a")), E::Extension { .. }));
    let bytes = golden_bytes();
    std::fs::write(at("cut.tsr"), &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(load(&at("cut.tsr")).kind(), E::Cut { present: 6, expected: 6 }));
    assert_eq!(load_tokens(at("cut.tsr"), true).unwrap().tokens, golden_file().tokens);
    std::fs::write(at("a.safetensors"), &bytes).unwrap();
    assert!(matches!(load(&at("a.safetensors")), E::InFile { .. }));
    let empty = TokenFile::new(Tokens::new(vec![], 0, ordered(1), vec![2], Fingerprint::default()).unwrap());
    let error = named(save_tokens(at("empty.tsr"), &empty).unwrap_err(), &at("empty.tsr"));
    assert!(matches!(error.kind(), E::Field { what: "items", .. }));
    assert!(!at("empty.tsr").exists());
    let long = std::fs::File::create(at("long.tsr")).unwrap();
    long.set_len(tessera_tokenizers::token_file::MAX_FILE_BYTES + 1).unwrap();
    assert!(matches!(load(&at("long.tsr")).kind(), E::Field { what: "file", .. }));
}
