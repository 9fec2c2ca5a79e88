//! The public suite over every storage and serializer that this machine has.

use coldframe::conformance::{storage, tables, values};
use coldframe::{Configuration, ResultStore};

use crate::support::{local, memory};

const TABLES: [&str; 12] = [
    "parquet",
    "parquet/none",
    "parquet/snappy",
    "parquet/lz4",
    "parquet/zstd(9)",
    "parquet/gzip(1)",
    "arrow",
    "arrow/lz4",
    "arrow/zstd",
    "compressed/parquet/none",
    "compressed(lz4)/arrow",
    "compressed(xz(1))/arrow",
];
const CODECS: [&str; 5] = ["lz4", "zstd", "gzip", "bzip2", "xz(2)"];

async fn everything(store: &ResultStore) {
    storage(store).await.unwrap();
    for serializer in TABLES {
        tables(store, serializer).await.unwrap();
    }
    values(store, "json", "bytes(application/x-test)").await.unwrap();
    for codec in CODECS {
        values(store, &format!("compressed({codec})/json"), &format!("compressed({codec})/bytes")).await.unwrap();
    }
}

#[tokio::test]
async fn in_memory() {
    everything(&memory().await).await;
}

#[tokio::test]
async fn on_local_disk() {
    let (_folder, store) = local().await;
    everything(&store).await;
}

#[tokio::test]
async fn on_local_disk_durably() {
    let folder = tempfile::tempdir().unwrap();
    let builder = ResultStore::builder().configuration(Configuration::empty());
    let store = builder.location(folder.path().to_str().unwrap()).open().await.unwrap();
    storage(&store).await.unwrap();
    tables(&store, "parquet").await.unwrap();
}

#[tokio::test]
async fn on_an_object_store_of_the_callers_own() {
    let objects = std::sync::Arc::new(object_store::memory::InMemory::new());
    let store = ResultStore::with_object_store(objects, "some/root").unwrap();
    everything(&store).await;
}
