//! Clean-up that goes on after whoever wanted it is gone.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

/// The clean-up that is under way on one storage.
#[derive(Debug, Clone)]
pub(crate) struct Cleaning {
    running: Arc<watch::Sender<usize>>,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { running: Arc::new(watch::Sender::new(0)) }
    }
}

/// Counts down, even where the runtime is shut down in the middle of the work.
struct Running(Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Cleaning {
    /// Starts some; without a runtime it is left to the sweep.
    pub(crate) fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.running.send_modify(|running| *running += 1);
        let running = Running(self.running.clone());
        runtime.spawn(async move {
            work.await;
            drop(running);
        });
    }

    /// Waits until none is under way.
    pub(crate) async fn settled(&self) {
        let mut running = self.running.subscribe();
        let _ = running.wait_for(|running| *running == 0).await;
    }
}
