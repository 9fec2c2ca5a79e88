//! A write that no version names yet: what it has stored so far, how long it may take, and how it ends.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::PutPayload;
use object_store::path::Path;
use serde_json::json;

use super::Inner;
use super::commit::{Commit, Demand, Listing, commit, remove};
use super::layout::{self, Due};
use super::lifetime::{Lifetime, RENEWED_EVERY};
use crate::error::{Error, Result};
use crate::reference::{Key, ResultReference, WriteId};

/// A write on its way to its commit; what it has stored is removed when it ends without one.
pub(super) struct Pending {
    store: Arc<Inner>,
    write: WriteId,
    paths: Vec<Path>,
    lifetime: Lifetime,
}

impl Pending {
    /// Begins one, under an identity of its own.
    pub(super) fn start(store: &Arc<Inner>) -> Self {
        let write = WriteId::draw(store.clock.now());
        Self { store: store.clone(), write, paths: Vec::new(), lifetime: Lifetime::start(store, write) }
    }

    pub(super) fn write(&self) -> WriteId {
        self.write
    }

    /// What falls due must be known before the version is.
    pub(super) async fn write_due(&mut self, key: &Key, expires: Option<DateTime<Utc>>) -> Result<()> {
        let Some(expires) = expires else { return Ok(()) };
        let (write, store) = (self.write, &self.store);
        let path = layout::due(expires, write, Due::Expiry)?;
        let entry = json!({"type": "expiry", "format": 1, "key": key, "write": write, "due": expires.to_rfc3339()});
        self.paths.push(path.clone());
        let (objects, payload) = (store.storage.store().clone(), PutPayload::from(entry.to_string()));
        store.storage.cleaning().put(objects, path, payload).await
    }

    /// Where to note down every path before it is written, and what pins the write meanwhile: it comes back only when
    /// the write must end.
    pub(super) fn at_work(&mut self) -> (&mut Vec<Path>, impl Future<Output = Error> + Send) {
        let Self { store, paths, lifetime, .. } = self;
        (paths, keep_alive(store, lifetime))
    }

    /// Commits the reference as the next version of its key.
    ///
    /// In a task of its own, so that whoever drops this future cannot stop a commit halfway.
    pub(super) async fn commit(
        mut self,
        reference: ResultReference,
        demand: Demand,
        listing: Listing,
    ) -> Result<Commit> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            // From here on what was written stays, however this task ends, unless it is certain that nothing names it.
            let (store, mut held) = (self.store.clone(), self.hold());
            let answer = match commit(&store, reference, demand, &held.lifetime, listing).await {
                Ok(Commit::Made(reference)) => {
                    held.lifetime.end(&store).await;
                    Ok(Commit::Made(reference))
                }
                Ok(needless) => {
                    held.clean_up(&store).await;
                    Ok(needless)
                }
                Err(failed) => {
                    // A commit that may still land needs its data, and the pin that keeps it from the sweep.
                    if failed.nothing_committed {
                        held.clean_up(&store).await;
                    }
                    Err(failed.error)
                }
            };
            let _ = sender.send(answer);
        });
        receiver.await.map_err(|_| Error::internal("the commit ended without an answer"))?
    }

    /// Removes what was stored, and gives the error back once nothing of it is left.
    pub(super) async fn give_up(mut self, error: Error) -> Error {
        let store = self.store.clone();
        self.hold().clean_up(&store).await;
        store.storage.cleaning().settled().await;
        error
    }

    /// Takes over what was written: it is no longer removed by itself.
    fn hold(&mut self) -> Held {
        Held { paths: std::mem::take(&mut self.paths), lifetime: self.lifetime.take() }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.paths.is_empty() || self.lifetime.is_pinned() {
            let (store, held) = (self.store.clone(), self.hold());
            self.store.storage.cleaning().start(async move { held.clean_up(&store).await });
        }
    }
}

/// Pins the write while it works; comes back only when it must end.
async fn keep_alive(store: &Inner, lifetime: &mut Lifetime) -> Error {
    loop {
        store.clock.sleep(RENEWED_EVERY).await;
        if let Err(error) = lifetime.renew(store).await {
            return error;
        }
    }
}

/// What was written, once its commit decides what becomes of it.
struct Held {
    paths: Vec<Path>,
    lifetime: Lifetime,
}

impl Held {
    async fn clean_up(mut self, store: &Inner) {
        for path in &self.paths {
            remove(store, path).await;
        }
        self.lifetime.end(store).await;
    }
}
