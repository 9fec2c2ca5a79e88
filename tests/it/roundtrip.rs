//! Every Arrow type through the serializers: the same back, or refused before a byte is written.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use coldframe::{ErrorKind, ResultStore, Value};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::support::{REFUSED_BY_PARQUET, batch_of, every_type, local, memory};

const TABLES: [&str; 8] =
    ["parquet", "parquet/none", "parquet/snappy", "parquet/lz4", "parquet/gzip", "arrow", "arrow/lz4", "arrow/zstd"];

#[tokio::test]
async fn every_type_alone_comes_back_or_is_refused() {
    let store = memory().await;
    let mut refused = Vec::new();
    let mut failed = Vec::new();
    for serializer in ["parquet", "arrow", "arrow/lz4"] {
        for (name, array) in every_type() {
            for (how, array) in [("whole", array.clone()), ("sliced", array.slice(1, 3)), ("empty", array.slice(2, 0))]
            {
                let batch = batch_of(vec![(name.clone(), array)]);
                let put = store.put("types", batch.clone()).serializer(serializer).await;
                let reference = match put {
                    Ok(reference) => reference,
                    Err(error)
                        if error.kind() == ErrorKind::Unsupported
                            && serializer == "parquet"
                            && error.message().contains(&name) =>
                    {
                        refused.push(name.clone());
                        continue;
                    }
                    Err(error) => {
                        failed.push(format!("{serializer} {how} {name}: put: {error:?}"));
                        continue;
                    }
                };
                match store.get(&reference).await.map(|value| value.into_table().unwrap()) {
                    Ok(table) if table.schema() != batch.schema() => {
                        failed.push(format!("{serializer} {how} {name}: schema {:?}", table.schema()))
                    }
                    Ok(table) if table.to_batch().unwrap() != batch => {
                        failed.push(format!(
                            "{serializer} {how} {name}: {:?} is not {:?}",
                            table.to_batch().unwrap().column(0),
                            batch.column(0)
                        ));
                    }
                    Ok(_) => {}
                    Err(error) => failed.push(format!("{serializer} {how} {name}: get: {error:?}")),
                }
            }
        }
    }
    refused.dedup();
    assert!(failed.is_empty(), "{} failures:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(refused, REFUSED_BY_PARQUET);
}

#[tokio::test]
async fn all_types_together_with_metadata() {
    let (_folder, store) = local().await;
    let columns = every_type();
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| {
            let metadata = HashMap::from([
                ("ARROW:extension:name".to_owned(), format!("test.{name}")),
                ("unit".to_owned(), "m".to_owned()),
            ]);
            Field::new(name, array.data_type().clone(), true).with_metadata(metadata)
        })
        .collect();
    let schema = Arc::new(Schema::new_with_metadata(
        fields,
        HashMap::from([("pandas".into(), "{}".into()), ("who".into(), "me".into())]),
    ));
    let batch = RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap();
    for serializer in TABLES {
        let batch = if serializer.starts_with("parquet") { held_by_parquet(&batch) } else { batch.clone() };
        let reference = store
            .put("all", vec![batch.clone(), batch.slice(1, 2), batch.clone()])
            .serializer(serializer)
            .await
            .unwrap();
        assert_eq!(reference.written().unwrap().rows, Some(12));
        let table = store.get(&reference).await.unwrap().into_table().unwrap();
        assert_eq!(table.schema(), batch.schema(), "{serializer}");
        let whole = Value::Table(table);
        let Value::Table(table) = whole else { unreachable!() };
        let rows: Vec<RecordBatch> = table.into_iter().collect();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 12, "{serializer}");
        let first = rows[0].slice(0, 5.min(rows[0].num_rows()));
        assert_eq!(first, batch.slice(0, first.num_rows()), "{serializer}");
    }
}

fn held_by_parquet(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let kept: Vec<usize> =
        (0..batch.num_columns()).filter(|i| !REFUSED_BY_PARQUET.contains(&schema.field(*i).name().as_str())).collect();
    batch.project(&kept).unwrap()
}

#[tokio::test]
async fn values_of_size_zero() {
    let store = memory().await;
    let bytes: ArrayRef =
        Arc::new(FixedSizeBinaryArray::try_new_with_len(0, Vec::<u8>::new().into(), None, 3).unwrap());
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let values: ArrayRef = Arc::new(Int32Array::from(Vec::<i32>::new()));
    let lists: ArrayRef = Arc::new(FixedSizeListArray::try_new_with_length(item, 0, values, None, 3).unwrap());
    for (name, array) in [("bytes", bytes), ("lists", lists)] {
        let fields: UnionFields =
            [(0, Arc::new(Field::new("x", array.data_type().clone(), true)))].into_iter().collect();
        let union = UnionArray::try_new(fields, vec![0_i8; 3].into(), None, vec![array.clone()]).unwrap();
        let batch = batch_of(vec![(name.to_owned(), array)]);
        let reference = store.put("zero", batch.clone()).serializer("arrow").await.unwrap();
        assert_eq!(store.get(&reference).await.unwrap().into_table().unwrap().to_batch().unwrap(), batch);
        let nested = batch_of(vec![("nested".to_owned(), Arc::new(union) as ArrayRef)]);
        let error = store.put("zero", nested).serializer("arrow").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("`nested`"), "{error}");
    }
}

#[tokio::test]
async fn arrow_data_is_read_wherever_in_memory_it_begins() {
    for serializer in ["arrow", "arrow/lz4", "arrow/zstd", "compressed(lz4)/arrow"] {
        let objects = Arc::new(InMemory::new());
        let store = ResultStore::with_object_store(objects.clone(), "").unwrap();
        let batch = batch_of(every_type());
        let reference = store.put("k", &batch).serializer(serializer).await.unwrap();
        let path = Path::parse(&reference.written().unwrap().parts[0].path).unwrap();
        let bytes = objects.get(&path).await.unwrap().bytes().await.unwrap();
        for before in 0..16 {
            // As what comes over a network: a piece of a larger buffer, which the store in memory hands on as it is.
            let padded = bytes::Bytes::from([&vec![0; before][..], &bytes].concat());
            objects.put(&path, padded.slice(before..).into()).await.unwrap();
            let found = store.get(&reference).await.unwrap().into_table().unwrap().to_batch().unwrap();
            assert_eq!(found, batch, "{serializer}, {before}");
        }
    }
}
