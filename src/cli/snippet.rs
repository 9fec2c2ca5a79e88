//! One line of code that reads a result's files without coldframe, in several languages.

use std::path::PathBuf;

use url::Url;

use crate::reference::Descriptor;

/// Where one data object lies: a file of this machine, or an object of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// A file.
    File(PathBuf),
    /// An object: the scheme, and the bucket with the object's name, as it is.
    Object {
        /// `s3`, `gs`, `az` …
        scheme: String,
        /// The bucket, a slash, and the name.
        name: String,
    },
}

impl Place {
    /// Where the object `path` lies under the store `root`, which is a URL.
    pub(super) fn new(root: &str, path: &str) -> Self {
        let Ok(url) = Url::parse(root) else { return Self::File(PathBuf::from(root).join(path)) };
        if url.scheme() == "file"
            && let Ok(folder) = url.to_file_path()
        {
            return Self::File(folder.join(path));
        }
        let scheme = url.scheme().to_owned();
        let root = root.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
        Self::Object { scheme, name: format!("{root}/{path}") }
    }

    /// The place as people write it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Object { scheme, name } => format!("{scheme}://{name}"),
        }
    }

    fn is_object_of(&self, wanted: &str) -> bool {
        matches!(self, Self::Object { scheme, .. } if scheme == wanted)
    }
}

/// The snippets for files that a serializer of this descriptor wrote: the language's name, and the code.
pub(super) fn all(serializer: &Descriptor, places: &[Place]) -> Vec<(&'static str, String)> {
    let Some(first) = places.first() else { return Vec::new() };
    let mut snippets = Vec::new();
    let mut add = |language, code: Option<String>| snippets.extend(code.map(|code| (language, code)));
    match serializer.name() {
        "parquet" => {
            add("Python", python_parquet(places));
            add("DuckDB", duckdb(places));
            add(
                "Rust",
                rust(first, "parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new", ".build()?"),
            );
        }
        "arrow" => {
            add("Python", python_arrow(places));
            add("Rust", rust(first, "arrow::ipc::reader::FileReader::try_new", ""));
        }
        "json" => {
            add(
                "Python",
                local(first).map(|path| format!("import json; value = json.load(open({}))", python_text(path))),
            );
        }
        "bytes" => {
            add("Python", local(first).map(|path| format!("value = open({}, \"rb\").read()", python_text(path))));
        }
        _ => {}
    }
    snippets
}

fn local(place: &Place) -> Option<&str> {
    match place {
        Place::File(path) => path.to_str(),
        Place::Object { .. } => None,
    }
}

fn python_parquet(places: &[Place]) -> Option<String> {
    // Without the options, a key such as `day=2026-11-20/trips` would add a column `day`.
    let plain = "partitioning=None";
    if places.iter().all(|place| place.is_object_of("s3")) {
        let names: Vec<String> = places.iter().map(|place| python_text(name(place))).collect();
        let names = python_list(&names);
        return Some(format!(
            "import pyarrow.parquet as pq, pyarrow.fs as fs; df = pq.read_table({names}, {plain}, filesystem=fs.S3FileSystem()).to_pandas()"
        ));
    }
    if places.iter().all(|place| place.is_object_of("gs")) {
        let names: Vec<String> = places.iter().map(|place| python_text(name(place))).collect();
        let names = python_list(&names);
        return Some(format!(
            "import pyarrow.parquet as pq, pyarrow.fs as fs; df = pq.read_table({names}, {plain}, filesystem=fs.GcsFileSystem()).to_pandas()"
        ));
    }
    let paths: Option<Vec<String>> = places.iter().map(|place| local(place).map(python_text)).collect();
    Some(format!("import pyarrow.parquet as pq; df = pq.read_table({}, {plain}).to_pandas()", python_list(&paths?)))
}

fn python_arrow(places: &[Place]) -> Option<String> {
    let paths: Option<Vec<String>> = places.iter().map(|place| local(place).map(python_text)).collect();
    Some(match paths?.as_slice() {
        [only] => format!("import pyarrow as pa; table = pa.ipc.open_file(pa.memory_map({only})).read_all()"),
        several => format!(
            "import pyarrow as pa; table = pa.concat_tables(pa.ipc.open_file(pa.memory_map(f)).read_all() for f in {})",
            python_list(several)
        ),
    })
}

fn name(place: &Place) -> &str {
    match place {
        Place::Object { name, .. } => name,
        Place::File(path) => path.to_str().unwrap_or_default(),
    }
}

fn python_list(texts: &[String]) -> String {
    match texts {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// A text as Python spells it; JSON's spelling is the same, but for characters beyond 16 bits, which stay themselves.
fn python_text(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn duckdb(places: &[Place]) -> Option<String> {
    let names: Option<Vec<String>> = places
        .iter()
        .map(|place| match place {
            Place::File(path) => path.to_str().map(duckdb_text),
            Place::Object { scheme, .. } if scheme == "az" || scheme == "s3" || scheme == "gs" => {
                Some(duckdb_text(&place.shown()))
            }
            Place::Object { .. } => None,
        })
        .collect();
    let names = names?;
    let names = match names.as_slice() {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    Some(format!("SELECT * FROM read_parquet({names}, hive_partitioning = false);"))
}

/// A text as SQL spells it, with a class of one character for each that a glob would not take for itself.
fn duckdb_text(text: &str) -> String {
    // DuckDB's globs cannot match a backslash at all; where there is one, the plain name is found as a file.
    let globs = !text.contains('\\');
    let mut spelled = String::with_capacity(text.len() + 2);
    for character in text.chars() {
        match character {
            '*' | '?' | '[' if globs => spelled.extend(['[', character, ']']),
            '\'' => spelled.push_str("''"),
            _ => spelled.push(character),
        }
    }
    format!("'{spelled}'")
}

fn rust(first: &Place, open: &str, then: &str) -> Option<String> {
    let path = local(first)?;
    let more = if then.is_empty() { ", None" } else { "" };
    Some(format!("let batches = {open}(std::fs::File::open({path:?})?{more})?{then};"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let file = Place::new("file:///data/my%20store", "data/100%25 %5Bx%5D/w.parquet");
        assert_eq!(file.shown(), "/data/my store/data/100%25 %5Bx%5D/w.parquet");
        let object = Place::new("s3://bucket/results/", "data/a/w.parquet");
        assert_eq!(object.shown(), "s3://bucket/results/data/a/w.parquet");
        assert_eq!(Place::new("/plain", "data/x").shown(), "/plain/data/x");
    }

    #[test]
    fn every_language_spells_odd_names() {
        let place = Place::File("/a 'b' \"c\"/[x]*?/100%25.parquet".into());
        let snippets = all(&Descriptor::new("parquet"), &[place]);
        let code: Vec<&str> = snippets.iter().map(|(_, code)| code.as_str()).collect();
        assert!(code[0].contains(r#"read_table("/a 'b' \"c\"/[x]*?/100%25.parquet", "#), "{}", code[0]);
        assert!(code[1].contains(r#"read_parquet('/a ''b'' "c"/[[]x][*][?]/100%25.parquet', "#), "{}", code[1]);
        assert!(code[2].contains(r#"open("/a 'b' \"c\"/[x]*?/100%25.parquet")?)?.build()?;"#), "{}", code[2]);
        assert!(snippets.iter().all(|(_, code)| !code.contains('\n')));
        assert_eq!(duckdb_text("/a\\b[1]"), "'/a\\b[1]'");
    }

    #[test]
    fn several_parts_make_a_list() {
        let places = [Place::File("/a".into()), Place::File("/b".into())];
        let snippets = all(&Descriptor::new("parquet"), &places);
        assert!(snippets[0].1.contains(r#"["/a", "/b"]"#));
        assert!(snippets[1].1.contains("['/a', '/b']"));
        assert!(all(&Descriptor::new("compressed"), &places).is_empty());
    }
}
