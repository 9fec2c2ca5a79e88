//! A progress bar for long work on a terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::context::Context;
use super::units;
use crate::clock::{Clock, SystemClock};
use crate::store::Progress;

/// Work that is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);
const REDRAW: Duration = Duration::from_millis(100);

/// How much there is to do, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(super) enum Total {
    /// Nobody knows.
    #[default]
    Unknown,
    /// So many rows.
    Rows(u64),
    /// So many bytes of a file, and how many of them were read.
    Read {
        /// The size of the file.
        of: u64,
        /// What was read of it.
        read: Arc<AtomicU64>,
    },
}

/// The bar, while it is shown; dropping it takes it away.
pub(super) struct Bar {
    shown: Option<(ProgressBar, JoinHandle<()>)>,
}

/// Shows how far work is, if people are watching and it takes long.
pub(super) fn watch(context: &Context, progress: &Arc<Progress>, total: Total) -> Bar {
    if context.quiet() || !std::io::stderr().is_terminal() {
        return Bar { shown: None };
    }
    let bar = ProgressBar::hidden();
    let task = tokio::spawn(draw(bar.clone(), progress.clone(), total));
    Bar { shown: Some((bar, task)) }
}

async fn draw(bar: ProgressBar, progress: Arc<Progress>, total: Total) {
    let clock = SystemClock;
    let start = clock.elapsed();
    clock.sleep(PATIENCE).await;
    bar.set_style(style(&total));
    let mut hidden = true;
    loop {
        let (rows, bytes) = (progress.rows.load(Ordering::Relaxed), progress.bytes.load(Ordering::Relaxed));
        let (done, of) = match &total {
            Total::Unknown => (bytes, None),
            Total::Rows(of) => (rows, Some(*of)),
            Total::Read { of, read } => (read.load(Ordering::Relaxed), Some(*of)),
        };
        if let Some(of) = of {
            bar.set_length(of.max(done));
        }
        bar.set_position(done);
        bar.set_message(message(rows, bytes, done, of, clock.elapsed().saturating_sub(start)));
        if std::mem::take(&mut hidden) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.tick();
        clock.sleep(REDRAW).await;
    }
}

fn style(total: &Total) -> ProgressStyle {
    let template = match total {
        Total::Unknown => "{spinner} {msg}",
        _ => "{spinner} [{bar:24}] {percent:>3}% {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn message(rows: u64, bytes: u64, done: u64, of: Option<u64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = (bytes as f64 / seconds) as u64;
    let mut parts = Vec::new();
    if rows > 0 {
        parts.push(units::counted(rows, "row"));
    }
    parts.push(units::bytes(bytes));
    parts.push(format!("{}/s", units::bytes(rate)));
    if let Some(of) = of.filter(|of| done > 0 && *of > done) {
        let left = seconds * (of - done) as f64 / done as f64;
        parts.push(format!("{} left", units::duration(Duration::from_secs_f64(left.min(3e9)))));
    }
    parts.join(", ")
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((bar, task)) = self.shown.take() {
            task.abort();
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_tells_rows_bytes_rate_and_time_left() {
        let told = message(1_500, 1 << 20, 25, Some(100), Duration::from_secs(2));
        assert_eq!(told, "1,500 rows, 1.0 MiB, 512.0 KiB/s, 6s left");
        assert_eq!(message(0, 0, 0, None, Duration::ZERO), "0 B, 0 B/s");
    }
}
