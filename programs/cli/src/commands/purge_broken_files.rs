// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `purge-broken-files`: writes versions again without the files that cannot be restored any more.

use duplicati_actors::purge::PurgeWhat;
use duplicati_programs_common::{ExitCode, error_id::ids};

use super::purge::purge;
use crate::{
    failure::{Outcome, failed},
    invocation::Invocation,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    if !invocation.options.filters().is_empty() {
        return Err(failed(
            ids::FILTERS_NOT_ALLOWED_ON_PURGE_BROKEN_FILES,
            "purge-broken-files takes out what is broken and nothing else; leave out --include and --exclude",
        ));
    }
    purge(invocation, PurgeWhat::Broken).await
}
