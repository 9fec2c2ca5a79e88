//! Every kind of input, through the same door as the command.

use std::io::Write;

use ::arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use ::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use ::arrow::ipc::writer::{FileWriter, StreamWriter};
use ::parquet::arrow::ArrowWriter;

use super::*;
use crate::value::Table;

fn wanted(format: Option<InputFormat>, schema: Option<&str>) -> Wanted {
    Wanted { format, schema: schema.map(str::to_owned), stored: None }
}

fn open_bytes(content: &[u8], wanted: &Wanted) -> Result<Content> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let from_file = open(file.path(), wanted).map(|opened| opened.content);
    // A stream that comes in small pieces is told to be the same.
    let pieces = Trickle(std::io::Cursor::new(content.to_vec()));
    let mut source = Source::from_stream("a stream", Box::new(pieces));
    let kind = kind_of(&mut source, wanted);
    assert_eq!(kind.is_ok(), from_file.as_ref().map_or_else(|error| !error.message().contains("no table"), |_| true));
    from_file
}

struct Trickle(std::io::Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let few = buffer.len().min(3);
        self.0.read(&mut buffer[..few])
    }
}

async fn table_of(content: &[u8], wanted: &Wanted) -> Result<Table> {
    match open_bytes(content, wanted)? {
        Content::Table(batches) => batches.collect().await,
        other => panic!("no table: {other:?}"),
    }
}

async fn table(content: &[u8]) -> Result<Table> {
    table_of(content, &Wanted::default()).await
}

fn sample() -> RecordBatch {
    let metadata = [("pandas".to_owned(), "{\"index\":1}".to_owned())].into();
    let fields = vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)];
    let schema: SchemaRef = Schema::new_with_metadata(fields, metadata).into();
    let ids = Int64Array::from(vec![Some(1), None, Some(3)]);
    RecordBatch::try_new(
        schema,
        vec![std::sync::Arc::new(ids), std::sync::Arc::new(StringArray::from(vec![Some("a"), Some("żółć"), None]))],
    )
    .unwrap()
}

fn parquet_file() -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), sample().schema(), None).unwrap();
    writer.write(&sample()).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_file() -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &sample().schema()).unwrap();
    writer.write(&sample()).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_stream() -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &sample().schema()).unwrap();
    writer.write(&sample()).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn columnar_files_keep_everything() {
    for content in [parquet_file(), arrow_file(), arrow_stream()] {
        let table = table(&content).await.unwrap();
        assert_eq!(table.schema(), sample().schema());
        assert_eq!(table.to_batch().unwrap(), sample());
    }
}

#[tokio::test]
async fn a_stream_of_a_seekable_format_is_spooled() {
    for content in [parquet_file(), arrow_file()] {
        let mut source = Source::from_stream("a stream", Box::new(Trickle(std::io::Cursor::new(content))));
        let kind = kind_of(&mut source, &Wanted::default()).unwrap();
        let Content::Table(batches) = opened(source, kind, &Overrides::default()).unwrap().content else {
            panic!("no table")
        };
        assert_eq!(batches.collect().await.unwrap().to_batch().unwrap(), sample());
    }
}

#[tokio::test]
async fn damaged_columnar_files_are_errors() {
    for content in [parquet_file(), arrow_file(), arrow_stream()] {
        for end in (8..content.len()).step_by(7) {
            // Some cuts of a stream only leave out its end mark.
            if let Err(error) = table(&content[..end]).await {
                assert_eq!(error.kind(), ErrorKind::Input, "{error:?}");
            }
        }
        for position in (8..content.len()).step_by(3) {
            let mut content = content.clone();
            content[position] ^= 0xff;
            let _ = table(&content).await;
        }
    }
}

#[tokio::test]
async fn a_stream_without_batches_and_end_has_a_schema() {
    let content = arrow_stream();
    let writer = StreamWriter::try_new(Vec::new(), &sample().schema()).unwrap();
    let header = writer.into_inner().unwrap();
    let table = table(&content[..header.len() - 8]).await.unwrap();
    assert_eq!((table.schema(), table.rows()), (sample().schema(), 0));
}

#[tokio::test]
async fn csv_is_typed_from_its_first_rows() {
    let text = "id,name,fare,ok,day,at,zip\n1,a,1.5,true,2026-01-02,2026-01-02 03:04:05,00501\n2,\"b\nc\",2,false,2026-01-03,2026-01-02 03:04:05,10001\n,,,,,,\n";
    let table = table(text.as_bytes()).await.unwrap();
    let types: Vec<DataType> = table.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(
        types,
        [
            DataType::Int64,
            DataType::Utf8,
            DataType::Float64,
            DataType::Boolean,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Utf8,
        ]
    );
    assert_eq!(table.rows(), 3);
    let batch = table.to_batch().unwrap();
    assert_eq!(batch.column(1).as_string::<i32>().value(1), "b\nc");
    assert_eq!(batch.column(6).as_string::<i32>().value(0), "00501");
}

#[tokio::test]
async fn csv_keeps_text_that_begins_with_a_mark_or_ends_without_a_line() {
    for text in ["\u{feff}a;b\n1;2", "a\tb\r\n1\t2\r\n", "a,b\n\n1,2\n\n"] {
        let table = table(text.as_bytes()).await.unwrap();
        assert_eq!(table.schema().field(0).name(), "a", "{text:?}");
        assert_eq!(table.to_batch().unwrap().column(1).as_primitive::<Int64Type>().values(), &[2], "{text:?}");
    }
    let table = table_of(b"a\n1\n", &wanted(Some(InputFormat::Csv), None)).await.unwrap();
    assert_eq!(table.rows(), 1);
    assert_eq!(self::table(b"a,b\n").await.unwrap().rows(), 0);
}

#[tokio::test]
async fn a_later_misfit_in_csv_names_line_and_column() {
    let mut text = String::from("id,fare\n");
    for row in 0..70_000 {
        // Two lines each, so that lines and records differ.
        text.push_str(&format!("{row},1.5\n\n"));
    }
    text.push_str("7,cheap\n");
    let error = table(text.as_bytes()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.message().contains("line 140002, column `fare`: `cheap` is no float64"), "{error}");
    assert!(error.hint().unwrap().contains("--schema fare:utf8"), "{error:?}");
    let table = table_of(text.as_bytes(), &wanted(None, Some("fare:utf8"))).await.unwrap();
    assert_eq!(table.rows(), 70_001);
    assert!(table.batches().iter().all(|batch| batch.num_rows() <= BATCH_ROWS));
}

#[tokio::test]
async fn a_ragged_csv_names_the_line() {
    let mut text = String::from("a,b\n\"x\ny\",1\n");
    text.push_str("1,2,3\n");
    let error = table(text.as_bytes()).await.unwrap_err();
    assert!(error.message().contains("line 4"), "{error}");
}

#[tokio::test]
async fn csv_batches_are_bounded_by_bytes() {
    let wide = "x".repeat(1 << 20);
    let mut text = String::from("a,b\n");
    for row in 0..40 {
        text.push_str(&format!("{row},\"{wide}\n\"\n"));
    }
    let table = table(text.as_bytes()).await.unwrap();
    assert_eq!(table.rows(), 40);
    assert!(table.batches().len() >= 4, "{}", table.batches().len());
}

#[tokio::test]
async fn json_objects_are_rows() {
    for text in ["{\"id\":1,\"name\":\"a\"}\n{\"id\":2}\n", "[{\"id\":1,\"name\":\"a\"},\n{\"id\":2}]"] {
        let batch = table(text.as_bytes()).await.unwrap().to_batch().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
        assert!(batch.column(1).is_null(1));
    }
}

#[tokio::test]
async fn json_rows_lose_nothing_silently() {
    let mut text = "{\"id\":1}\n".repeat(10_001);
    text.push_str("{\"id\":1.5}\n");
    let error = table(text.as_bytes()).await.unwrap_err();
    assert!(error.message().contains("line 10002, column `id`: `1.5` is no int64"), "{error}");
    let table = table_of(text.as_bytes(), &wanted(None, Some("id:float64"))).await.unwrap();
    assert_eq!(table.rows(), 10_002);
    let text = text.replace("1.5", "1,\"new\":2");
    let error = self::table(text.as_bytes()).await.unwrap_err();
    assert!(error.message().contains("column `new`"), "{error}");
    let table = table_of(text.as_bytes(), &wanted(None, Some("new:utf8"))).await.unwrap();
    assert_eq!(table.schema().fields().len(), 2);
}

#[tokio::test]
async fn nested_json_becomes_nested_columns() {
    let text = "{\"s\":{\"x\":[1,2]},\"n\":null}\n{\"s\":{\"x\":[]},\"n\":null}\n";
    let table = table(text.as_bytes()).await.unwrap();
    assert_eq!(table.rows(), 2);
    assert_eq!(table.schema().field(1).data_type(), &DataType::Null);
}

#[test]
fn other_json_is_a_value() {
    for (text, expected) in [("{\"a\":1}", serde_json::json!({"a": 1})), ("[1,2]", serde_json::json!([1, 2]))] {
        match open_bytes(text.as_bytes(), &Wanted::default()).unwrap() {
            Content::Json(value) => assert_eq!(value, expected),
            other => panic!("{other:?}"),
        }
    }
    let error = open_bytes(b"{\"a\":99999999999999999999}", &Wanted::default()).unwrap_err();
    assert!(error.message().contains("64 bits"), "{error}");
    let as_json = Wanted { stored: Some(Stored::Json), ..Wanted::default() };
    assert!(matches!(open_bytes(b"[{\"a\":1},{\"a\":2}]", &as_json).unwrap(), Content::Json(_)));
}

#[tokio::test]
async fn anything_can_be_bytes() {
    let as_bytes = Wanted { stored: Some(Stored::Bytes), ..Wanted::default() };
    let content = vec![7; 3 * PIECE_BYTES / 2];
    let Content::Bytes(stream) = open_bytes(&content, &as_bytes).unwrap() else { panic!("no bytes") };
    let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(stream).await.unwrap();
    assert_eq!(pieces.concat(), content);
}

#[test]
fn serializers_say_what_they_store() {
    for (serializer, stored) in [
        ("parquet/zstd(3)", None),
        ("json", Some(Stored::Json)),
        ("bytes", Some(Stored::Bytes)),
        ("compressed/bytes", Some(Stored::Bytes)),
        ("compressed(gzip)/json", Some(Stored::Json)),
        (r#"{"type":"bytes","media_type":"image/png"}"#, Some(Stored::Bytes)),
    ] {
        assert_eq!(stored_by(serializer).unwrap(), stored, "{serializer}");
    }
    assert!(stored_by("parquett").is_err());
}

#[test]
fn files_that_are_not_there_or_folders_say_so() {
    let error = open(Path::new("/no/such/file"), &Wanted::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("/no/such/file"));
    let folder = tempfile::tempdir().unwrap();
    assert!(open(folder.path(), &Wanted::default()).err().unwrap().message().contains("folder"));
}
