// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Closing the data folder to other users.

use std::{
    fs,
    io::{BufRead, IsTerminal, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use duplicati_programs_common::{Environment, UserError, error_id::ids};

use crate::arguments::Arguments;

/// For the owner alone.
const CLOSED: u32 = 0o700;
/// The bits of everybody else.
const OTHERS: u32 = 0o077;

/// Closes it, after a question.
pub fn run(arguments: &Arguments, environment: &Environment) -> Result<String, UserError> {
    let folder = &arguments.data_folder;
    let of_user = |message: String| UserError::invalid_command_line(ids::DATA_FOLDER_UNUSABLE, message);
    let facts = fs::metadata(folder).map_err(|error| of_user(format!("{}: {error}", folder.display())))?;
    if !facts.is_dir() {
        return Err(of_user(format!("{} is not a folder", folder.display())));
    }
    if facts.uid() != environment.user_id && environment.user_id != 0 {
        return Err(of_user(format!(
            "the data folder {} belongs to the user with the id {}; run this as that user or as root",
            folder.display(),
            facts.uid()
        )));
    }
    let said = |text: String| {
        if arguments.is_on("quiet") {
            String::new()
        } else {
            text
        }
    };
    if facts.mode() & OTHERS == 0 {
        return Ok(said(format!(
            "{} is closed to others already\n",
            folder.display()
        )));
    }
    if !arguments.is_on("apply") {
        if !std::io::stdin().is_terminal() {
            return Err(of_user(format!(
                "{} is open to others (mode {:04o}); close it with --apply",
                folder.display(),
                facts.mode() & 0o7777
            )));
        }
        if !asked(&format!("Close {} to all other users? [y/N] ", folder.display())) {
            return Ok(said("Nothing was changed\n".to_owned()));
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(CLOSED)).map_err(|error| {
        UserError::failed(
            ids::DATA_FOLDER_UNUSABLE,
            format!("failed to close {}: {error}", folder.display()),
        )
    })?;
    Ok(said(format!("{} is closed to others now\n", folder.display())))
}

fn asked(question: &str) -> bool {
    let mut answer = String::new();
    let read = write!(std::io::stdout().lock(), "{question}")
        .and_then(|()| std::io::stdout().flush())
        .and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
