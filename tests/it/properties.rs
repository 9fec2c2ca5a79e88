//! Random tables, values, records and descriptors: what goes in comes out, or is refused before a byte is written.

use coldframe::serializer::Registry;
use coldframe::{
    Batches, Configuration, Descriptor, ErrorKind, NoResult, ResultRecord, ResultReference, ResultStore, Serializer,
    Shape, Value,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::sync::Arc;

use crate::generate::{RandomTable, rows, table};

const TABLES: [&str; 18] = [
    "arrow",
    "parquet",
    "arrow/lz4",
    "arrow/zstd",
    "parquet/none",
    "parquet/snappy",
    "parquet/lz4",
    "parquet/gzip",
    "compressed(lz4)/arrow",
    "compressed(zstd)/arrow/lz4",
    "compressed(gzip)/arrow",
    "compressed(bzip2)/arrow/zstd",
    "compressed(xz)/arrow",
    "compressed(lz4)/parquet",
    "compressed(zstd)/parquet/none",
    "compressed(gzip)/parquet",
    "compressed(bzip2)/parquet",
    "compressed(xz)/parquet/snappy",
];

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A store with the smallest budget there can be.
async fn tight() -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).memory(16 << 20);
    builder.location("memory://").open().await.unwrap()
}

fn batches_of(table: &RandomTable) -> Batches {
    Batches::from_batches(table.schema.clone(), table.batches.clone())
}

/// Why Parquet refuses a table before it writes, if it does: it must name a column and the serializer that can.
fn refusal(serializer: &Arc<dyn Serializer>, table: &RandomTable) -> Option<String> {
    let shape = Shape::Table(table.schema.clone());
    let error = serializer.encoder(&shape, 16 << 20).map(drop).err()?;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(serializer.descriptor().to_string().contains("parquet"), "{error:?}");
    assert!(error.message().contains("column `"), "names no column: {error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("`arrow`")), "{error:?}");
    Some(error.message().to_owned())
}

async fn comes_back(store: &ResultStore, table: &RandomTable, serializer: &str) {
    let built = Registry::default().parse(serializer).unwrap();
    let put = store.put("random", batches_of(table)).serializer(serializer).await;
    if let Some(why) = refusal(&built, table) {
        let error = put.map(|reference| reference.to_string()).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.message() == why, "{error:?}");
        return;
    }
    let reference = put.unwrap_or_else(|error| panic!("{serializer}: put: {error:?}"));
    let back = store.get(&reference).await.and_then(Value::into_table);
    let back = back.unwrap_or_else(|error| panic!("{serializer}: get: {error:?}"));
    assert_eq!(back.schema(), table.schema, "{serializer}");
    for batch in back.batches() {
        assert_eq!(batch.schema(), table.schema, "{serializer}");
        for column in batch.columns() {
            column.to_data().validate_full().unwrap_or_else(|error| panic!("{serializer}: {error}"));
        }
    }
    assert_eq!(rows(back.batches()), rows(&table.batches), "{serializer}");
}

proptest! {
    #![proptest_config(cases(160))]
    #[test]
    fn any_table_comes_back(table in table(), others in prop::sample::subsequence(TABLES[2..].to_vec(), 4)) {
        runtime().block_on(async {
            let store = tight().await;
            for serializer in TABLES[..2].iter().copied().chain(others) {
                comes_back(&store, &table, serializer).await;
            }
        });
    }
}

/// A cut of a table: what is asked of a scan.
#[derive(Debug, Clone)]
enum Cut {
    Part(u64, Option<u64>),
    Head(u64),
    Tail(u64),
}

impl Cut {
    fn of<T: Clone>(&self, rows: &[T]) -> Vec<T> {
        let narrow = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let (skip, limit) = match self {
            Self::Part(offset, limit) => (narrow(*offset), limit.map_or(usize::MAX, narrow)),
            Self::Head(count) => (0, narrow(*count)),
            Self::Tail(count) => (rows.len().saturating_sub(narrow(*count)), usize::MAX),
        };
        rows.iter().skip(skip).take(limit).cloned().collect()
    }
}

fn cut() -> impl Strategy<Value = Cut> {
    let count = || prop_oneof![4 => 0_u64..60, 1 => Just(u64::MAX)];
    prop_oneof![
        (count(), prop::option::of(count())).prop_map(|(offset, limit)| Cut::Part(offset, limit)),
        count().prop_map(Cut::Head),
        count().prop_map(Cut::Tail),
    ]
}

proptest! {
    #![proptest_config(cases(96))]
    #[test]
    fn a_scan_is_a_cut_of_the_whole(
        table in table(),
        cuts in prop::collection::vec((cut(), any::<u64>(), prop::option::of(1_usize..30)), 1..5),
        serializer in prop::sample::select(vec!["arrow", "parquet", "arrow/zstd", "compressed(lz4)/parquet"]),
    ) {
        runtime().block_on(async {
            let store = tight().await;
            let Ok(reference) = store.put("random", batches_of(&table)).serializer(serializer).await else { return };
            let whole = rows(&table.batches);
            for (cut, pick, batch_rows) in cuts {
                scans_as_cut(&store, &reference, &table, &whole, (cut, pick, batch_rows)).await;
            }
        });
    }
}

async fn scans_as_cut(
    store: &ResultStore,
    reference: &ResultReference,
    table: &RandomTable,
    whole: &[Vec<String>],
    (cut, pick, batch_rows): (Cut, u64, Option<usize>),
) {
    let fields = table.schema.fields();
    let is_unique =
        |position: &usize| fields.iter().filter(|field| field.name() == fields[*position].name()).count() == 1;
    let mut columns: Vec<usize> =
        (0..fields.len()).filter(is_unique).filter(|column| pick >> column & 1 == 1).collect();
    if pick >> 32 & 1 == 1 {
        columns.reverse();
    }
    let projected = pick >> 33 & 1 == 1;
    let mut scan = store.scan(reference);
    let mut expected = cut.of(whole);
    let mut schema = table.schema.clone();
    if projected {
        scan = scan.columns(columns.iter().map(|column| fields[*column].name().clone()));
        expected =
            expected.into_iter().map(|row| columns.iter().map(|column| row[*column].clone()).collect()).collect();
        schema = Arc::new(schema.project(&columns).unwrap());
    }
    scan = match cut {
        Cut::Part(offset, Some(limit)) => scan.offset(offset).limit(limit),
        Cut::Part(offset, None) => scan.offset(offset),
        Cut::Head(count) => scan.head(count),
        Cut::Tail(count) => scan.tail(count),
    };
    if let Some(batch_rows) = batch_rows {
        scan = scan.batch_rows(batch_rows);
    }
    let back = scan.collect().await.unwrap_or_else(|error| panic!("{columns:?}: {error:?}"));
    assert_eq!(back.schema(), schema);
    assert_eq!(rows(back.batches()), expected);
    if let Some(most) = batch_rows {
        assert!(back.batches().iter().all(|batch| batch.num_rows() <= most));
    }
}

#[tokio::test]
async fn what_parquet_cannot_hold_leaves_no_file() {
    let (folder, store) = crate::support::local().await;
    for (name, array) in crate::support::every_type() {
        let batch = crate::support::batch_of(vec![(name.clone(), array)]);
        if let Err(error) = store.put("types", batch).serializer("parquet").await {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains(&format!("column `{name}`")), "{error:?}");
            assert!(!folder.path().join("data").exists() || folder.path().join("refs").exists(), "{name}");
        }
        store.delete("types").await.ok();
    }
    let data = folder.path().join("data/types");
    let left = std::fs::read_dir(data).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_json_of_every_size_around_the_limits() {
    const MIB: usize = 1 << 20;
    let store = tight().await;
    let noise: Vec<u8> = (0..9 * MIB as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect();
    let sizes = [0, 1, MIB - 1, MIB, MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1];
    for codec in ["", "lz4", "zstd", "gzip", "bzip2", "xz"] {
        let wrapped =
            |inner: &str| if codec.is_empty() { inner.into() } else { format!("compressed({codec})/{inner}") };
        // The slow codecs are given what is quickly packed, but for one size.
        let slow = matches!(codec, "bzip2" | "xz" | "gzip");
        for size in sizes {
            let bytes = if slow && size > MIB + 1 { vec![7; size] } else { noise[..size].to_vec() };
            let reference = store.put("bytes", bytes.clone()).serializer(wrapped("bytes")).await.unwrap();
            let Value::Bytes(back) = store.get(&reference).await.unwrap() else { panic!("no bytes") };
            assert!(back == bytes, "{codec} {size}");
            let text = json!(["x".repeat(size.saturating_sub(4))]);
            let reference = store.put("json", text.clone()).serializer(wrapped("json")).await.unwrap();
            assert!(store.get(&reference).await.unwrap() == Value::Json(text), "{codec} {size}");
            if codec.is_empty() {
                assert_eq!(reference.written().unwrap().size, size.max(4) as u64);
            }
        }
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON has no such number", |number| number.is_finite()).prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..4)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

/// A reference's JSON: full or compact, with and without what is optional, with fields of a newer version.
fn reference_json() -> impl Strategy<Value = Json> {
    let named = ("[a-z]{1,5}(/[a-zé %]{1,5}x){0,2}", 1_u64..=999_999_999_998);
    let part = (any::<u64>(), prop::option::of(any::<u64>()), any::<u128>(), any::<bool>()).prop_map(
        |(size, rows, sum, footed)| {
            let mut part = json!({"path": "data/a/b", "size": size, "checksum": format!("xxh3-128:{sum:032x}")});
            rows.into_iter().for_each(|rows| part["rows"] = json!(rows));
            if footed {
                part["footer"] = json!({"size": size, "checksum": format!("xxh3-64:{:016x}", sum as u64)});
                part["later"] = json!([1]);
            }
            part
        },
    );
    let optional = (any::<bool>(), any::<bool>(), any::<bool>(), any_json(), any_json());
    (named, prop::collection::vec(part, 0..3), optional, -62_000_000_000_i64..253_000_000_000).prop_map(
        |((key, version), parts, (full, located, expires, newer, metadata), seconds)| {
            let at = chrono::DateTime::from_timestamp(seconds, 123_456_000).unwrap();
            let at = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            let mut json = json!({"type": "reference", "format": 1, "key": key, "version": version,
                                  "write": "01JD0000000000000000000000", "newer": newer});
            if located {
                json["storage"] = json!("s3://acme/results");
                json["profile"] = json!("s3/prod");
            }
            if full {
                json["serializer"] = json!({"type": "parquet", "compression": "zstd", "level": 1, "odd": [null]});
                json["parts"] = json!(parts);
                json["rows"] = json!(parts.first().map(|part| part["size"].clone()));
                json["size"] = json!(version);
                json["schema"] = Json::Null;
                json["lossy"] = json!([{"column": "x"}]);
                json["created"] = json!(at);
                if located {
                    json["copied_from"] = json!({"key": "a/b", "version": version, "created": at, "later": newer,
                                                 "write": "01JD0000000000000000000001"});
                }
                json["expires"] = if expires { json!(at) } else { Json::Null };
                json["title"] = Json::Null;
                json["metadata"] = json!({"m": metadata});
            }
            json
        },
    )
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn references_keep_every_field(json in reference_json()) {
        let reference = ResultReference::from_json(&json.to_string()).unwrap();
        let printed = reference.to_json();
        let again: Json = serde_json::from_str(&printed).unwrap();
        prop_assert_eq!(&again, &json);
        prop_assert_eq!(&ResultReference::from_json(&printed).unwrap(), &reference);
        prop_assert_eq!(&ResultReference::from_json(&json!(reference).to_string()).unwrap(), &reference);
        let record = ResultRecord::from(reference.clone());
        prop_assert_eq!(&ResultRecord::from_json(&record.to_json()).unwrap(), &record);
        prop_assert_eq!(&serde_json::from_value::<ResultRecord>(json!(record)).unwrap(), &record);
        prop_assert_ne!(record, ResultRecord::from(NoResult));
        let compact = reference.compact();
        prop_assert!(compact.to_json().len() < 1024 && compact.written().is_none());
        prop_assert_eq!(ResultReference::from_json(&compact.to_json()).unwrap(), compact);
    }

    #[test]
    fn an_altered_reference_is_read_or_refused(json in reference_json(), at in any::<prop::sample::Index>(), put in any_json()) {
        let mut altered = json.clone();
        let fields = altered.as_object_mut().unwrap();
        let name = at.get(&fields.keys().cloned().collect::<Vec<_>>()).clone();
        fields.insert(name, put);
        let text = altered.to_string();
        if let Err(error) = ResultReference::from_json(&text) {
            prop_assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported), "{:?}", error);
        }
        let _ = ResultRecord::from_json(&text);
        let cut = text.chars().take(at.index(text.len())).collect::<String>();
        prop_assert!(ResultRecord::from_json(&cut).is_err() || cut == text);
    }

    #[test]
    fn no_text_makes_a_record_panic(json in any_json(), text in "\\PC{0,40}") {
        let _ = (ResultRecord::from_json(&json.to_string()), ResultRecord::from_json(&text));
        let _ = (ResultReference::from_json(&json.to_string()), serde_json::from_value::<Descriptor>(json));
    }

    #[test]
    fn a_short_form_is_its_descriptor(
        outer in prop::sample::select(vec!["", "compressed/", "compressed(xz(9))/", "compressed(lz4)/", "compressed(bzip2)/"]),
        inner in prop::sample::select(vec!["json", "bytes", "bytes(text/csv)", "parquet", "arrow/lz4", "parquet/snappy"]),
        level in prop::option::of(1_u8..=22),
    ) {
        let inner = match level {
            Some(level) if inner == "parquet" => format!("parquet/zstd({level})"),
            Some(level) if inner == "arrow/lz4" => format!("arrow/zstd({level})"),
            _ => inner.to_owned(),
        };
        let registry = Registry::default();
        let descriptor = registry.parse(&format!("{outer}{inner}")).unwrap().descriptor();
        prop_assert_eq!(&registry.build(&descriptor).unwrap().descriptor(), &descriptor);
        prop_assert_eq!(&registry.parse(&descriptor.to_string()).unwrap().descriptor(), &descriptor);
        prop_assert_eq!(serde_json::from_str::<Descriptor>(&descriptor.to_string()).unwrap(), descriptor);
    }

    #[test]
    fn no_text_makes_a_serializer_panic(
        text in prop_oneof!["\\PC{0,30}", "((parquet|arrow|compressed|json|bytes|zstd|xz|[()/9-]|\\PC)){0,7}"],
        settings in any_json(),
        name in prop::sample::select(vec!["parquet", "arrow", "json", "bytes", "compressed"]),
        setting in prop::sample::select(vec!["compression", "level", "media_type", "codec", "inner", "other"]),
    ) {
        let registry = Registry::default();
        let built = [registry.parse(&text), registry.build(&Descriptor::new(name).with(setting, settings))];
        for serializer in built.into_iter().flatten() {
            let descriptor = serializer.descriptor();
            prop_assert_eq!(&registry.build(&descriptor).unwrap().descriptor(), &descriptor);
        }
    }
}
