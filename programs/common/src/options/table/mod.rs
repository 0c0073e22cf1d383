// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every option, declared once.
//!
//! Parser, help, warnings and typed access all read this table; adding an option means adding one entry.

mod backend;
mod backend_more;
mod command_line;
mod identity;
mod maintenance;
mod performance;
mod reports;
mod restore;
mod source;
mod state;
mod storage;
mod transfer;
#[cfg(test)]
mod usage_tests;

use super::spec::OptionSpec;

const TABLES: &[&[OptionSpec]] = &[
    command_line::OPTIONS,
    storage::OPTIONS,
    state::OPTIONS,
    source::OPTIONS,
    transfer::OPTIONS,
    maintenance::OPTIONS,
    restore::OPTIONS,
    performance::OPTIONS,
    identity::OPTIONS,
    reports::SHARED,
    reports::SHARED_XMPP,
    reports::MAIL,
    reports::HTTP,
    reports::CHAT,
    reports::LIVE,
    backend::OPTIONS,
    backend_more::OPTIONS,
    backend_more::FTP,
    backend_more::ALTERNATIVE_FTP,
];

/// All options in the order of declaration.
pub fn all() -> impl Iterator<Item = &'static OptionSpec> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The option with this name or alias, in lower case and without dashes.
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    all()
        .find(|spec| spec.name == name || spec.aliases.contains(&name))
        .or_else(|| all().find(|spec| spec.prefix().is_some_and(|prefix| is_extension(name, prefix))))
}

fn is_extension(name: &str, prefix: &str) -> bool {
    name.len() > prefix.len() && name.starts_with(prefix)
}
