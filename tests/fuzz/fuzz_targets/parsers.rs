// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Drives one parser by coverage: `FUZZ_TARGET=tree cargo +nightly fuzz run parsers corpus/tree`; see `docs/testing.md`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&duplicati_parsers::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    duplicati_parsers::find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name} is no target"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
