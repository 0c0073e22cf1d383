// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tests over several crates: real stages on real folders, damage, crashes, properties. Everything is in `tests/`.
