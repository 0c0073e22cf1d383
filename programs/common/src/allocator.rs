// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The memory allocator of the C library, set up for what the programs do: buffers of a few MiB that go from thread to thread.
//!
//! The only unsafe code of the programs lives here.

#![allow(unsafe_code)]

/// Size from which a block gets pages of its own, which go back when it is freed, bytes.
#[cfg(target_env = "gnu")]
const OWN_PAGES_BYTES_MIN: libc::c_int = 1 << 20;

/// Makes large buffers go back to the system when they are freed. Without this, glibc raises the size from which blocks get pages of their own with each that is
/// freed, up to 32 MiB; buffers then lie among small objects and keep the pages around them. Restoring 100,000 files took 127 MiB so, and takes 76 MiB.
///
/// To be called first, while there is one thread. Another C library is left as it is.
pub fn hand_back_large_buffers() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes numbers and touches nothing but the allocator's own settings, for which it has a lock.
    let _accepted = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES_MIN) };
}
