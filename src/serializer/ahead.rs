//! Reads a part ahead of its use, as far as the budget allows, so that round trips overlap.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{CheckedSource, Source};
use crate::error::{Error, Result};

/// Which share of the memory budget is read ahead; the rest is for what is being decoded, and for what comes out.
pub(super) const AHEAD_SHARE: usize = 6;
/// So many steps are under way at once at most, however small they are.
const STEPS: usize = 16;
/// Ranges that are closer than this may be fetched together, with what lies between them.
const GAP_BYTES: u64 = 1024 * 1024;

/// Ranges that are read, and used, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) ranges: Vec<Range<u64>>,
    /// Whether it is certain enough to be used that it may be read before its turn.
    pub(super) ahead: bool,
}

impl Step {
    pub(super) fn new(ranges: Vec<Range<u64>>) -> Self {
        Self { ranges, ahead: true }
    }

    /// What it takes in memory at most: what lies between its ranges may be fetched with them.
    pub(super) fn bytes(&self) -> u64 {
        let mut sorted: Vec<&Range<u64>> = self.ranges.iter().collect();
        sorted.sort_unstable_by_key(|range| range.start);
        let (mut bytes, mut end) = (0, None);
        for range in sorted {
            let between = end.map(|end| range.start.saturating_sub(end)).filter(|gap| *gap <= GAP_BYTES);
            bytes += range.end - range.start + between.unwrap_or_default();
            end = end.max(Some(range.end));
        }
        bytes
    }
}

/// Steps in their order, several of them under way at once.
#[derive(Debug)]
pub(super) struct ReadAhead {
    source: Arc<CheckedSource>,
    waiting: VecDeque<Step>,
    under_way: VecDeque<(Step, Reading)>,
    /// The bytes of the step that was handed out last: they are in use.
    in_use: u64,
    budget: u64,
}

/// A read in a task of its own, which ends with this.
#[derive(Debug)]
struct Reading(JoinHandle<Result<Vec<Bytes>>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ReadAhead {
    /// Reads `steps`, holding at most about `budget` bytes, or one step if that is larger.
    pub(super) fn new(source: Arc<CheckedSource>, steps: impl IntoIterator<Item = Step>, budget: usize) -> Self {
        Self {
            source,
            waiting: steps.into_iter().collect(),
            under_way: VecDeque::new(),
            in_use: 0,
            budget: budget as u64,
        }
    }

    /// Reads a whole part in pieces of `bytes`.
    pub(super) fn whole(source: Arc<dyn Source>, bytes: u64, budget: usize) -> Result<Self> {
        let size = source.part().size;
        // First, because it refuses a size that the checksums do not cover.
        let source = Arc::new(CheckedSource::whole(source)?);
        let pieces = (0..size).step_by(position(bytes)).map(|start| start..(start + bytes).min(size));
        let mut steps: Vec<Step> = pieces.map(|range| Step::new(vec![range])).collect();
        if steps.is_empty() {
            // Whether it is there at all, only a read tells.
            let nothing = 0..0;
            steps.push(Step::new(vec![nothing]));
        }
        Ok(Self::new(source, steps, budget))
    }

    /// The bytes of the next step's ranges; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>> {
        self.in_use = 0;
        self.start();
        if self.under_way.is_empty() {
            match self.waiting.pop_front() {
                Some(step) => self.send(step),
                None => return Ok(None),
            }
        }
        let Some((_, reading)) = self.under_way.front_mut() else { return Ok(None) };
        let read = (&mut reading.0).await.map_err(|error| Error::internal(format!("a read ended early: {error}")))?;
        self.in_use = self.under_way.pop_front().map_or(0, |(step, _)| step.bytes());
        self.start();
        read.map(Some)
    }

    fn start(&mut self) {
        let mut held = self.in_use + self.under_way.iter().map(|(step, _)| step.bytes()).sum::<u64>();
        while let Some(step) = self.waiting.front()
            && step.ahead
            && self.under_way.len() < STEPS
            && held + step.bytes() <= self.budget
            && let Some(step) = self.waiting.pop_front()
        {
            held += step.bytes();
            self.send(step);
        }
    }

    fn send(&mut self, step: Step) {
        let (source, ranges) = (self.source.clone(), step.ranges.clone());
        let reading = tokio::spawn(async move { source.read(&ranges).await });
        self.under_way.push_back((step, Reading(reading)));
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
