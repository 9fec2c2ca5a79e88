//! References from outside: altered, absurd, of other keys, of newer versions. None is believed, none breaks a read.

use std::path::Path;
use std::time::Duration;

use coldframe::{ErrorKind, ResultReference, ResultStore};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::support::{local, numbers, small};

/// Everything that a program would do with a reference.
async fn use_it(store: &ResultStore, json: &Json) -> coldframe::Result<()> {
    let reference = ResultReference::from_json(&json.to_string())?;
    let opened = store.open_result(&reference).await?;
    let _ = (opened.kind(), opened.rows(), opened.column_bytes().await);
    opened.value().await?;
    if opened.schema().is_some() {
        for scan in [opened.scan().tail(1), opened.scan().offset(u64::MAX), opened.scan().head(2)] {
            scan.collect().await?;
        }
    }
    Ok(())
}

async fn refused(store: &ResultStore, json: &Json) -> coldframe::Error {
    let used = tokio::time::timeout(Duration::from_secs(20), use_it(store, json)).await;
    let error = used.expect("a read hangs").expect_err(&json.to_string());
    let kinds = [ErrorKind::Damaged, ErrorKind::Unsupported, ErrorKind::InvalidInput];
    assert!(kinds.contains(&error.kind()), "{json}: {error:?}");
    error
}

async fn reference_to(store: &ResultStore, serializer: &str) -> Json {
    let put = match serializer {
        json if json.ends_with("json") => store.put("mine/a", json!({"a": 1})),
        "bytes" => store.put("mine/a", vec![1_u8; 3_000]),
        _ => store.put("mine/a", numbers(500)),
    };
    serde_json::from_str(&put.serializer(serializer).await.unwrap().to_json()).unwrap()
}

#[tokio::test]
async fn parts_that_lie_elsewhere_are_refused() {
    let (folder, store) = local().await;
    let other = store.put("other", small()).await.unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let mine = reference_to(&store, "parquet").await;
    let below = mine["parts"][0]["path"].as_str().unwrap().to_owned();
    let name = below.rsplit('/').next().unwrap();
    let absolute = folder.path().join("secret");
    for path in [
        "secret",
        "",
        "/",
        "data/mine/a/",
        "data/mine/a",
        "data/mine/a/../../../secret",
        "data/mine/a/..",
        "data/mine/a/.",
        "data/mine/a/%2e%2e/secret",
        "data/mine/a\\..\\secret",
        "data//mine/a/x",
        "data/mine/a/b/x.parquet",
        "DATA/mine/a/x.parquet",
        "refs/mine/a/@/999999999998-v1.json",
        "coldframe.json",
        "file:///etc/passwd",
        &format!("/{below}"),
        &format!("./{below}"),
        &format!("data/other/{name}"),
        &format!("data/mine/a/x/../{name}"),
        &other.written().unwrap().parts[0].path,
        absolute.to_str().unwrap(),
        "data/mine/a/\u{0}",
    ] {
        let mut altered = mine.clone();
        altered["parts"][0]["path"] = json!(path);
        let error = refused(&store, &altered).await;
        assert!(!format!("{error:?}").contains("secret:"), "{error:?}");
    }
    use_it(&store, &mine).await.unwrap();
}

#[tokio::test]
async fn another_keys_reference_reads_no_data_of_this_one() {
    let (_folder, store) = local().await;
    let mine = reference_to(&store, "parquet").await;
    let mut altered = mine.clone();
    altered["key"] = json!("other");
    assert_eq!(refused(&store, &altered).await.kind(), ErrorKind::InvalidInput);
    altered["key"] = json!("mine");
    refused(&store, &altered).await;
    altered["key"] = json!("mine/A");
    refused(&store, &altered).await;
}

#[tokio::test]
async fn absurd_numbers_and_wrong_types_are_refused() {
    let (_folder, store) = local().await;
    let sum = json!(format!("xxh3-64:{:016x}", 7));
    for serializer in ["parquet", "arrow", "json", "bytes", "compressed(lz4)/json", "compressed(lz4)/parquet"] {
        let good = reference_to(&store, serializer).await;
        use_it(&store, &good).await.unwrap();
        let mut bad = Vec::new();
        let mut with = |pointer: &str, value: Json| {
            let mut altered = good.clone();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            altered.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(field.to_owned(), value);
            bad.push(altered);
        };
        for size in [json!(0), json!(1), json!(1_u64 << 40), json!(i64::MAX), json!(u64::MAX)] {
            with("/parts/0/size", size);
        }
        for field in ["size", "path", "checksum", "extents", "footer", "index", "rows"] {
            with(&format!("/parts/0/{field}"), json!([true]));
            // Files with a footer hold their extents themselves.
            if field != "extents" || good["parts"][0]["footer"].is_null() {
                with(&format!("/parts/0/{field}"), json!("€"));
            }
        }
        for (field, value) in [
            ("/format", json!(2)),
            ("/format", json!(u64::MAX)),
            ("/format", json!("1")),
            ("/needs", json!(["encryption"])),
            ("/type", json!("literal")),
            ("/version", json!(0)),
            ("/version", json!(u64::MAX)),
            ("/write", json!("x")),
            ("/serializer", json!({"type": "vortex"})),
            ("/serializer", json!({"type": "literal"})),
            ("/serializer", json!("parquet")),
            ("/parts", json!({})),
            ("/parts", json!([])),
            ("/schema", json!("AAAA")),
            ("/schema", json!(format!("{}", "/////".repeat(90)))),
            ("/created", json!("yesterday")),
        ] {
            // Bytes have no schema: whatever stands there is not looked at.
            if field != "/schema" || good["rows"].is_u64() {
                with(field, value);
            }
        }
        if good["rows"].is_u64() {
            for rows in [json!(0), json!(499), json!(501), json!(u64::MAX), Json::Null] {
                with("/parts/0/rows", rows);
            }
            with("/serializer", json!({"type": "json"}));
            with("/serializer", json!({"type": "compressed", "codec": "zstd", "inner": {"type": "parquet"}}));
        }
        if serializer.starts_with("parquet") || serializer.starts_with("arrow") {
            for size in [0, 1, 7, 11, good["parts"][0]["size"].as_u64().unwrap(), u64::MAX] {
                with("/parts/0/footer", json!({"size": size, "checksum": sum}));
            }
            with("/parts/0/footer", Json::Null);
        } else {
            with("/parts/0/extents", Json::Null);
            with("/parts/0/extents", json!(""));
        }
        for altered in &bad {
            refused(&store, altered).await;
        }
        overlapping(&store, &good).await;
    }
}

/// An index as large as the file, or larger, leaves no room for data: nothing may be read from there.
async fn overlapping(store: &ResultStore, good: &Json) {
    if good["parts"][0]["footer"].is_null() || good["serializer"]["type"] != "parquet" {
        return;
    }
    let size = good["parts"][0]["size"].as_u64().unwrap();
    for index in [size - 60, size, size * 2, u64::MAX] {
        let mut altered = good.clone();
        altered["parts"][0]["index"] = json!({"size": index, "checksum": "xxh3-64:0000000000000007"});
        refused(store, &altered).await;
    }
}

#[tokio::test]
async fn row_counts_that_overflow_are_refused() {
    let (_folder, store) = local().await;
    for serializer in ["parquet", "arrow"] {
        let mut good = reference_to(&store, serializer).await;
        let mut second = good["parts"][0].clone();
        second["rows"] = json!(u64::MAX);
        good["parts"].as_array_mut().unwrap().push(second);
        refused(&store, &good).await;
        good["parts"][0]["rows"] = json!(u64::MAX);
        good["rows"] = json!(u64::MAX);
        refused(&store, &good).await;
    }
}

#[tokio::test]
async fn a_table_without_columns_may_claim_any_number_of_rows() {
    let (folder, store) = local().await;
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::empty());
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(5_000_000_000));
    let batch = arrow::array::RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
    for serializer in ["parquet", "arrow"] {
        let reference = store.put("rows", batch.clone()).serializer(serializer).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(20), store.get(&reference)).await;
        let table = read.expect("a read hangs").unwrap().into_table().unwrap();
        assert_eq!(table.rows(), 5_000_000_000);
    }
    assert!(Path::new(folder.path()).exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_altered_reference_makes_a_read_panic(
        serializer in prop::sample::select(vec!["parquet", "arrow", "json", "compressed(zstd)/arrow"]),
        place in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(Json::Null), any::<u64>().prop_map(Json::from), any::<i64>().prop_map(Json::from),
            "[A-Za-z0-9+/:]{0,40}".prop_map(Json::from), Just(json!({})), Just(json!([[]])),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = local().await;
            let mut json = reference_to(&store, serializer).await;
            let mut pointers = Vec::new();
            pointers_of(&json, "", &mut pointers);
            *json.pointer_mut(place.get::<String>(&pointers)).unwrap() = value;
            let used = tokio::time::timeout(Duration::from_secs(20), use_it(&store, &json)).await;
            if let Err(error) = used.expect("a read hangs") {
                let internal = matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable);
                assert!(!internal, "{json}: {error:?}");
            }
        });
    }
}

fn pointers_of(json: &Json, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Json)> = match json {
        Json::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Json::Array(items) => items.iter().enumerate().map(|(place, item)| (place.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let pointer = format!("{at}/{name}");
        found.push(pointer.clone());
        pointers_of(child, &pointer, found);
    }
}
