// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a store can do. A bit exists only where our code branches on it.

/// Declared abilities of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// `put` is exclusive across machines (S-2, S-3 rest on it).
    pub put_if_absent: bool,
    /// `get` of a range moves only that range.
    pub range_reads: bool,
    /// Requests that may sensibly run at once.
    pub concurrent_requests_max: usize,
}
