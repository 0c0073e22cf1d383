// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `list-file-versions`: what each version has under the given paths.

use std::os::unix::ffi::OsStrExt;

use duplicati_programs_common::ExitCode;

use super::list;
use crate::{
    connection::Target,
    failure::Outcome,
    invocation::Invocation,
    versions::{self, Otherwise},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    let chosen = versions::choose(invocation, &all, Otherwise::All)?;
    let trees = connection.trees(invocation).await?;
    let mut found = 0;
    for path in invocation.arguments_from(1) {
        let path = path.as_bytes();
        let mut entries = Vec::with_capacity(chosen.len());
        for version in &chosen {
            entries.push(trees.entry_at(&version.root(), path).await?);
        }
        if entries.iter().all(Option::is_none) {
            let shown = crate::output::text::display_path(path);
            invocation
                .log
                .warning("FileNotFound", &format!("{shown} is in none of the versions"));
            continue;
        }
        found += 1;
        list::print_path(invocation, &chosen, path, &entries)?;
    }
    list::finish(invocation, &connection, found)
}
