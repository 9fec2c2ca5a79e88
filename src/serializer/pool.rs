//! A few threads that do what is ready, the most urgent first, one job straight after the other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// Does jobs on at most so many threads of the runtime's blocking ones.
///
/// A thread takes its next job itself, so that none waits until a task has been woken; it goes back when there is none.
#[derive(Clone)]
pub(super) struct Pool {
    threads: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// By what makes them urgent, then in the order in which they came.
    jobs: BTreeMap<(u64, u64), Job>,
    come: u64,
    at_work: usize,
}

impl Pool {
    /// A pool of at most `threads` threads, and at least one.
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), waiting: Arc::default() }
    }

    /// Has a job done; those with a smaller `turn` are done first. Must be called within a runtime.
    pub(super) fn add(&self, turn: u64, job: impl FnOnce() + Send + 'static) {
        let mut waiting = self.waiting();
        let place = (turn, waiting.come);
        waiting.come += 1;
        waiting.jobs.insert(place, Box::new(job));
        if waiting.at_work < self.threads {
            waiting.at_work += 1;
            let own = self.clone();
            tokio::task::spawn_blocking(move || own.work());
        }
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // Whoever waits for the job finds that it was lost, and the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job; where there is none, the thread counts as gone at once, so that no job waits for it.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        let job = waiting.jobs.pop_first().map(|(_, job)| job);
        if job.is_none() {
            waiting.at_work -= 1;
        }
        job
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn every_job_is_done_whatever_others_do() {
        for threads in [0, 1, 3] {
            let pool = Pool::new(threads);
            let (sender, mut done) = mpsc::unbounded_channel();
            for number in 0..500_u64 {
                let (own, sender) = (pool.clone(), sender.clone());
                pool.add(number % 7, move || {
                    let later = sender.clone();
                    own.add(number, move || {
                        let _ = later.send(number);
                    });
                    assert!(!number.is_multiple_of(50), "a job that panics, on purpose");
                    let _ = sender.send(number);
                });
            }
            drop(sender);
            let mut all = Vec::new();
            while let Some(number) = done.recv().await {
                all.push(number);
            }
            all.sort_unstable();
            let expected: Vec<u64> =
                (0..500).flat_map(|number| std::iter::repeat_n(number, if number % 50 == 0 { 1 } else { 2 })).collect();
            assert_eq!(all, expected);
        }
    }

    #[tokio::test]
    async fn the_most_urgent_is_done_first() {
        let pool = Pool::new(1);
        let (sender, mut done) = mpsc::unbounded_channel();
        let (start, started) = std::sync::mpsc::channel::<()>();
        pool.add(0, move || {
            let _ = started.recv();
        });
        for turn in [5, 3, 4, 3] {
            let sender = sender.clone();
            pool.add(turn, move || {
                let _ = sender.send(turn);
            });
        }
        drop((start, sender));
        let mut all = Vec::new();
        while let Some(turn) = done.recv().await {
            all.push(turn);
        }
        assert_eq!(all, [3, 3, 4, 5]);
    }
}
