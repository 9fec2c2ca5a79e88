//! Clean-up that goes on after whoever wanted it is gone.

use std::future::Future;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::{oneshot, watch};

use super::failure;
use crate::error::{Error, Result};

/// The clean-up that is under way on one storage, or for one write on it.
#[derive(Debug, Clone)]
pub(crate) struct Cleaning {
    running: Arc<watch::Sender<usize>>,
    /// That of the storage, where this is the clean-up of one write.
    whole: Option<Arc<watch::Sender<usize>>>,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { running: Arc::new(watch::Sender::new(0)), whole: None }
    }
}

/// Counts down, even where the runtime is shut down in the middle of the work.
struct Running(Cleaning);

impl Running {
    fn new(cleaning: &Cleaning) -> Self {
        cleaning.counters().for_each(|running| running.send_modify(|running| *running += 1));
        Self(cleaning.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.counters().for_each(|running| running.send_modify(|running| *running -= 1));
    }
}

impl Cleaning {
    /// The clean-up of one write: it can be waited for alone, and counts as the storage's as well.
    pub(crate) fn of_one_write(&self) -> Self {
        Self { whole: Some(self.running.clone()), ..Self::default() }
    }

    fn counters(&self) -> impl Iterator<Item = &Arc<watch::Sender<usize>>> {
        std::iter::once(&self.running).chain(&self.whole)
    }

    /// Starts some; without a runtime it is left to the sweep.
    pub(crate) fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let running = Running::new(self);
        runtime.spawn(async move {
            work.await;
            drop(running);
        });
    }

    /// Does `work`, which makes the object `path`, to its end even where nobody waits for it any more; the object is
    /// then removed again. A request that is dropped on its way could make it after it was cleaned up.
    pub(crate) async fn see_through(
        &self,
        work: impl Future<Output = Result<()>> + Send + 'static,
        store: Arc<dyn ObjectStore>,
        path: Path,
    ) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.start(async move {
            let done = work.await;
            if sender.send(done).is_err()
                && let Err(error) = store.delete(&path).await
            {
                tracing::debug!(error = %failure(error), %path, "an object was left for the sweep");
            }
        });
        receiver.await.map_err(|_| Error::internal("a request ended without an answer"))?
    }

    /// Writes an object; see [`Cleaning::see_through`].
    pub(crate) async fn put(&self, store: Arc<dyn ObjectStore>, path: Path, payload: PutPayload) -> Result<()> {
        let (objects, name) = (store.clone(), path.clone());
        let work = async move { objects.put(&name, payload).await.map(drop).map_err(failure) };
        self.see_through(work, store, path).await
    }

    /// Waits until none is under way.
    pub(crate) async fn settled(&self) {
        let mut running = self.running.subscribe();
        let _ = running.wait_for(|running| *running == 0).await;
    }
}
