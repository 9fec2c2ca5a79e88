//! How long a put may take: the pins of slow writers, and the 15-minute rule.

use std::time::Duration;

use object_store::ObjectStoreExt;

use super::Inner;
use super::layout;
use crate::error::{Error, ErrorKind, Result};
use crate::reference::WriteId;
use crate::storage::failure;

/// A put older than this is pinned.
const PINNED_AFTER: Duration = Duration::from_secs(5 * 60);
/// How often a pin is renewed.
pub(crate) const RENEWED_EVERY: Duration = Duration::from_secs(60);
/// A gap longer than this between a put's first request, its pins and its commit ends the put.
const LONGEST_GAP: Duration = Duration::from_secs(15 * 60);

/// The life of one put, by the clock that counts suspension.
#[derive(Debug, Clone)]
pub(crate) struct Lifetime {
    write: WriteId,
    started: Duration,
    /// When the last pin was sent that was answered; the start before there is one.
    confirmed: Duration,
    pinned: bool,
}

impl Lifetime {
    pub(crate) fn start(store: &Inner, write: WriteId) -> Self {
        let now = store.clock.elapsed();
        Self { write, started: now, confirmed: now, pinned: false }
    }

    /// Refuses to go on after too long a gap; asked before every sending of the commit.
    pub(crate) fn check(&self, store: &Inner) -> Result<()> {
        let gap = store.clock.elapsed().saturating_sub(self.confirmed);
        if gap <= LONGEST_GAP {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, format!("it stood still for {} minutes", gap.as_secs() / 60))
            .with_hint("its data may have been swept away meanwhile, so nothing was committed: try again"))
    }

    /// Pins the put if it is old enough; to be called about every minute.
    pub(crate) async fn renew(&mut self, store: &Inner) -> Result<()> {
        self.check(store)?;
        let sent = store.clock.elapsed();
        if sent.saturating_sub(self.started) < PINNED_AFTER || sent.saturating_sub(self.confirmed) < RENEWED_EVERY {
            return Ok(());
        }
        // It may be there from now on, whatever becomes of the answer.
        self.pinned = true;
        let answer = store.storage.store().put(&layout::pin(self.write)?, self.write.to_string().into()).await;
        match answer {
            // An answer that comes after the gap does not revive the put.
            Ok(_) => {
                self.check(store)?;
                self.confirmed = sent;
            }
            Err(error) => tracing::warn!(error = %failure(error), write = %self.write, "a pin could not be renewed"),
        }
        Ok(())
    }

    /// Whether there may be a pin to remove.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Hands its pin over to the one that is returned.
    pub(crate) fn take(&mut self) -> Self {
        let taken = self.clone();
        self.pinned = false;
        taken
    }

    /// Removes the pin, once it is certain how the put ended.
    pub(crate) async fn end(&mut self, store: &Inner) {
        if !std::mem::take(&mut self.pinned) {
            return;
        }
        let Ok(path) = layout::pin(self.write) else { return };
        if let Err(error) = store.storage.store().delete(&path).await {
            tracing::debug!(error = %failure(error), write = %self.write, "a pin was left for the sweep");
        }
    }
}
