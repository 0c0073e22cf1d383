// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A parser with samples that it accepts.

use crate::{stored, typed};

/// One parser.
pub struct Target {
    pub name: &'static str,
    /// Gives any bytes to the parser. Panics when something holds not that must hold for every input.
    pub run: fn(&[u8]),
    /// Valid inputs, from which bad ones are made.
    pub samples: fn() -> Vec<Vec<u8>>,
    /// Memory that a parse may take besides a multiple of its input, bytes, and why it is that much.
    pub memory_bytes: usize,
    /// Memory for each byte of input: what the smallest stored item becomes in memory.
    pub memory_factor: usize,
}

/// All targets.
pub fn all() -> impl Iterator<Item = &'static Target> {
    stored::TARGETS.iter().chain(typed::TARGETS)
}

/// The target of a name.
pub fn find(name: &str) -> Option<&'static Target> {
    all().find(|target| target.name == name)
}
