//! Other libraries open what a put wrote: the bare files, by their path, with no library of ours.
//!
//! They run Python and Node. Where an environment variable does not say where those are, a test says on stderr that it
//! was skipped; `tests/run` installs both and sets the variables.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int8Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use coldframe::snippet::{Snippet, snippets};
use coldframe::{Batches, Literal, NoResult, ResultLiteral, ResultRecord, ResultReference, ResultStore};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const PYTHON: &str = "COLDFRAME_TEST_PYTHON";
const NODE_MODULES: &str = "COLDFRAME_TEST_NODE_MODULES";

const TABLE_SERIALIZERS: [&str; 10] = [
    "parquet",
    "parquet/none",
    "parquet/snappy",
    "parquet/lz4",
    "parquet/zstd(3)",
    "parquet/gzip(6)",
    "arrow",
    "arrow/none",
    "arrow/lz4",
    "arrow/zstd(3)",
];

const ODD_KEYS: [&str; 15] = [
    "100% [x]*?",
    "a",
    "a/b",
    "Trips",
    "trips",
    "two words/and more",
    " leading and trailing ",
    "żółć/日本/🌱",
    "run=7/part=a",
    "it's \"quoted\" `here` $HOME",
    "back\\slash:colon|pipe<>",
    "%41%2F",
    "dot.",
    ".hidden",
    "#1?x=y&z",
];

#[tokio::test]
async fn pyarrow_polars_and_duckdb_see_the_same_table() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    let (schema, batches) = many_types()?;
    let expected = folder.path().join("expected.arrow");
    write_arrow(&expected, &concat_batches(&schema, &batches)?)?;
    let mut cases = Vec::new();
    for (number, serializer) in TABLE_SERIALIZERS.into_iter().enumerate() {
        let table = Batches::from_batches(schema.clone(), batches.clone());
        let reference = store.put(format!("tables/{number}").as_str(), table).serializer(serializer).await?;
        let format = serializer.split('/').next();
        cases.push(json!({"name": serializer, "format": format, "path": only_file(folder.path(), &reference)?}));
    }
    let cases = write_json(folder.path(), "cases.json", &json!({"expected": expected, "cases": cases}))?;
    python.run("same_table.py", [cases]).map(drop)
}

#[tokio::test]
async fn node_reads_a_reference_and_its_file() -> Outcome {
    let Some((node, node_modules)) = Program::node() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    for codec in ["parquet", "parquet/none", "parquet/snappy", "parquet/lz4", "parquet/gzip(6)"] {
        let flights = File::open(project("fixtures/flights.parquet"))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(flights)?.build()?;
        let reference = store.put("100% new york/flights", Batches::from_reader(reader)).serializer(codec).await?;
        let file = folder.path().join("reference.json");
        std::fs::write(&file, reference.to_json())?;
        let arguments = |column: &str| [node_modules.clone(), file.clone().into(), column.into()];
        let found: Value = serde_json::from_str(&node.run("read_reference.mjs", arguments("distance"))?)?;
        assert_eq!((&found["rows"], &found["columns"]), (&json!(80_789), &json!(19)), "{codec}");
        assert_eq!((&found["sum"], &found["nulls"]), (&json!(81_343_950), &json!(0)), "{codec}");
        assert_eq!(found["first"]["tailnum"], json!("N14228"), "{codec}");
        assert_eq!(found["first"]["time_hour"], json!("2013-01-01T10:00:00.000Z"), "{codec}");
        let found: Value = serde_json::from_str(&node.run("read_reference.mjs", arguments("dep_delay"))?)?;
        assert_eq!((&found["sum"], &found["nulls"]), (&json!(892_053), &json!(2_643)), "{codec}");
    }
    Ok(())
}

#[tokio::test]
async fn pandas_restores_its_frame_from_the_bare_file() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    for serializer in ["parquet", "arrow"] {
        let frame = pandas_frame(&python, folder.path(), "sorted")?;
        let reference = store.put("frames/departures", frame).serializer(serializer).await?;
        let file = only_file(folder.path(), &reference)?;
        python.run("pandas_frame.py", ["check".into(), "sorted".into(), serializer.into(), file.into()])?;
    }
    Ok(())
}

/// An ordered category that sorts differently afterwards is another table, and so is one without those that no row has.
/// pandas, reading the bare Parquet file, does not know of the dictionaries in its footer.
#[tokio::test]
async fn the_order_of_categories_comes_back() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    for serializer in ["parquet", "compressed(lz4)/parquet", "arrow"] {
        let frame = pandas_frame(&python, folder.path(), "unsorted")?;
        let reference = store.put("frames/unsorted", frame).serializer(serializer).strict().await?;
        let back = store.get(&reference).await?.into_table()?;
        let file = folder.path().join("back.arrow");
        write_arrow(&file, &back.to_batch()?)?;
        python.run("pandas_frame.py", ["check".into(), "unsorted".into(), "arrow".into(), file.into()])?;
    }
    Ok(())
}

/// Categories of any type come back as they were; the bare file is plain for every other reader.
#[tokio::test]
async fn categories_of_any_type_come_back_and_their_file_is_plain() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    for library in ["pandas", "polars"] {
        let frame = folder.path().join(format!("{library}.arrow"));
        python.run("dictionary_values.py", ["write".into(), library.into(), frame.clone().into()])?;
        let frame = Batches::from_reader(FileReader::try_new(File::open(frame)?, None)?);
        let reference = store.put(format!("frames/{library}").as_str(), frame).serializer("parquet").strict().await?;
        let file = only_file(folder.path(), &reference)?;
        python.run("dictionary_values.py", ["open".into(), library.into(), file.into()])?;
        let back = folder.path().join("back.arrow");
        write_arrow(&back, &store.get(&reference).await?.into_table()?.to_batch()?)?;
        python.run("dictionary_values.py", ["check".into(), library.into(), back.into()])?;
    }
    Ok(())
}

#[tokio::test]
async fn records_are_valid_by_their_json_schema() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let good = records_of_all_kinds(folder.path()).await?;
    assert!(good.len() > 20, "only {} records", good.len());
    let lines = folder.path().join("good.jsonl");
    std::fs::write(&lines, good.join("\n"))?;
    let schema = project("fixtures/schema/record.schema.json");
    let bad = project("tests/interop/bad_records.json");
    python.run("validate_records.py", [schema.into(), lines.into(), bad.into()]).map(drop)
}

#[test]
fn bad_records_are_refused() -> Outcome {
    let examples: Vec<Value> = serde_json::from_slice(&std::fs::read(project("tests/interop/bad_records.json"))?)?;
    assert!(!examples.is_empty());
    for example in examples {
        let accepted = ResultRecord::from_json(&example["record"].to_string()).is_ok();
        // The schema also knows rules that a reader checks later: when it opens the parts.
        assert_eq!(accepted, example["reader"] == json!("accepts"), "{}", example["why"]);
    }
    Ok(())
}

#[tokio::test]
async fn files_of_odd_keys_open_by_their_path() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    let mut files = Vec::new();
    for (number, key) in (0_i64..).zip(ODD_KEYS) {
        let keys: ArrayRef = Arc::new(StringArray::from(vec![key]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number]));
        let batch = RecordBatch::try_from_iter([("key", keys), ("number", numbers)])?;
        let reference = store.put(key, batch).await?;
        files.push(json!({"key": key, "number": number, "path": only_file(folder.path(), &reference)?}));
    }
    let files = write_json(folder.path(), "files.json", &json!(files))?;
    python.run("open_paths.py", [files]).map(drop)
}

/// What `coldframe show` prints, and the library gives, does read the files: of odd names, and of several parts.
#[tokio::test]
async fn snippets_in_python_and_sql_read_the_files() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let read = snippets_of_all_kinds(&folder.path().join("day=7 'żółć'")).await?;
    let (mut told, mut expected) = (Vec::new(), Vec::new());
    for (snippet, rows, sum) in
        read.into_iter().filter(|(snippet, ..)| ["Python", "DuckDB"].contains(&snippet.language))
    {
        told.push(json!({"language": snippet.language, "code": snippet.code}));
        expected.push(json!([rows, sum]));
    }
    assert!(told.len() > 2 * ODD_KEYS.len(), "only {} snippets", told.len());
    let file = write_json(folder.path(), "snippets.json", &json!(told))?;
    let found: Value = serde_json::from_str(&python.run("run_snippets.py", [file])?)?;
    assert_eq!(found, json!(expected));
    Ok(())
}

#[tokio::test]
async fn snippets_in_javascript_read_the_files() -> Outcome {
    let Some((node, node_modules)) = Program::node() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let read = snippets_of_all_kinds(&folder.path().join("day=7 'żółć'")).await?;
    // An import by name finds what lies beside the file.
    std::os::unix::fs::symlink(&node_modules, folder.path().join("node_modules"))?;
    let mut count = 0;
    // `apache-arrow` is not installed for the tests.
    let parquet = read.into_iter().filter(|(snippet, ..)| snippet.code.contains("hyparquet"));
    for (snippet, rows, sum) in parquet {
        let script = folder.path().join("snippet.mjs");
        let printed =
            "console.log(JSON.stringify([rows.length, rows.reduce((sum, row) => sum + Number(row.number), 0)]))";
        std::fs::write(&script, format!("{}\n{printed}\n", snippet.code))?;
        let output = Command::new(&node.0).arg(&script).output()?;
        assert!(output.status.success(), "{}\n{}", snippet.code, String::from_utf8_lossy(&output.stderr));
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout)?, json!([rows, sum]), "{}", snippet.code);
        count += 1;
    }
    assert!(count > ODD_KEYS.len(), "only {count} snippets");
    Ok(())
}

/// Snippets of results in a store below `folder`, and the rows and the sum of `number` that each must read.
async fn snippets_of_all_kinds(folder: &Path) -> Outcome<Vec<(Snippet, usize, i64)>> {
    let store = open(folder).await?;
    let table = |first: i64| {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values([first, first + 1, first + 2]));
        RecordBatch::try_from_iter([("number", numbers)])
    };
    let mut found = Vec::new();
    for (number, key) in (0_i64..).zip(ODD_KEYS) {
        let reference = store.put(key, table(number)?).await?;
        found.extend(snippets(&reference).into_iter().map(|snippet| (snippet, 3, 3 * number + 3)));
    }
    for serializer in ["arrow", "arrow/zstd", "parquet", "parquet/lz4", "parquet/gzip"] {
        let one = store.put("several parts", table(10)?).serializer(serializer).await?;
        let other = store.put("several parts", table(20)?).serializer(serializer).await?;
        found.extend(snippets(&one).into_iter().map(|snippet| (snippet, 3, 33)));
        let (mut both, other): (Value, Value) = (serde_json::to_value(&one)?, serde_json::to_value(&other)?);
        both["parts"] = json!([both["parts"][0], other["parts"][0]]);
        let both = ResultReference::from_json(&both.to_string())?;
        let whole = snippets(&both).into_iter().filter(|snippet| snippet.language != "Rust");
        found.extend(whole.map(|snippet| (snippet, 6, 96)));
    }
    Ok(found)
}

/// A program outside, and the folder of its scripts.
pub(crate) struct Program(OsString);

impl Program {
    pub(crate) fn python() -> Option<Self> {
        Some(Self(variable(PYTHON)?))
    }

    /// Node, and the folder where its modules lie.
    pub(crate) fn node() -> Option<(Self, OsString)> {
        Some((Self("node".into()), variable(NODE_MODULES)?))
    }

    /// Runs a script of `tests/interop` to its end; gives what it printed.
    pub(crate) fn run(&self, script: &str, arguments: impl IntoIterator<Item = OsString>) -> Outcome<String> {
        let output = Command::new(&self.0)
            .arg(project("tests/interop").join(script))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            .output()
            .map_err(|error| format!("{} does not start: {error}", self.0.display()))?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script} failed, {}\n{out}\n{err}", output.status);
        Ok(out.into_owned())
    }
}

/// The value of an environment variable; where it is not set, says that the test is skipped.
///
/// It writes to stderr itself, because the test harness swallows what `eprintln!` prints in a test that passes.
#[expect(clippy::disallowed_methods, reason = "the environment says what is installed for the tests")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    if value.is_none() {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("interop");
        let _ = writeln!(std::io::stderr(), "skipped: {test}: set {name}, or use tests/run");
    }
    value
}

/// A frame as pandas hands it over, in several batches.
fn pandas_frame(python: &Program, folder: &Path, kind: &str) -> Outcome<Batches> {
    let file = folder.join("frame.arrow");
    python.run("pandas_frame.py", ["write".into(), kind.into(), file.clone().into()])?;
    Ok(Batches::from_reader(FileReader::try_new(File::open(file)?, None)?))
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) async fn open(folder: &Path) -> Outcome<ResultStore> {
    let root = folder.join("store");
    Ok(ResultStore::open(root.to_str().ok_or("the folder's name is not UTF-8")?).await?)
}

/// The one data file of a reference, by its path alone.
pub(crate) fn only_file(folder: &Path, reference: &ResultReference) -> Outcome<PathBuf> {
    let parts = &reference.written().ok_or("the reference is not a full one")?.parts;
    assert_eq!(parts.len(), 1, "{reference} has {} parts", parts.len());
    let file = folder.join("store").join(&parts[0].path);
    assert_eq!(file.metadata()?.len(), parts[0].size, "{}", file.display());
    Ok(file)
}

pub(crate) fn write_json(folder: &Path, name: &str, value: &Value) -> Outcome<OsString> {
    let file = folder.join(name);
    std::fs::write(&file, value.to_string())?;
    Ok(file.into())
}

pub(crate) fn write_arrow(file: &Path, batch: &RecordBatch) -> Outcome {
    let mut writer = FileWriter::try_new(File::create(file)?, batch.schema_ref())?;
    writer.write(batch)?;
    Ok(writer.finish()?)
}

/// Records of every kind, as they are handed out and as they lie on the storage.
async fn records_of_all_kinds(folder: &Path) -> Outcome<Vec<String>> {
    let store = open(folder).await?;
    let (schema, batches) = many_types()?;
    let table = || Batches::from_batches(schema.clone(), batches.clone());
    let note = json!({"flow": "train", "tries": [1, 2], "nested": {"a": null}});
    let note = note.as_object().cloned().unwrap_or_default();
    let mut references = vec![
        store.put("records/parquet", table()).await?,
        store.put("records/parquet", table()).serializer("parquet/lz4").await?,
        store.put("records/arrow", table()).serializer("arrow/zstd(3)").await?,
        store.put("records/empty", Batches::from_batches(schema.clone(), vec![])).await?,
        store.put("records/json", json!({"answer": 42})).await?,
        store.put("records/bytes", b"seedlings".to_vec()).serializer("bytes(text/plain)").await?,
        store.put("records/compressed", json!(["a", "b"])).serializer("compressed(zstd)/json").await?,
        store.put("records/null", Literal::Null).await?,
        store.put("records/expiring", json!(1)).expires_in(Duration::from_secs(86_400)).await?,
        store.put("records/told", table()).title("Trips").description("By day.\nOf 2013.").metadata(note).await?,
    ];
    references.push(store.copy("records/told", &store).key("records/copied").await?.reference);
    for key in ODD_KEYS {
        references.push(store.put(format!("records/{key}").as_str(), json!("odd")).await?);
    }
    let mut records = Vec::new();
    for reference in references {
        records.push(ResultRecord::from(reference.compact()).to_json());
        records.push(ResultRecord::from(reference).to_json());
    }
    for literal in [Literal::Null, Literal::Bool(true), Literal::Bool(false)] {
        records.push(ResultRecord::from(ResultLiteral(literal)).to_json());
    }
    records.push(ResultRecord::from(NoResult).to_json());
    for file in files_below(&folder.join("store/refs"))? {
        if file.extension().is_some_and(|extension| extension == "json") {
            records.push(serde_json::from_slice::<Value>(&std::fs::read(&file)?)?.to_string());
        }
    }
    Ok(records)
}

fn files_below(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

/// A table in four batches, of the types that pyarrow, polars, DuckDB and Parquet all have. Each batch has another
/// dictionary.
fn many_types() -> Outcome<(Arc<Schema>, Vec<RecordBatch>)> {
    let batches = [0..1000, 1000..1001, 1001..1001, 1001..9000].map(batch_of_many_types);
    let batches = batches.into_iter().collect::<Outcome<Vec<_>>>()?;
    let marked = |field: &Arc<Field>| match field.name().as_str() {
        "price" => Field::clone(field).with_metadata([("unit".into(), "zł".into())].into()),
        _ => Field::clone(field),
    };
    let fields: Vec<Field> = batches[0].schema().fields().iter().map(marked).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, [("made by".into(), "a test".into())].into()));
    let batches = batches.into_iter().map(|batch| Ok(batch.with_schema(schema.clone())?));
    Ok((schema.clone(), batches.collect::<Outcome<_>>()?))
}

fn batch_of_many_types(rows: std::ops::Range<i32>) -> Outcome<RecordBatch> {
    let wide = || rows.clone().map(i64::from);
    let text = |row: i32| (row % 5 != 0).then(|| format!("żółć {row}"));
    let words = ["UA", "B6", "AA", ""];
    let carriers = rows.clone().map(|row| (row % 9 != 0).then(|| words[(row.unsigned_abs() % 4) as usize]));
    let lists = wide().map(|row| (row % 6 != 0).then(|| (0..row % 4).map(move |step| (step != 1).then_some(row))));
    let prices = wide().map(|row| (row % 4 != 0).then(|| i128::from(row) * 12_345 - 50_000_000));
    let pairs = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int32, true)), {
            Arc::new(rows.clone().map(|row| (row % 8 != 0).then_some(row)).collect::<Int32Array>()) as ArrayRef
        }),
        (Arc::new(Field::new("b", DataType::Utf8, true)), {
            Arc::new(rows.clone().map(text).collect::<StringArray>()) as ArrayRef
        }),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("tiny", Arc::new(wide().map(|row| i8::try_from(row % 200 - 100).ok()).collect::<Int8Array>())),
        ("large", Arc::new(wide().map(|row| u64::MAX - row.unsigned_abs()).collect::<UInt64Array>())),
        ("single", Arc::new(wide().map(|row| (row % 3 != 0).then_some(row as f32 / 3.0)).collect::<Float32Array>())),
        ("double", Arc::new(rows.clone().map(double).collect::<Float64Array>())),
        ("flag", Arc::new(wide().map(|row| (row % 10 != 0).then_some(row % 3 == 0)).collect::<BooleanArray>())),
        ("text", Arc::new(rows.clone().map(text).collect::<StringArray>())),
        ("bytes", Arc::new(wide().map(|row| (row % 7 != 0).then(|| row.to_le_bytes())).collect::<BinaryArray>())),
        ("date", Arc::new(rows.clone().map(|row| (row % 2 != 0).then_some(row - 4000)).collect::<Date32Array>())),
        ("time", Arc::new(Time64MicrosecondArray::from_iter_values(wide().map(|row| row * 1_000_001)))),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(wide().map(|row| row * 1_000_003)).with_timezone("UTC"),
            ),
        ),
        ("local", Arc::new(wide().map(|row| (row % 4 != 0).then_some(-row)).collect::<TimestampMicrosecondArray>())),
        ("exact", Arc::new(TimestampNanosecondArray::from_iter_values(wide().map(|row| row * 1_000_000_007)))),
        ("price", Arc::new(prices.collect::<Decimal128Array>().with_precision_and_scale(18, 3)?)),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
        ("pair", Arc::new(pairs)),
        ("carrier", Arc::new(carriers.collect::<DictionaryArray<Int32Type>>())),
    ];
    let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(nullable)?)
}

fn double(row: i32) -> Option<f64> {
    match row % 11 {
        0 => None,
        1 => Some(f64::INFINITY),
        2 => Some(-0.0),
        3 => Some(f64::MIN_POSITIVE),
        _ => Some(f64::from(row) * 1e-3),
    }
}
