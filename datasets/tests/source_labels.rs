//! Tables of labels, splits and settings.

mod common;

use std::collections::BTreeSet;

use common::{flat, folder_of};
use tessera_datasets::{Background, Crop, DataSource, DatasetError, Source, validation};

/// A folder with images `0.png`, `1.png`, ... and the table `labels.csv`.
fn labelled(images: usize, table: &str) -> (tempfile::TempDir, DataSource) {
    let mut files: Vec<_> = (0..images).map(|number| (format!("in/{number}.png"), flat(4, [9; 3]))).collect();
    files.push(("labels.csv".to_owned(), table.as_bytes().to_vec()));
    let folder = folder_of(&files);
    let settings =
        DataSource { labels: Some(folder.path().join("labels.csv")), ..DataSource::new(folder.path().join("in")) };
    (folder, settings)
}

fn refused(table: &str, change: impl Fn(&mut DataSource)) -> DatasetError {
    let (_folder, mut settings) = labelled(2, table);
    change(&mut settings);
    Source::open(&settings, 4).unwrap_err()
}

#[test]
fn quoted_fields_byte_order_marks_and_windows_line_ends_are_understood() {
    let table = "\u{feff}caption,file,class\r\n\"red, \"\"round\"\"\r\nand bright\",./0.png,3\r\n,1.png,\r\n";
    let (_folder, mut settings) = labelled(2, table);
    settings.class_column = Some("class".into());
    let all = validation(&settings, 4, 10).unwrap();
    assert_eq!(all[0].caption.as_deref(), Some("red, \"round\"\r\nand bright"));
    assert_eq!((all[0].label, all[1].label), (Some(3), None));
    assert_eq!(all[1].caption, None);
}

#[test]
fn tags_go_before_the_caption_that_is_asked_for() {
    let table = "file,style,group,name,caption\n0.png,noto,animals and nature,red cat,a caption\n1.png,,food,,other\n";
    let (_folder, mut settings) = labelled(2, table);
    settings.tags = vec!["style".into(), "group".into()];
    settings.caption_column = Some("name".into());
    let all = validation(&settings, 4, 10).unwrap();
    assert_eq!(all[0].caption.as_deref(), Some("style=noto group=animals_and_nature red cat"));
    assert_eq!(all[1].caption.as_deref(), Some("group=food"));
    for column in ["tags", "caption_column"] {
        let error = refused(table, |settings| match column {
            "tags" => settings.tags = vec!["colour".into()],
            _ => settings.caption_column = Some("colour".into()),
        });
        assert!(error.to_string().contains("\"colour\""), "{error}");
        let without = DataSource { labels: None, tags: vec!["a".into()], ..DataSource::new("x") };
        assert!(matches!(without.check(), Err(DatasetError::Setting { setting: "tags", .. })));
    }
}

#[test]
fn the_table_decides_what_belongs_and_its_split_column_what_is_kept() {
    let table = "file,split\n0.png,train\n2.png,val\n3.png,train\n";
    let (_folder, mut settings) = labelled(5, table);
    let keys = |settings: &DataSource| -> Vec<String> {
        Source::open(settings, 4).unwrap().keys().map(str::to_owned).collect()
    };
    assert_eq!(keys(&settings), ["0.png", "2.png", "3.png"]);
    settings.split = Some("train".into());
    assert_eq!(keys(&settings), ["0.png", "3.png"]);
    settings.split = Some("dev".into());
    let error = Source::open(&settings, 4).unwrap_err().to_string();
    assert!(error.contains("dev") && error.contains("val"), "{error}");
}

#[test]
fn rows_without_an_image_are_counted_and_the_first_is_named() {
    let error = refused("file\n0.png\nnone.png\nalso.png\n", |_| ());
    match &error {
        DatasetError::LabelledFilesMissing { missing: 2, first, .. } => assert_eq!(first, "also.png"),
        other => panic!("{other}"),
    }
    // A row of another split may lack its image.
    let (_folder, mut settings) = labelled(1, "file,split\n0.png,train\nnone.png,test\n");
    settings.split = Some("train".into());
    assert_eq!(Source::open(&settings, 4).unwrap().len(), 1);
}

#[test]
fn tables_that_cannot_be_used_are_refused_with_their_line() {
    let (nothing, class) = (None, Some("class".to_owned()));
    let cases = [
        ("name\n0.png\n", &nothing, "\"file\"", 1),
        ("", &nothing, "\"file\"", 1),
        ("file,a\n0.png,1\n1.png\n", &nothing, "2 fields", 3),
        ("file\n0.png\n0.png\n", &nothing, "another one", 3),
        ("file\n0.png\n", &class, "\"class\"", 1),
        ("file,class\n0.png,1\n1.png,cat\n", &class, "\"cat\"", 3),
        ("file,class\n0.png,-1\n", &class, "\"-1\"", 2),
        ("file,class\n0.png,4294967296\n", &class, "4294967296", 2),
    ];
    for (table, class, word, expected) in cases {
        let error = refused(table, |settings| settings.class_column.clone_from(class));
        let DatasetError::Labels { line, .. } = &error else { panic!("{table:?}: {error}") };
        assert_eq!(*line, expected, "{table:?}: {error}");
        assert!(error.to_string().contains(word), "{table:?}: {error}");
    }
    let (folder, settings) = labelled(1, "");
    std::fs::write(folder.path().join("labels.csv"), b"file\n\xff\xfe.png\n").unwrap();
    assert!(matches!(Source::open(&settings, 4), Err(DatasetError::Labels { .. })));
}

#[test]
fn rules_against_mirroring_have_to_name_what_exists() {
    let table = "file,group\n0.png,symbols\n1.png,food\n";
    for (rule, word) in [("group=symbol", "symbol"), ("grp=symbols", "grp")] {
        let error = refused(table, |settings| settings.no_flip = vec![rule.into()]);
        assert!(matches!(error, DatasetError::Labels { .. }) && error.to_string().contains(word), "{error}");
    }
    let error = refused(table, |settings| settings.no_flip = vec!["symbols".into()]);
    assert!(matches!(error, DatasetError::Setting { setting: "no_flip", .. }), "{error}");
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let settings = |change: fn(&mut DataSource)| {
        let mut settings = DataSource::new("somewhere");
        change(&mut settings);
        settings
    };
    let cases = [
        ("path", settings(|it| it.path = "".into())),
        ("holdout", settings(|it| it.holdout = 0.6)),
        ("holdout", settings(|it| it.holdout = f64::NAN)),
        ("weight", settings(|it| it.weight = 0.0)),
        ("weight", settings(|it| it.weight = f64::INFINITY)),
        ("scales", settings(|it| it.scales = [2.0, 1.0])),
        ("scales", settings(|it| it.scales = [0.0, 1.0])),
        ("scales", settings(|it| it.scales = [1.0, f64::NAN])),
        ("class_column", settings(|it| it.class_column = Some("id".into()))),
        ("no_flip", settings(|it| it.no_flip = vec!["a=b".into()])),
    ];
    for (name, settings) in cases {
        match Source::open(&settings, 4) {
            Err(DatasetError::Setting { setting, .. }) => assert_eq!(setting, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(Source::open(&DataSource::new("somewhere"), 0), Err(DatasetError::Zero { .. })));
    assert!(matches!(Source::open(&DataSource::new("somewhere"), u32::MAX), Err(DatasetError::TooLarge { .. })));
}

#[test]
fn hashed_splits_are_disjoint_complete_and_of_the_size_asked_for() {
    let files: Vec<_> = (0..1000).map(|number| (format!("{number}.png"), vec![])).collect();
    let folder = folder_of(&files);
    let keys = |split: &str| -> BTreeSet<String> {
        let settings = DataSource { split: Some(split.into()), holdout: 0.1, ..DataSource::new(folder.path()) };
        Source::open(&settings, 4).unwrap().keys().map(str::to_owned).collect()
    };
    let (train, val, test) = (keys("train"), keys("val"), keys("test"));
    assert!(train.is_disjoint(&val) && train.is_disjoint(&test) && val.is_disjoint(&test));
    assert_eq!(train.len() + val.len() + test.len(), 1000);
    assert!((75..125).contains(&val.len()) && (75..125).contains(&test.len()), "{} {}", val.len(), test.len());

    let none = DataSource { split: Some("val".into()), ..DataSource::new(folder.path()) };
    let error = Source::open(&none, 4).unwrap_err();
    assert!(matches!(error, DatasetError::NoSamples { .. }) && error.to_string().contains("holdout"), "{error}");
    let other = DataSource { split: Some("dev".into()), ..DataSource::new(folder.path()) };
    assert!(matches!(Source::open(&other, 4), Err(DatasetError::Setting { setting: "split", .. })));
}

#[test]
fn images_of_one_webdataset_sample_stay_in_one_split() {
    let both = |number: usize| [(format!("{number}.a.png"), vec![]), (format!("{number}.b.png"), vec![])];
    let folder = folder_of(&(0..200).flat_map(both).collect::<Vec<_>>());
    let settings = DataSource { split: Some("val".into()), holdout: 0.3, ..DataSource::new(folder.path()) };
    let source = Source::open(&settings, 4).unwrap();
    let keys: Vec<&str> = source.keys().collect();
    assert!(keys.len() > 50);
    for pair in keys.chunks(2) {
        assert_eq!(pair[0].split('.').next(), pair[1].split('.').next());
    }
}

#[test]
fn validation_is_spread_over_the_source_in_order() {
    let files: Vec<_> = (0..10).map(|number| (format!("{number}.png"), flat(4, [9; 3]))).collect();
    let folder = folder_of(&files);
    let settings = DataSource { crop: Crop::Random, flip: true, ..DataSource::new(folder.path()) };
    let keys = |limit| -> Vec<String> {
        validation(&settings, 2, limit).unwrap().into_iter().map(|example| example.key).collect()
    };
    assert_eq!(keys(4), ["0.png", "2.png", "5.png", "7.png"]);
    assert_eq!(keys(100).len(), 10);
    assert!(keys(0).is_empty());
}

#[test]
fn settings_survive_a_file_and_unknown_ones_are_refused() {
    let text = r#"{"path": "x", "crop": "random", "background": {"colour": [1, 2, 3]}, "scales": [1.0, 4.0]}"#;
    let read: DataSource = serde_json::from_str(text).unwrap();
    let expected = DataSource {
        crop: Crop::Random,
        background: Background::Colour([1, 2, 3]),
        scales: [1.0, 4.0],
        ..DataSource::new("x")
    };
    assert_eq!(read, expected);
    assert_eq!(serde_json::from_str::<DataSource>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
    let flat: DataSource = serde_json::from_str(r#"{"path": "x", "background": "random_flat"}"#).unwrap();
    assert_eq!(flat.background, Background::RandomFlat);
    assert!(serde_json::from_str::<DataSource>(r#"{"path": "x", "flips": true}"#).is_err());
}
