//! Streams one object onto the storage, in parts once it is large.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::oneshot;

use super::{Cleaning, Storage, failure};
use crate::error::{Error, Result};

const FIRST_PART_BYTES: usize = 8 * 1024 * 1024;
/// After so many parts their size doubles, as long as the budget allows.
const PARTS_OF_ONE_SIZE: usize = 1_000;
/// Storages allow 10,000 parts. From here on their size doubles whatever the budget, so that an object of terabytes fits.
const LAST_PARTS: usize = 8_000;
const LAST_PARTS_OF_ONE_SIZE: usize = 100;
/// No storage takes a larger part than this.
const LARGEST_PART_BYTES: usize = 4_000 * 1024 * 1024;

/// The size of the part after so many others.
fn part_bytes(parts: usize, budget: usize) -> usize {
    let affordable = (budget / 2).max(FIRST_PART_BYTES);
    let usual = (FIRST_PART_BYTES << (parts / PARTS_OF_ONE_SIZE).min(10)).min(affordable);
    let doublings = parts.checked_sub(LAST_PARTS).map_or(0, |last| last / LAST_PARTS_OF_ONE_SIZE + 1);
    usual.saturating_mul(1 << doublings.min(10)).min(LARGEST_PART_BYTES)
}

/// One object on its way. Dropped before it is finished, it leaves nothing behind.
pub(crate) struct Upload {
    store: Arc<dyn ObjectStore>,
    cleaning: Cleaning,
    path: Path,
    held: Vec<Bytes>,
    held_bytes: usize,
    /// Of the whole object, so far.
    bytes: u64,
    in_flight_bytes: usize,
    in_flight: VecDeque<(usize, BoxFuture<'static, Result<(), Error>>)>,
    budget: usize,
    parts: usize,
    multipart: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    /// An upload that holds at most about `budget` bytes.
    pub(crate) fn new(storage: &Storage, cleaning: Cleaning, path: Path, budget: usize) -> Self {
        Self {
            store: storage.store().clone(),
            cleaning,
            path,
            held: Vec::new(),
            held_bytes: 0,
            bytes: 0,
            in_flight_bytes: 0,
            in_flight: VecDeque::new(),
            budget,
            parts: 0,
            multipart: None,
        }
    }

    /// Takes the next bytes.
    pub(crate) async fn push(&mut self, mut bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        loop {
            // Some storages want all parts but the last to be of one size, to the byte.
            let room = part_bytes(self.parts, self.budget).saturating_sub(self.held_bytes);
            if bytes.len() < room {
                self.hold(bytes);
                return Ok(());
            }
            let fitting = bytes.split_to(room);
            self.hold(fitting);
            self.send_part().await?;
        }
    }

    fn hold(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.held_bytes += bytes.len();
            self.held.push(bytes);
        }
    }

    /// Makes the object whole; it is on the storage when this returns.
    pub(crate) async fn finish(mut self) -> Result<()> {
        if self.multipart.is_none() {
            let payload: PutPayload = std::mem::take(&mut self.held).into_iter().collect();
            return self.cleaning.put(self.store.clone(), self.path.clone(), payload).await;
        }
        if self.held_bytes > 0 {
            self.send_part().await?;
        }
        while !self.in_flight.is_empty() {
            self.wait_for_one().await?;
        }
        let Some(mut multipart) = self.multipart.take() else { return Ok(()) };
        let (store, path, bytes) = (self.store.clone(), self.path.clone(), self.bytes);
        let completing = async move {
            let Err(error) = multipart.complete().await else { return Ok(()) };
            // Where its answer was lost, the repetition is told that there is no such upload. Nobody else writes under
            // this name, so an object of this size is the one that was completed.
            if store.head(&path).await.is_ok_and(|meta| meta.size == bytes) {
                return Ok(());
            }
            abort(multipart).await;
            Err(failure(error))
        };
        self.cleaning.see_through(completing, self.store.clone(), self.path.clone()).await
    }

    async fn send_part(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.held_bytes);
        let payload: PutPayload = std::mem::take(&mut self.held).into_iter().collect();
        while !self.in_flight.is_empty() && self.in_flight_bytes + 2 * bytes > self.budget {
            self.wait_for_one().await?;
        }
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            None => {
                let started = self.start().await?;
                self.multipart.insert(started)
            }
        };
        let sending = tokio::spawn(multipart.put_part(payload));
        let sending = async move {
            match sending.await {
                Ok(sent) => sent.map_err(failure),
                Err(error) => Err(Error::internal(format!("an upload ended early: {error}"))),
            }
        };
        self.parts += 1;
        self.in_flight_bytes += bytes;
        self.in_flight.push_back((bytes, sending.boxed()));
        Ok(())
    }

    /// Starts the upload in parts. A request that is dropped on its way could start one that nobody knows, so it is seen
    /// through, and what nobody takes is aborted.
    async fn start(&mut self) -> Result<Box<dyn MultipartUpload>> {
        let (sender, receiver) = oneshot::channel();
        let (store, path, cleaning) = (self.store.clone(), self.path.clone(), self.cleaning.clone());
        self.cleaning.start(async move {
            let started = store.put_multipart(&path).await.map_err(failure);
            let _ = sender.send(started.map(|multipart| Started { multipart: Some(multipart), cleaning }));
        });
        let mut started = receiver.await.map_err(|_| Error::internal("a request ended without an answer"))??;
        started.multipart.take().ok_or_else(|| Error::internal("an upload was started without a name"))
    }

    async fn wait_for_one(&mut self) -> Result<()> {
        if let Some((bytes, sending)) = self.in_flight.front_mut() {
            let sent = sending.await;
            self.in_flight_bytes -= *bytes;
            // Before its error is looked at: what has ended must not be waited for again.
            self.in_flight.pop_front();
            sent?;
        }
        Ok(())
    }
}

/// An upload in parts on its way to whoever started it; aborted if it does not arrive.
struct Started {
    multipart: Option<Box<dyn MultipartUpload>>,
    cleaning: Cleaning,
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(multipart) = self.multipart.take() {
            self.cleaning.start(abort(multipart));
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(multipart) = self.multipart.take() else { return };
        let in_flight = std::mem::take(&mut self.in_flight);
        self.cleaning.start(async move {
            // A part that arrives after the abort would stay, and be paid for.
            futures::future::join_all(in_flight.into_iter().map(|(_, sending)| sending)).await;
            abort(multipart).await;
        });
    }
}

async fn abort(mut multipart: Box<dyn MultipartUpload>) {
    if let Err(error) = multipart.abort().await {
        tracing::warn!(error = %failure(error), "an unfinished upload could not be aborted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_terabytes_and_all_but_the_last_keep_to_the_budget() {
        for (memory, terabytes) in [(16_usize << 20, 4), (192 << 20, 5), (4 << 30, 5)] {
            let budget = memory / 4;
            let sizes: Vec<u64> = (0..10_000).map(|parts| part_bytes(parts, budget) as u64).collect();
            assert!(sizes[..1_000].iter().all(|size| *size == 8 << 20));
            assert!(sizes[..8_000].iter().all(|size| *size <= (budget as u64 / 2).max(8 << 20)));
            assert!(sizes.iter().all(|size| *size <= 4_000 << 20));
            assert!(sizes.iter().sum::<u64>() >= terabytes << 40, "{memory}: {}", sizes.iter().sum::<u64>());
        }
    }
}
