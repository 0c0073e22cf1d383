// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Programs that measure; see `benches/README.md`.
