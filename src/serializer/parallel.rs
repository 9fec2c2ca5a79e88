//! Work on all cores, whose results come in the order of the work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Error, Result};

/// How many threads this machine runs at once. Asked for once: the answer lies in files of the system.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The results of `work` for each of `jobs`, in their order, worked out on `threads` threads. Each thread has a `tool`
/// of its own, which it uses for one job after the other.
///
/// # Errors
///
/// The first error in the order of the threads; what else was under way is finished.
pub(super) fn on_threads<J: Sync, T, R: Send>(
    jobs: &[J],
    threads: usize,
    tool: impl Fn() -> Result<T> + Sync,
    work: impl Fn(&mut T, &J) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<R>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let run = || -> Result<()> {
        let mut own = tool()?;
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let (Some(job), Some(slot)) = (jobs.get(position), done.get(position)) else { return Ok(()) };
            let result = work(&mut own, job)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.min(jobs.len())).map(|_| scope.spawn(run)).collect();
        let own = run();
        let others = helpers
            .into_iter()
            .map(|helper| helper.join().unwrap_or_else(|_| Err(Error::internal("a thread gave up on its work"))));
        others.fold(own, |outcome, other| outcome.and(other))
    })?;
    let results = done.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
    results.collect::<Option<Vec<R>>>().ok_or_else(|| Error::internal("some work was left undone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..1_000).collect();
        for threads in [0, 1, 2, 8] {
            let squares = on_threads(&jobs, threads, || Ok(()), |(), job| Ok(job * job)).unwrap();
            assert_eq!(squares, jobs.iter().map(|job| job * job).collect::<Vec<_>>());
        }
        assert!(on_threads(&[] as &[u64], 4, || Ok(()), |(), job| Ok(*job)).unwrap().is_empty());
    }

    #[test]
    fn an_error_ends_it() {
        let jobs: Vec<u64> = (0..100).collect();
        let odd = |(): &mut (), job: &u64| if *job == 71 { Err(Error::invalid("odd")) } else { Ok(*job) };
        for threads in [1, 2, 8] {
            assert!(on_threads(&jobs, threads, || Ok(()), odd).is_err());
        }
    }
}
