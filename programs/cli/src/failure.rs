// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a command ended without a result: everything becomes an error id and a sentence.

use std::io;

use duplicati_actors::error::RunError;
use duplicati_backends::OpenError;
use duplicati_engine::{
    index::local::LocalError,
    repository::RepositoryError,
    storage::{StoreError, StoreErrorKind},
};
use duplicati_programs_common::{UserError, error_id::ids, target};

/// The end of a command.
#[derive(Debug)]
pub enum Failure {
    /// Something that the user is told.
    User(UserError),
    /// Whoever read our output has gone; nobody is left to be told.
    OutputClosed,
}

/// What commands return.
pub type Outcome<T> = Result<T, Failure>;

/// A failure with an id and a sentence.
pub fn failed(id: &'static str, message: impl Into<String>) -> Failure {
    Failure::User(UserError::failed(id, message))
}

/// A command line that cannot be carried out.
pub fn wrong_arguments(message: impl Into<String>) -> Failure {
    Failure::User(UserError::invalid_command_line(ids::WRONG_ARGUMENTS, message))
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        Self::User(error)
    }
}

/// Errors of standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        failed(
            ids::UNEXPECTED_FAILURE,
            format!("failed to write to standard output: {error}"),
        )
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        failed(repository_id(&error), error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        failed(store_id(&error), error.to_string())
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        failed(ids::LOCAL_DATABASE_UNUSABLE, error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::User(target::open_error(&error))
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let id = match &error {
            RunError::Cancelled | RunError::Interrupted => ids::RUN_CANCELLED,
            RunError::Repository(error) => repository_id(error),
            RunError::Panicked { .. } | RunError::Refused(_) | RunError::Check { .. } => {
                ids::UNEXPECTED_FAILURE
            }
        };
        failed(id, error.to_string())
    }
}

fn repository_id(error: &RepositoryError) -> &'static str {
    match error {
        RepositoryError::Store(error) => store_id(error),
        RepositoryError::Absent { .. } => ids::EMPTY_REMOTE_LOCATION,
        RepositoryError::Occupied { .. } | RepositoryError::ConfigLost { .. } => ids::DESTINATION_OCCUPIED,
        RepositoryError::NeedsKey { .. } => ids::MISSING_PASSPHRASE,
        RepositoryError::WrongKey { .. } => ids::WRONG_PASSPHRASE,
        RepositoryError::NotEncrypted { .. } => ids::PASSPHRASE_ADDITION_NOT_SUPPORTED,
        RepositoryError::WriteOnlyKey { .. } => ids::WRITE_ONLY_KEY,
        RepositoryError::Object { .. } => ids::REMOTE_OBJECT_DAMAGED,
        RepositoryError::MissingChunk { .. } => ids::MISSING_DBLOCK_FILES,
        RepositoryError::Seal(_) => ids::INVALID_KEY,
        RepositoryError::Local(_) => ids::LOCAL_DATABASE_UNUSABLE,
        _ => ids::UNEXPECTED_FAILURE,
    }
}

fn store_id(error: &StoreError) -> &'static str {
    match error.kind {
        StoreErrorKind::NoSpace => ids::NOT_ENOUGH_DESTINATION_SPACE,
        StoreErrorKind::NotFound if matches!(error.operation, "prepare" | "list") => {
            ids::EMPTY_REMOTE_LOCATION
        }
        _ => ids::REMOTE_OPERATION_FAILED,
    }
}
