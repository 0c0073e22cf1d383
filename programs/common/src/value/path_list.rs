// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists of paths, separated as in `PATH`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Splits at `:` and leaves out empty parts, so that a trailing separator does no harm.
/// Works on bytes: a path need not be UTF-8.
pub fn split_path_list(list: &OsStr) -> Vec<PathBuf> {
    list.as_bytes()
        .split(|byte| *byte == b':')
        .filter(|part| !part.is_empty())
        .map(|part| PathBuf::from(OsString::from_vec(part.to_vec())))
        .collect()
}
