//! One line of code that reads a result's files without coldframe, in several languages.
//!
//! ```
//! # use std::sync::Arc;
//! # use arrow::array::{Int64Array, RecordBatch};
//! # use coldframe::ResultStore;
//! use coldframe::snippet::snippets;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let store = ResultStore::open(folder.path().to_str().unwrap_or_default()).await?;
//! # let batch = RecordBatch::try_from_iter([("fare", Arc::new(Int64Array::from(vec![12, 7])) as _)])?;
//! let reference = store.put("etl/trips", batch).await?;
//! for snippet in snippets(&reference) {
//!     println!("{}: {}", snippet.language, snippet.code);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::PathBuf;

use url::Url;

use crate::reference::{Descriptor, ResultReference};

/// Code that reads the files of one result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The language, as it writes itself: `Python`, `DuckDB`, `Rust`, `R` or `JavaScript`.
    pub language: &'static str,
    /// The code: one line, with the paths of the files in it, spelled as the language wants it.
    pub code: String,
}

/// How to read the files of `reference` without coldframe: one snippet a language, in a fixed order.
///
/// There are none for a compact reference, for one that does not say where its store lies, for a literal, and for files
/// that are compressed as a whole; otherwise those languages that can read the files where they lie. The Rust code reads
/// the first part only, every other one all parts. The code expects the language's usual packages: `pyarrow` (and
/// `pandas`), DuckDB, the crates `arrow` and `parquet`, R's `arrow`, and for JavaScript `hyparquet` with
/// `hyparquet-compressors`, or `apache-arrow`.
///
/// The tests run the snippets for Python, DuckDB, and JavaScript (Parquet). Those for R, for Rust, and for Arrow files in
/// JavaScript are not run by any test.
pub fn snippets(reference: &ResultReference) -> Vec<Snippet> {
    let (Some(root), Some(written)) = (reference.storage(), reference.written()) else { return Vec::new() };
    let places: Vec<Place> = written.parts.iter().map(|part| Place::new(root, &part.path)).collect();
    all(&written.serializer, &places)
}

/// Where one data object lies: a file of this machine, or an object of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
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
    pub(crate) fn new(root: &str, path: &str) -> Self {
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
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Object { scheme, name } => format!("{scheme}://{name}"),
        }
    }

    /// The bucket and name of an object of that scheme.
    fn name_in(&self, wanted: &str) -> Option<&str> {
        match self {
            Self::Object { scheme, name } if scheme == wanted => Some(name),
            _ => None,
        }
    }
}

fn all(serializer: &Descriptor, places: &[Place]) -> Vec<Snippet> {
    let Some(first) = places.first() else { return Vec::new() };
    let codes = match serializer.name() {
        "parquet" => vec![
            ("Python", python_parquet(places)),
            ("DuckDB", duckdb(places)),
            (
                "Rust",
                rust(first, "parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new", ".build()?"),
            ),
            ("R", r(places, "arrow::read_parquet")),
            ("JavaScript", javascript_parquet(places)),
        ],
        "arrow" => vec![
            ("Python", python_arrow(places)),
            ("Rust", rust(first, "arrow::ipc::reader::FileReader::try_new", "")),
            ("R", r(places, "arrow::read_ipc_file")),
            ("JavaScript", javascript_arrow(serializer, places)),
        ],
        "json" => {
            vec![("Python", quoted(first).map(|path| format!("import json; value = json.load(open({path}))")))]
        }
        "bytes" => vec![("Python", quoted(first).map(|path| format!("value = open({path}, \"rb\").read()")))],
        _ => Vec::new(),
    };
    codes.into_iter().filter_map(|(language, code)| Some(Snippet { language, code: code? })).collect()
}

fn local(place: &Place) -> Option<&str> {
    match place {
        Place::File(path) => path.to_str(),
        Place::Object { .. } => None,
    }
}

/// A local path between double quotes, as Python, R and JavaScript spell it.
fn quoted(place: &Place) -> Option<String> {
    local(place).map(double_quoted)
}

fn all_quoted(places: &[Place]) -> Option<Vec<String>> {
    places.iter().map(quoted).collect()
}

/// A text between double quotes as JSON spells it, which these languages do as well: characters beyond ASCII stay.
fn double_quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn python_parquet(places: &[Place]) -> Option<String> {
    // Without the options, a key such as `day=2026-11-20/trips` would add a column `day`.
    let plain = "partitioning=None";
    for (scheme, filesystem) in [("s3", "S3FileSystem"), ("gs", "GcsFileSystem")] {
        if let Some(names) = places.iter().map(|place| place.name_in(scheme)).collect::<Option<Vec<&str>>>() {
            let names = python_list(&names.into_iter().map(double_quoted).collect::<Vec<_>>());
            return Some(format!(
                "import pyarrow.parquet as pq, pyarrow.fs as fs; df = pq.read_table({names}, {plain}, filesystem=fs.{filesystem}()).to_pandas()"
            ));
        }
    }
    let paths = python_list(&all_quoted(places)?);
    Some(format!("import pyarrow.parquet as pq; df = pq.read_table({paths}, {plain}).to_pandas()"))
}

fn python_arrow(places: &[Place]) -> Option<String> {
    Some(match all_quoted(places)?.as_slice() {
        [only] => format!("import pyarrow as pa; table = pa.ipc.open_file(pa.memory_map({only})).read_all()"),
        several => format!(
            "import pyarrow as pa; table = pa.concat_tables(pa.ipc.open_file(pa.memory_map(f)).read_all() for f in {})",
            python_list(several)
        ),
    })
}

fn python_list(texts: &[String]) -> String {
    match texts {
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

fn r(places: &[Place], read: &str) -> Option<String> {
    Some(match all_quoted(places)?.as_slice() {
        [only] => format!("df <- {read}({only})"),
        several => format!("df <- do.call(rbind, lapply(c({}), {read}))", several.join(", ")),
    })
}

fn javascript_parquet(places: &[Place]) -> Option<String> {
    let read =
        |path: &str| format!("await parquetReadObjects({{ file: await asyncBufferFromFile({path}), compressors }})");
    let rows = match all_quoted(places)?.as_slice() {
        [only] => read(only),
        several => format!("(await Promise.all([{}].map(async (f) => {}))).flat()", several.join(", "), read("f")),
    };
    Some(format!(
        "import {{ asyncBufferFromFile, parquetReadObjects }} from \"hyparquet\"; import {{ compressors }} from \"hyparquet-compressors\"; const rows = {rows};"
    ))
}

fn javascript_arrow(serializer: &Descriptor, places: &[Place]) -> Option<String> {
    // The library knows the codecs of compressed files, but brings none of them.
    serializer.get("compression").and_then(serde_json::Value::as_str).filter(|codec| *codec == "none")?;
    let table = match all_quoted(places)?.as_slice() {
        [only] => format!("tableFromIPC(readFileSync({only}))"),
        several => format!(
            "[{}].map((f) => tableFromIPC(readFileSync(f))).reduce((all, next) => all.concat(next))",
            several.join(", ")
        ),
    };
    Some(format!(
        "import {{ readFileSync }} from \"node:fs\"; import {{ tableFromIPC }} from \"apache-arrow\"; const table = {table};"
    ))
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
        let code: Vec<&str> = snippets.iter().map(|snippet| snippet.code.as_str()).collect();
        assert!(code[0].contains(r#"read_table("/a 'b' \"c\"/[x]*?/100%25.parquet", "#), "{}", code[0]);
        assert!(code[1].contains(r#"read_parquet('/a ''b'' "c"/[[]x][*][?]/100%25.parquet', "#), "{}", code[1]);
        assert!(code[2].contains(r#"open("/a 'b' \"c\"/[x]*?/100%25.parquet")?)?.build()?;"#), "{}", code[2]);
        assert!(code[3].contains(r#"read_parquet("/a 'b' \"c\"/[x]*?/100%25.parquet")"#), "{}", code[3]);
        assert!(code[4].contains(r#"asyncBufferFromFile("/a 'b' \"c\"/[x]*?/100%25.parquet")"#), "{}", code[4]);
        assert!(code.iter().all(|code| !code.contains('\n')));
        assert_eq!(duckdb_text("/a\\b[1]"), "'/a\\b[1]'");
    }

    #[test]
    fn several_parts_make_a_list() {
        let places = [Place::File("/a".into()), Place::File("/b".into())];
        let snippets = all(&Descriptor::new("parquet"), &places);
        assert!(snippets[0].code.contains(r#"["/a", "/b"]"#));
        assert!(snippets[1].code.contains("['/a', '/b']"));
        assert!(snippets[3].code.contains(r#"c("/a", "/b")"#));
        assert!(snippets[4].code.contains(r#"["/a", "/b"].map("#));
        assert!(all(&Descriptor::new("compressed"), &places).is_empty());
    }

    #[test]
    fn an_object_has_only_what_can_read_it_there() {
        let languages = |root: &str, serializer: &Descriptor| {
            let places = [Place::new(root, "data/a/w")];
            all(serializer, &places).iter().map(|snippet| snippet.language).collect::<Vec<_>>()
        };
        assert_eq!(languages("s3://bucket", &Descriptor::new("parquet")), ["Python", "DuckDB"]);
        assert_eq!(languages("az://container", &Descriptor::new("parquet")), ["DuckDB"]);
        assert!(languages("gs://bucket", &Descriptor::new("arrow")).is_empty());
        let arrow = |codec: &str| Descriptor::new("arrow").with("compression", codec);
        assert_eq!(languages("file:///s", &arrow("none")), ["Python", "Rust", "R", "JavaScript"]);
        assert_eq!(languages("file:///s", &arrow("zstd")), ["Python", "Rust", "R"]);
    }
}
