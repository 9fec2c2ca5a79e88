//! The only place that reads the time.
//!
//! Two clocks, because they answer different questions: [`Clock::now`] is the wall clock, for what people read
//! (`created`, `expires`); [`Clock::elapsed`] counts since the machine started, suspension included, and is what the
//! protocol's limits on slow writers are measured by.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

/// Reads the time, and waits.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed moment of this machine; never goes back, and counts while the machine is suspended.
    fn elapsed(&self) -> Duration;

    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>>;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[cfg(target_os = "linux")]
    fn elapsed(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    // Elsewhere the monotonic clock may stand still during suspension; the wall clock does not.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time")]
    fn elapsed(&self) -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that waits")]
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until it is told to go on.
///
/// ```
/// use std::time::Duration;
/// use coldframe::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::default();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!((clock.now() - before).num_minutes(), 60);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    start: DateTime<Utc>,
    passed: watch::Sender<Duration>,
    hurried: bool,
}

impl ManualClock {
    /// A clock that starts at `start`; whoever sleeps waits until somebody advances it.
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        Self { start, passed: watch::Sender::new(Duration::ZERO), hurried: false }
    }

    /// The same clock, but whoever sleeps advances it instead of waiting.
    #[must_use]
    pub fn hurried(self) -> Self {
        Self { hurried: true, ..self }
    }

    /// Lets `duration` pass.
    pub fn advance(&self, duration: Duration) {
        self.passed.send_modify(|passed| *passed += duration);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::starting_at(DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.passed.borrow()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        let (clock, until) = (self.clone(), self.elapsed() + duration);
        Box::pin(async move {
            if clock.hurried {
                tokio::task::yield_now().await;
                clock.advance(until.saturating_sub(clock.elapsed()));
            }
            let mut passed = clock.passed.subscribe();
            let _ = passed.wait_for(|passed| *passed >= until).await;
        })
    }
}
