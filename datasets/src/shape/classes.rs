//! Classes of meshes, by a table.

use std::collections::HashMap;
use std::path::{Component, Path};

use csv::StringRecord;

use super::error::Result;
use crate::source::{open_table, table_error, wrong_row};

/// Which class each mesh is of: a CSV table with a header line, whose column `file` holds paths within the folder of the meshes, `/`
/// between their parts, or whose column `name` holds file names without their endings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshClasses {
    /// Whether rows name files by their paths.
    by_path: bool,
    classes: HashMap<String, String>,
}

impl MeshClasses {
    /// Reads the classes of the column `class`. Rows without one are passed over.
    ///
    /// # Errors
    /// [`DatasetError::Labels`](crate::DatasetError::Labels) for a missing column, or a ragged or repeated row; those of reading.
    pub fn read(path: impl AsRef<Path>, class: &str) -> Result<Self> {
        let path = path.as_ref();
        let mut reader = open_table(path)?;
        let header = reader.headers().map_err(|error| table_error(path, error))?.clone();
        let names: Vec<&str> = header.iter().take(40).collect();
        let column = |name: &str| header.iter().position(|found| found == name);
        let missing = |name: &str| wrong_row(path, 1, &format!("a column {name}"), format!("only {names:?}"));
        let class = column(class).ok_or_else(|| missing(&format!("{class:?}")))?;
        let (by_path, file) = match (column("file"), column("name")) {
            (Some(file), _) => (true, file),
            (None, Some(name)) => (false, name),
            (None, None) => return Err(missing("\"file\" or \"name\"").into()),
        };
        let mut classes = HashMap::new();
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| table_error(path, error))? {
            let field = |column: usize| record.get(column).unwrap_or("").trim();
            let (file, class) = (field(file), field(class));
            if class.is_empty() {
                continue;
            }
            if classes.insert(file.strip_prefix("./").unwrap_or(file).to_owned(), class.to_owned()).is_some() {
                let line = record.position().map_or(0, csv::Position::line);
                return Err(wrong_row(path, line, "one row for each mesh", format!("another one for {file:?}")).into());
            }
        }
        Ok(Self { by_path, classes })
    }

    /// The class of the mesh at `path` below `folder`; `None` if no row is about it.
    pub fn of(&self, folder: &Path, path: &Path) -> Option<&str> {
        let key = if self.by_path {
            let parts = path.strip_prefix(folder).ok()?.components().map(|part| match part {
                Component::Normal(part) => part.to_str(),
                _ => None,
            });
            parts.collect::<Option<Vec<_>>>()?.join("/")
        } else {
            path.file_stem()?.to_str()?.to_owned()
        };
        self.classes.get(&key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rows_name_meshes_by_path_or_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("table.csv");
        let read = |text: &str, class: &str| {
            fs::write(&table, text).unwrap();
            MeshClasses::read(&table, class)
        };
        let meshes = Path::new("meshes");
        let by_path = read("file,kind\na/b.ply,tree\n./c.obj,house\nd.stl,\n", "kind").unwrap();
        let class = |path: &str| by_path.of(meshes, &meshes.join(path));
        assert_eq!(
            [class("a/b.ply"), class("c.obj"), class("d.stl"), class("b.ply")],
            [Some("tree"), Some("house"), None, None]
        );
        let by_name = read("name,kind\nb,tree\n", "kind").unwrap();
        assert_eq!(by_name.of(meshes, Path::new("meshes/deep/b.glb")), Some("tree"));

        for (text, class, part) in [
            ("file,kind\na,b\n", "class", "a column \"class\""),
            ("mesh,kind\na,b\n", "kind", "\"file\" or \"name\""),
            ("file,kind\na,b\na,c\n", "kind", "another one for \"a\""),
            ("file,kind\na\n", "kind", "2 fields"),
        ] {
            let error = read(text, class).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
