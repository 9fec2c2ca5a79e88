//! How often, and for how long, a request to an object store is sent again.

use std::time::Duration;

use super::location::Location;
use super::options::own_duration;
use crate::error::Result;

/// The option: how many times a request that failed is sent again.
pub(super) const MAX_RETRIES: &str = "max_retries";
/// The option: how long after a request was first sent it may be sent again.
pub(super) const RETRY_TIMEOUT: &str = "retry_timeout";
/// Their environment variables.
pub(super) const VARIABLES: [(&str, &str); 2] =
    [(MAX_RETRIES, "COLDFRAME_MAX_RETRIES"), (RETRY_TIMEOUT, "COLDFRAME_RETRY_TIMEOUT")];

/// When a request is given up.
///
/// A request may move a whole part of an upload: 8 MiB at first, 24 MiB beyond some gigabytes (more where the memory
/// budget is more), which a line of 1 MiB/s carries well within `timeout`'s default of five minutes. A part that timed out should get another
/// chance, so the default of `retry_timeout` is longer than that. It is shorter than the 15 minutes for which S3 and
/// Azure accept a signature: a request is sent again as it was signed.
///
/// object_store sends a request again after a status of 5xx, 429 or 408, a connection that failed, and a timeout if the
/// request may be repeated. It waits 0.1 seconds at first, and then a random time of up to three times the wait before,
/// at most 15 seconds: ten retries take some ten seconds. It does not read `Retry-After`: a storage that throttles is respected by these waits alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retries {
    /// How many times a request is sent again.
    pub(super) most: usize,
    /// For how long.
    pub(super) timeout: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 10, timeout: Duration::from_secs(10 * 60) }
    }
}

impl Retries {
    /// What is set for a location.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) naming the option or the variable.
    pub(super) fn of(location: &Location) -> Result<Self> {
        let default = Self::default();
        let most = location.own(MAX_RETRIES)?.and_then(|value| value.parse::<u32>().ok());
        let timeout = location.own(RETRY_TIMEOUT)?.and_then(own_duration);
        Ok(Self { most: most.map_or(default.most, |most| most as usize), timeout: timeout.unwrap_or(default.timeout) })
    }
}
