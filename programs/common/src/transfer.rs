// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How requests to a destination are retried, timed and slowed down, as the options say; the stores' decorators take it from here.

use std::time::Duration;

use crate::options::Options;

/// Waits do not grow beyond this, however often they double.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(60 * 60);

/// Settings of all requests of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferOptions {
    /// Tries after the first.
    pub retries: u32,
    /// The wait before trying again.
    pub retry_delay: Duration,
    /// Whether the wait doubles each time.
    pub exponential_backoff: bool,
    /// Bytes per second; none is no limit.
    pub upload_bytes_per_second: Option<u64>,
    /// Bytes per second; none is no limit.
    pub download_bytes_per_second: Option<u64>,
    /// A transfer without progress for this long is given up; none is never.
    pub inactivity_timeout: Option<Duration>,
    /// The same for small requests.
    pub request_timeout: Option<Duration>,
    /// The same for listing.
    pub list_timeout: Option<Duration>,
    /// Whether to list after each upload to see its size.
    pub verify_uploads_by_listing: bool,
    /// Whether names differing only in case are the same.
    pub ignore_case: bool,
    /// Rename with this prefix instead of deleting.
    pub soft_delete_prefix: Option<String>,
    /// Whether renaming at the destination is forbidden.
    pub forbid_rename: bool,
    /// Whether each request is logged.
    pub log_requests: bool,
}

impl TransferOptions {
    /// Reads the options, for a destination of one kind.
    pub fn from_options(options: &Options, scheme: &str) -> Self {
        let span = |name: &str| options.timespan(name).unwrap_or_default().to_duration();
        let limit = |name: &str| Some(span(name)).filter(|span| !span.is_zero());
        let is_unthrottled = options.bool("throttle-disabled")
            || options
                .list("throttle-disabled-backends")
                .iter()
                .any(|name| name.eq_ignore_ascii_case(scheme));
        let rate = |name: &str| options.size(name).filter(|rate| *rate > 0 && !is_unthrottled);
        Self {
            retries: options
                .integer("number-of-retries")
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(u32::MAX),
            retry_delay: span("retry-delay"),
            exponential_backoff: options.bool("retry-with-exponential-backoff"),
            upload_bytes_per_second: rate("throttle-upload"),
            download_bytes_per_second: rate("throttle-download"),
            inactivity_timeout: limit("read-write-timeout"),
            request_timeout: limit("short-timeout"),
            list_timeout: limit("list-timeout"),
            verify_uploads_by_listing: options.bool("list-verify-uploads"),
            ignore_case: options.bool("case-insensitive-remote"),
            soft_delete_prefix: options
                .string("soft-delete-prefix")
                .filter(|prefix| !prefix.is_empty())
                .map(str::to_owned),
            forbid_rename: options.bool("prevent-backend-rename"),
            log_requests: options.bool("log-http-requests"),
        }
    }

    /// The wait before a try, counted from 1 for the first repetition.
    pub fn delay_before(&self, repetition: u32) -> Duration {
        if !self.exponential_backoff {
            return self.retry_delay;
        }
        let factor = 1u32.checked_shl(repetition.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry_delay.saturating_mul(factor).min(RETRY_DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)], scheme: &str) -> TransferOptions {
        let now = "2026-03-31T12:00:00Z[UTC]".parse().expect("a valid time");
        let mut options = Options::defaults(&now);
        for (name, value) in given {
            options
                .set(name, Some(value.as_ref()), &now)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        TransferOptions::from_options(&options, scheme)
    }

    #[test]
    fn defaults_are_those_of_the_table() {
        let transfer = read(&[], "s3");
        assert_eq!(
            (transfer.retries, transfer.retry_delay),
            (5, Duration::from_secs(10))
        );
        assert_eq!(transfer.inactivity_timeout, Some(Duration::from_secs(30)));
        assert_eq!(transfer.list_timeout, Some(Duration::from_secs(600)));
        assert_eq!(transfer.upload_bytes_per_second, None);
    }

    #[test]
    fn limits_can_be_lifted_for_all_or_for_one_kind_of_destination() {
        let slow = ("throttle-upload", "100");
        assert_eq!(read(&[slow], "s3").upload_bytes_per_second, Some(100 << 10));
        assert_eq!(
            read(&[slow, ("throttle-disabled", "true")], "s3").upload_bytes_per_second,
            None
        );
        let except = ("throttle-disabled-backends", "file,S3");
        assert_eq!(read(&[slow, except], "s3").upload_bytes_per_second, None);
        assert_eq!(
            read(&[slow, except], "webdav").upload_bytes_per_second,
            Some(100 << 10)
        );
        assert_eq!(read(&[("short-timeout", "0s")], "s3").request_timeout, None);
    }

    #[test]
    fn waits_double_up_to_an_hour() {
        let steady = read(&[("retry-delay", "4s")], "s3");
        assert_eq!(steady.delay_before(7), Duration::from_secs(4));
        let growing = read(
            &[("retry-delay", "4s"), ("retry-with-exponential-backoff", "true")],
            "s3",
        );
        assert_eq!(growing.delay_before(1), Duration::from_secs(4));
        assert_eq!(growing.delay_before(3), Duration::from_secs(16));
        assert_eq!(growing.delay_before(200), RETRY_DELAY_MAX);
    }
}
