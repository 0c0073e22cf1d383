// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One file for each command, and the list that joins them to the table of names.
//!
//! A command reads its options, calls the engine, and prints. What two commands share is in neither.

mod affected;
mod backup;
mod backup_follow_up;
pub(crate) mod backup_options;
mod benchmark;
mod changelog;
mod compact;
mod compare;
mod control_files;
mod create_report;
mod delete;
mod dump;
mod example;
mod heal;
mod help;
mod key;
mod list;
mod list_broken_files;
mod list_file_versions;
mod list_filesets;
mod list_folder_content;
mod locks;
mod matching;
mod path_choice;
mod purge;
mod purge_broken_files;
mod remote_sync;
mod repair;
mod restore;
mod search_entries;
mod send_mail;
mod sync;
mod system_info;
mod test;
mod test_filters;
mod unavailable;
mod vacuum;

use std::{future::Future, pin::Pin};

use duplicati_programs_common::ExitCode;

use crate::{failure::Outcome, invocation::Invocation};

type Running<'a> = Pin<Box<dyn Future<Output = Outcome<ExitCode>> + 'a>>;

/// How a command is carried out.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Here and now.
    Direct(fn(&Invocation) -> Outcome<ExitCode>),
    /// On a runtime, because it talks to a destination.
    Runtime(for<'a> fn(&'a Invocation) -> Running<'a>),
}

macro_rules! running {
    ($module:ident) => {
        Handler::Runtime(|invocation| Box::pin($module::run(invocation)))
    };
}

/// One line per command.
const HANDLERS: &[(&str, Handler)] = &[
    ("help", Handler::Direct(help::run)),
    ("example", Handler::Direct(example::run)),
    ("changelog", Handler::Direct(changelog::run)),
    ("backup", running!(backup)),
    ("restore", running!(restore)),
    ("find", running!(list)),
    ("list", running!(list)),
    ("list-filesets", running!(list_filesets)),
    ("list-folder-content", running!(list_folder_content)),
    ("list-file-versions", running!(list_file_versions)),
    ("search-entries", running!(search_entries)),
    ("compare", running!(compare)),
    ("delete", running!(delete)),
    ("compact", running!(compact)),
    ("test", running!(test)),
    ("affected", running!(affected)),
    ("repair", running!(repair)),
    ("purge", running!(purge)),
    ("purge-broken-files", running!(purge_broken_files)),
    ("list-broken-files", running!(list_broken_files)),
    ("dump", running!(dump)),
    ("key", running!(key)),
    ("sync", running!(sync)),
    ("benchmark", running!(benchmark)),
    ("create-report", running!(create_report)),
    ("test-filters", Handler::Direct(test_filters::run)),
    ("system-info", Handler::Direct(system_info::run)),
    ("vacuum", running!(vacuum)),
    ("send-mail", running!(send_mail)),
    (
        "set-locks",
        Handler::Runtime(|invocation| Box::pin(locks::set(invocation))),
    ),
    (
        "read-lock-info",
        Handler::Runtime(|invocation| Box::pin(locks::read(invocation))),
    ),
];

/// The handler of a command of the table.
pub fn handler(name: &str) -> Handler {
    HANDLERS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(Handler::Direct(unavailable::run), |(_, handler)| *handler)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands of the table that this version does not carry out.
    const NOT_AVAILABLE: &[&str] = &[];

    #[test]
    fn every_command_of_the_table_has_a_handler_or_is_known_to_have_none() {
        let missing: Vec<_> = duplicati_programs_common::commands::COMMANDS
            .iter()
            .map(|command| command.name)
            .filter(|name| !HANDLERS.iter().any(|(known, _)| known == name))
            .collect();
        assert_eq!(missing, NOT_AVAILABLE);
    }

    #[test]
    fn every_handler_belongs_to_a_command() {
        for (name, _) in HANDLERS {
            assert!(
                duplicati_programs_common::commands::find(name).is_some(),
                "{name}"
            );
        }
    }
}
