//! The public suite over every storage and serializer that this machine has.

use coldframe::conformance::{storage, tables, values};
use coldframe::{CacheSettings, Configuration, ResultStore};

use crate::servers::Server;
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

#[tokio::test(flavor = "multi_thread")]
async fn on_s3() {
    if let Some(store) = Server::S3.store().await {
        everything(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_through_the_cache() {
    let Some(url) = Server::S3.url() else { return };
    let folder = tempfile::tempdir().unwrap();
    // So little that entries come and go.
    let cache = CacheSettings::On { folder: folder.path().join("cache"), limit: 8 << 20 };
    let store = Server::S3.builder(&url, &Server::S3.fresh()).cache(cache).open().await.unwrap();
    everything(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_gcs() {
    if let Some(store) = Server::Gcs.store().await {
        everything(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_azure() {
    if let Some(store) = Server::Azure.store().await {
        everything(&store).await;
    }
}

/// The emulator as people reach it: by the option that object_store has for it.
#[tokio::test(flavor = "multi_thread")]
async fn on_azure_by_the_emulators_own_option() {
    if Server::Azure.url().is_some() {
        let builder = ResultStore::builder().configuration(Configuration::empty());
        let builder = builder.location(Server::Azure.fresh()).option("use_emulator", "true");
        storage(&builder.open().await.unwrap()).await.unwrap();
    }
}
