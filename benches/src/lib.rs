// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Programs that measure; see `benches/README.md`. Here is what they share.

pub mod plain_loop;
pub mod usage;
