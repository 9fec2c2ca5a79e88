//! The statistics of columns, as the footers tell them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{SortOptions, cast, sort_to_indices, take};
use arrow::datatypes::DataType;
use coldframe::{ColumnStatistics, ErrorKind, ResultReference, ResultStore};
use serde_json::{Value as Json, json};

use crate::support::{REFUSED_BY_PARQUET, batch_of, every_type, local, memory, numbers};

async fn statistics(store: &ResultStore, table: RecordBatch) -> Vec<ColumnStatistics> {
    let reference = store.put("a/table", table).await.unwrap();
    store.open_result(&reference).await.unwrap().column_statistics().await.unwrap().unwrap()
}

fn column(array: impl Array + 'static) -> RecordBatch {
    batch_of(vec![("c".to_owned(), Arc::new(array))])
}

/// The values, of a dictionary those that it stands for.
fn plain(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values).unwrap(),
        _ => array.clone(),
    }
}

/// The least or greatest value without the statistics: by sorting all that are not null.
fn sorted_first(array: &ArrayRef, descending: bool) -> ArrayRef {
    let order = SortOptions { descending, nulls_first: false };
    let first = sort_to_indices(&plain(array), Some(order), Some(1)).unwrap();
    take(&plain(array), &first, None).unwrap()
}

#[tokio::test]
async fn every_type_that_has_an_order_tells_its_least_and_greatest_value() {
    let columns: Vec<_> =
        every_type().into_iter().filter(|(name, _)| !REFUSED_BY_PARQUET.contains(&name.as_str())).collect();
    let found = statistics(&memory().await, batch_of(columns.clone())).await;
    assert_eq!(found.len(), columns.len());
    let mut compared = 0;
    for ((name, array), found) in columns.iter().zip(&found) {
        assert_eq!(&found.name, name);
        assert!(found.bytes > 0, "{name}");
        let unordered = matches!(array.data_type(), DataType::Null | DataType::Duration(_) | DataType::Interval(_));
        if array.data_type().is_nested() {
            assert_eq!((found.nulls, &found.min, &found.max, found.exact), (None, &None, &None, false), "{name}");
            continue;
        }
        assert_eq!(found.nulls, Some(array.logical_null_count() as u64), "{name}");
        if unordered {
            assert_eq!((&found.min, &found.max), (&None, &None), "{name}");
            continue;
        }
        let (min, max) = (found.min.clone().expect(name), found.max.clone().expect(name));
        assert_eq!((min.data_type(), min.len()), (array.data_type(), 1), "{name}");
        if !array.data_type().is_floating() {
            assert_eq!(&plain(&min), &sorted_first(array, false), "{name}");
            assert_eq!(&plain(&max), &sorted_first(array, true), "{name}");
        }
        assert!(found.exact, "{name}");
        assert!(found.display_min().is_some(), "{name}");
        // 2,147,483,647 days from 1970 are beyond the calendar.
        assert_eq!(found.display_max().is_some(), name != "date32", "{name}");
        compared += 1;
    }
    assert!(compared > 40, "only {compared} types were compared");
}

#[tokio::test]
async fn not_a_number_is_left_out_of_both() {
    let store = memory().await;
    let found = statistics(&store, column(Float64Array::from(vec![f64::NAN, -1.5, f64::INFINITY, f64::NAN]))).await;
    assert_eq!((found[0].display_min().as_deref(), found[0].display_max().as_deref()), (Some("-1.5"), Some("inf")));
    let found = statistics(&store, column(Float64Array::from(vec![f64::NAN, f64::NAN]))).await;
    assert_eq!((&found[0].min, &found[0].max, found[0].nulls), (&None, &None, Some(0)));
    let found = statistics(&store, column(Int64Array::from(vec![None, None]))).await;
    assert_eq!((&found[0].min, &found[0].max, found[0].nulls), (&None, &None, Some(2)));
}

#[tokio::test]
async fn what_is_cut_short_is_a_bound_and_says_so() {
    let texts: Vec<String> = (b'b'..b'f').map(|letter| char::from(letter).to_string().repeat(100)).collect();
    let found = statistics(&memory().await, column(StringArray::from_iter_values(&texts))).await;
    let bound = |array: &Option<ArrayRef>| array.as_ref().unwrap().as_string::<i32>().value(0).to_owned();
    let (min, max) = (bound(&found[0].min), bound(&found[0].max));
    assert!(!found[0].exact);
    assert!(min <= texts[0] && min.starts_with("bb") && min.len() <= 64, "{min}");
    assert!(max >= texts[3] && max.starts_with("ee") && max.len() <= 64, "{max}");
    assert_eq!(found[0].display_min().unwrap(), "b".repeat(39) + "…");
}

#[tokio::test]
async fn row_groups_and_parts_are_one_column() {
    let (_folder, store) = local().await;
    let long = store.put("a/table", numbers(1_200_000)).await.unwrap();
    let opened = store.open_result(&long).await.unwrap();
    let found = opened.column_statistics().await.unwrap().unwrap();
    let shown = |found: &ColumnStatistics| {
        (found.nulls, found.display_min().unwrap(), found.display_max().unwrap(), found.exact)
    };
    assert_eq!(shown(&found[0]), (Some(0), "0".into(), "1199999".into(), true));
    assert_eq!(shown(&found[1]), (Some(0), "row 0".into(), "row 999".into(), true));
    let bytes: Vec<u64> = found.iter().map(|column| column.bytes).collect();
    assert_eq!(opened.column_bytes().await.unwrap().unwrap(), bytes);

    let more = store.put("a/table", numbers(2_000_000).slice(1_999_998, 2)).await.unwrap();
    let (mut both, more): (Json, Json) = (serde_json::to_value(&long).unwrap(), serde_json::to_value(&more).unwrap());
    both["parts"] = json!([both["parts"][0], more["parts"][0]]);
    both["rows"] = json!(1_200_002);
    let both = ResultReference::from_json(&both.to_string()).unwrap();
    let found = store.open_result(&both).await.unwrap().column_statistics().await.unwrap().unwrap();
    assert_eq!(shown(&found[0]), (Some(0), "0".into(), "1999999".into(), true));
    assert_eq!(shown(&found[1]), (Some(0), "row 0".into(), "row 999".into(), true));
    assert!(found[0].bytes > bytes[0]);
}

#[tokio::test]
async fn no_data_is_read_for_them_but_the_footer_is_checked() {
    let (folder, store) = local().await;
    let reference = store.put("a/table", numbers(200_000)).await.unwrap();
    let part = &reference.written().unwrap().parts[0];
    let file = fs::OpenOptions::new().write(true).open(folder.path().join(&part.path)).unwrap();
    file.write_all_at(&[0xff; 4096], 1_000).unwrap();
    let opened = store.open_result(&reference).await.unwrap();
    assert_eq!(opened.column_statistics().await.unwrap().unwrap()[0].display_max().as_deref(), Some("199999"));
    assert_eq!(opened.value().await.unwrap_err().kind(), ErrorKind::Damaged);
    file.write_all_at(&[0xff; 10], part.size - part.footer.as_ref().unwrap().size).unwrap();
    let error = store.open_result(&reference).await.unwrap().column_statistics().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("a/table@1") && error.to_string().contains(&part.path), "{error}");
}

#[tokio::test]
async fn where_there_are_none_there_are_none() {
    let store = memory().await;
    for serializer in ["arrow", "arrow/zstd"] {
        let reference = store.put("a/table", numbers(10)).serializer(serializer).await.unwrap();
        assert_eq!(store.open_result(&reference).await.unwrap().column_statistics().await.unwrap(), None);
    }
    let reference = store.put("a/value", json!({"a": 1})).await.unwrap();
    assert_eq!(store.open_result(&reference).await.unwrap().column_statistics().await.unwrap(), None);
    let empty = statistics(&store, numbers(10).slice(0, 0)).await;
    assert_eq!((empty.len(), empty[0].nulls, &empty[0].min), (2, Some(0), &None));
}
