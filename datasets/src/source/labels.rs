//! Tables of labels: CSV with a header line and a column `file`.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::settings::DataSource;
use crate::error::{DatasetError, Result};

/// The largest table that is read (1 GiB); a record cannot take more memory either.
const MAX_TABLE_BYTES: u64 = 1 << 30;
/// How many splits an error message names.
const NAMED_SPLITS: usize = 8;

/// What one row says about its file.
pub(super) struct Row {
    pub label: Option<u32>,
    pub caption: Option<String>,
    pub may_flip: bool,
}

/// The rows of the wanted split by file.
pub(super) struct Table {
    pub rows: HashMap<String, Row>,
    /// Whether a column `split` has chosen the rows.
    pub split_known: bool,
}

/// Where the columns are that the settings ask for.
struct Columns<'a> {
    file: usize,
    split: Option<(usize, &'a str)>,
    caption: Option<usize>,
    class: Option<(usize, &'a str)>,
    /// Columns whose values go before the caption.
    tags: Vec<(usize, &'a str)>,
    /// Column and value; whether a row has shown it.
    no_flip: Vec<(usize, &'a str, bool)>,
}

/// Reads the table at `path` with the columns that `settings` asks for.
///
/// # Errors
/// Those of reading, and [`DatasetError::Labels`] for a missing column, a ragged or repeated row, a class that is no
/// integer, a value of `no_flip` or a split that no row has.
pub(super) fn read(path: &Path, settings: &DataSource) -> Result<Table> {
    let mut reader = open_table(path)?;
    let header = reader.headers().map_err(|error| table_error(path, error))?.clone();
    let mut columns = Columns::find(path, &header, settings)?;
    let mut table = Table { rows: HashMap::new(), split_known: columns.split.is_some() };
    let mut splits = BTreeSet::new();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| table_error(path, error))? {
        let line = record.position().map_or(0, csv::Position::line);
        let (file, row) = columns.row(path, line, &record)?;
        if let Some((column, wanted)) = columns.split {
            let split = record.get(column).unwrap_or("");
            if split != wanted {
                if splits.len() < NAMED_SPLITS && !splits.contains(split) {
                    splits.insert(split.to_owned());
                }
                continue;
            }
        }
        if table.rows.insert(file.to_owned(), row).is_some() {
            return Err(wrong_row(path, line, "one row for each file", format!("another one for {file:?}")));
        }
    }
    columns.check_no_flip(path)?;
    match columns.split {
        Some((_, wanted)) if table.rows.is_empty() => {
            Err(wrong_row(path, 1, &format!("rows of the split {wanted:?}"), format!("only those of {splits:?}")))
        }
        _ => Ok(table),
    }
}

/// A table, to be read line by line.
pub(crate) fn open_table(path: &Path) -> Result<csv::Reader<File>> {
    let file = File::open(path).map_err(|error| DatasetError::reading(path, error))?;
    let length = file.metadata().map_err(|error| DatasetError::reading(path, error))?.len();
    if length > MAX_TABLE_BYTES {
        let name = path.display().to_string();
        return Err(DatasetError::FileTooLarge { name, bytes: length, limit: MAX_TABLE_BYTES });
    }
    Ok(csv::Reader::from_reader(file))
}

impl<'a> Columns<'a> {
    fn find(path: &Path, header: &StringRecord, settings: &'a DataSource) -> Result<Self> {
        let optional = |name: &str| header.iter().position(|found| found == name);
        let needed = |name: &str| {
            let names: Vec<_> = header.iter().take(40).collect();
            optional(name).ok_or_else(|| wrong_row(path, 1, &format!("a column {name:?}"), format!("only {names:?}")))
        };
        let class = settings.class_column.as_deref().map(|name| Ok((needed(name)?, name))).transpose()?;
        let caption = match settings.caption_column.as_deref() {
            Some(name) => Some(needed(name)?),
            None => optional("caption"),
        };
        let rules = settings.no_flip_rules()?.into_iter();
        Ok(Self {
            file: needed("file")?,
            split: optional("split").zip(settings.split.as_deref()),
            caption,
            class,
            tags: settings.tags.iter().map(|name| Ok((needed(name)?, name.as_str()))).collect::<Result<_>>()?,
            no_flip: rules.map(|(column, value)| Ok((needed(column)?, value, false))).collect::<Result<_>>()?,
        })
    }

    /// The file that `record` is about, and what it says.
    fn row<'r>(&mut self, path: &Path, line: u64, record: &'r StringRecord) -> Result<(&'r str, Row)> {
        let field = |column: usize| record.get(column).unwrap_or("");
        let file = field(self.file);
        let file = file.strip_prefix("./").unwrap_or(file);
        let mut may_flip = true;
        for (column, value, seen) in &mut self.no_flip {
            if field(*column) == *value {
                (may_flip, *seen) = (false, true);
            }
        }
        let label = match self.class.map(|(column, name)| (field(column).trim(), name)) {
            None | Some(("", _)) => None,
            Some((text, name)) => Some(text.parse().map_err(|_| {
                let found = text.chars().take(40).collect::<String>();
                wrong_row(path, line, &format!("an integer from 0 on in the column {name:?}"), format!("{found:?}"))
            })?),
        };
        let tag = |(column, name): &(usize, &str)| {
            let value: Vec<&str> = field(*column).split_whitespace().collect();
            (!value.is_empty()).then(|| format!("{name}={}", value.join("_")))
        };
        let text = self.caption.map(field).filter(|text| !text.is_empty()).map(str::to_owned);
        let words: Vec<String> = self.tags.iter().filter_map(tag).chain(text).collect();
        let caption = (!words.is_empty()).then(|| words.join(" "));
        Ok((file, Row { label, caption, may_flip }))
    }

    /// A value that never occurs is a typing mistake, and would let samples be mirrored that must not be.
    fn check_no_flip(&self, path: &Path) -> Result<()> {
        match self.no_flip.iter().find(|(.., seen)| !seen) {
            None => Ok(()),
            Some((_, value, _)) => Err(wrong_row(
                path,
                1,
                &format!("the value {value:?}, which `no_flip` names"),
                "no row with it".to_owned(),
            )),
        }
    }
}

/// What is wrong in a line.
pub(crate) fn wrong_row(path: &Path, line: u64, expected: &str, found: String) -> DatasetError {
    DatasetError::Labels { path: PathBuf::from(path), line, expected: expected.to_owned(), found }
}

/// What the reader of CSV found wrong.
pub(crate) fn table_error(path: &Path, error: csv::Error) -> DatasetError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => DatasetError::reading(path, error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            wrong_row(path, line, &format!("{expected_len} fields"), len.to_string())
        }
        csv::ErrorKind::Utf8 { .. } => wrong_row(path, line, "UTF-8 text", "other bytes".to_owned()),
        other => wrong_row(path, line, "valid CSV", format!("{other:?}")),
    }
}
