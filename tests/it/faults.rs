//! What a put, a get and a delete promise when something goes wrong: either it is done, or it is as if it never was.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use coldframe::{ErrorKind, ResultStore, VersionState};

use crate::faulty::Faulty;

mod commit;
mod damage;
mod deletes;
mod disk;
mod http;
mod input;
mod kill;
mod lifetime;
mod requests;

/// `rows` rows that no codec makes smaller; the same for the same seed.
pub(crate) fn noise(seed: u64, rows: u64) -> RecordBatch {
    let mixed = |row: u64| {
        let mut bits = (seed << 40 ^ row).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    };
    let column: ArrayRef = Arc::new(UInt64Array::from_iter_values((0..rows).map(mixed)));
    RecordBatch::try_from_iter([("noise", column)]).unwrap()
}

/// Enough rows for three parts of an upload.
pub(crate) const LARGE: u64 = 2_500_000;
/// Enough rows for two.
pub(crate) const PARTED: u64 = 1_200_000;

/// The numbers of the versions of a key that can be read.
pub(crate) async fn live(store: &ResultStore, key: &str) -> Vec<u64> {
    match store.versions(key).await {
        Ok(versions) => {
            let live = versions.iter().filter(|entry| entry.state == VersionState::Live);
            live.map(|entry| entry.version.get()).collect()
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
            Vec::new()
        }
    }
}

pub(crate) async fn table(store: &ResultStore, what: &str) -> RecordBatch {
    store.get(what).await.unwrap().into_table().unwrap().to_batch().unwrap()
}

/// Nothing that was committed is damaged.
pub(crate) async fn assert_sound(store: &ResultStore) {
    let found = store.verify("", None).await.unwrap();
    assert_eq!(found.problems, [], "{found:?}");
}

/// Nothing is there that no version needs.
pub(crate) async fn assert_clean(faulty: &Faulty) {
    let left = faulty.leftovers().await;
    assert!(left.is_empty(), "left behind: {left:?}");
    assert_sound(&faulty.sound().await).await;
}
