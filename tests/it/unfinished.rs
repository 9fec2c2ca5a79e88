//! Uploads that were started and never ended, on the servers that list them.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::servers::Server;
use crate::support::{local, small};

/// The server says of every upload that it was started in 2010; a hundred years ago none was.
const LONG: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The bucket itself, without anything of ours.
fn bucket(server: Server, url: &str) -> Arc<dyn ObjectStore> {
    let options = server.options(url);
    match server {
        Server::S3 => {
            let builder = AmazonS3Builder::new().with_bucket_name("coldframe");
            let keyed = options.into_iter().map(|(name, value)| (name.parse().unwrap(), value));
            Arc::new(keyed.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build().unwrap())
        }
        Server::Gcs => {
            let builder = GoogleCloudStorageBuilder::new().with_bucket_name("coldframe");
            let keyed = options.into_iter().map(|(name, value)| (name.parse().unwrap(), value));
            Arc::new(keyed.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build().unwrap())
        }
        Server::Azure => panic!("Azure has no list of uploads"),
    }
}

async fn stale_uploads_are_found_and_ended(server: Server) {
    let Some(url) = server.url() else { return };
    let location = server.fresh();
    let store = server.builder(&url, &location).open().await.unwrap();
    store.put("etl/a b%", small()).await.unwrap();
    let root = location.split_once("://coldframe/").unwrap().1;
    let bucket = bucket(server, &url);
    let names = ["data/etl/a b%25/01JD0000000000000000000000.parquet", "data/other/01JD0000000000000000000001.arrow"];
    for name in names {
        let mut upload = bucket.put_multipart(&Path::parse(format!("{root}/{name}")).unwrap()).await.unwrap();
        upload.put_part(PutPayload::from(vec![7; 6 << 20])).await.unwrap();
    }
    let found = store.verify("", None).await.unwrap();
    assert_eq!(found.problems, []);
    let notes: Vec<_> = found.notes.iter().map(|note| (note.kind, note.subject.as_str())).collect();
    assert_eq!(notes, names.map(|name| ("unfinished", name)));
    assert_eq!(store.verify("oth", None).await.unwrap().notes.len(), 1);
    // They may belong to a put that is under way.
    assert_eq!(store.abort_unfinished("", LONG).await.unwrap(), [""; 0]);
    assert_eq!(store.abort_unfinished("oth", Duration::ZERO).await.unwrap(), [names[1]]);
    assert_eq!(store.abort_unfinished("", Duration::ZERO).await.unwrap(), [names[0]]);
    let found = store.verify("", None).await.unwrap();
    assert_eq!((found.problems, found.notes), (vec![], vec![]));
}

#[tokio::test]
async fn stale_uploads_are_found_and_ended_on_s3() {
    stale_uploads_are_found_and_ended(Server::S3).await;
}

#[tokio::test]
async fn stale_uploads_are_found_and_ended_on_gcs() {
    stale_uploads_are_found_and_ended(Server::Gcs).await;
}

#[tokio::test]
async fn staged_files_of_a_dead_put_are_found_and_removed() {
    let (folder, store) = local().await;
    store.put("k", small()).await.unwrap();
    let staged = folder.path().join(".tmp/left");
    std::fs::write(&staged, b"half of it").unwrap();
    let found = store.verify("", None).await.unwrap();
    assert_eq!((found.problems.len(), found.notes.len()), (0, 1), "{found:?}");
    assert!(found.notes[0].message.contains("--abort-unfinished"), "{found:?}");
    assert_eq!(store.abort_unfinished("", LONG).await.unwrap(), [""; 0]);
    assert_eq!(store.abort_unfinished("k", Duration::ZERO).await.unwrap(), [""; 0]);
    assert_eq!(store.abort_unfinished("", Duration::ZERO).await.unwrap(), [".tmp/left"]);
    assert!(!staged.exists());
    assert_eq!(store.verify("", None).await.unwrap().notes, []);
}
