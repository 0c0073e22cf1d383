// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Errors that a person can act on, each with a stable id that scripts match.

use std::fmt;

use crate::exit_code::ExitCode;

/// An error for the user. Printed as a line `ErrorID: <id>` followed by the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserError {
    /// One of [`ids`].
    pub id: &'static str,
    /// What happened, where, and the way out.
    pub message: String,
    /// What the program exits with.
    pub exit_code: ExitCode,
}

impl UserError {
    /// A failure while carrying out a command.
    pub fn failed(id: &'static str, message: impl Into<String>) -> Self {
        Self {
            id,
            message: message.into(),
            exit_code: ExitCode::Failed,
        }
    }

    /// A command line that cannot be carried out as written.
    pub fn invalid_command_line(id: &'static str, message: impl Into<String>) -> Self {
        Self {
            id,
            message: message.into(),
            exit_code: ExitCode::InvalidCommandLine,
        }
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ErrorID: {}\n{}", self.id, self.message)
    }
}

impl std::error::Error for UserError {}

macro_rules! error_ids {
    ($($constant:ident = $text:literal),* $(,)?) => {
        /// Every error id. The texts are part of the command-line contract and never change.
        pub mod ids {
            $(pub const $constant: &str = $text;)*
            /// All ids, for documentation and checks.
            pub const ALL: &[&str] = &[$($text),*];
        }
    };
}

error_ids! {
    NO_SOURCE_FOLDERS = "NoSourceFolders",
    NO_SOURCES = "NoSources",
    SOURCE_IS_MISSING = "SourceIsMissing",
    SOURCE_FOLDER_EMPTY = "SourceFolderEmpty",
    SOURCE_UNAUTHORIZED = "SourceUnauthorized",
    VOLUME_SIZE_TOO_SMALL = "VolumeSizeTooSmall",
    PREFIX_CANNOT_CONTAIN_HYPHENS = "PrefixCannotContainHyphens",
    MULTIPLE_RETENTION_OPTIONS_NOT_SUPPORTED = "MultipleRetentionOptionsNotSupported",
    INTERVAL_CANNOT_BE_BIGGER_THAN_TIME_FRAME = "IntervalCannotBeBiggerThanTimeFrame",
    RETENTION_POLICY_INVALID_VALUE = "RetentionPolicyInvalidValue",
    RETENTION_POLICY_PARSE_ERROR = "RetentionPolicyParseError",
    PARAMETER_CHANGE_NOT_SUPPORTED = "ParameterChangeNotSupported",
    BLOCK_SIZE_CHANGE_NOT_SUPPORTED = "BlockSizeChangeNotSupported",
    SNAPSHOT_FAILED = "SnapshotFailed",
    EMPTY_FILTER_PURGE_NOT_ALLOWED = "EmptyFilterPurgeNotAllowed",
    EMPTY_PASSPHRASE = "EmptyPassphrase",
    PASSPHRASE_MISMATCH = "PassphraseMismatch",
    MISSING_PASSPHRASE = "MissingPassphrase",
    PASSPHRASE_CHANGE_NOT_SUPPORTED = "PassphraseChangeNotSupported",
    PASSPHRASE_CHANGE_UNSUPPORTED = "PassphraseChangeUnsupported",
    PASSPHRASE_ADDITION_NOT_SUPPORTED = "PassphraseAdditionNotSupported",
    PASSPHRASE_REMOVAL_NOT_SUPPORTED = "PassphraseRemovalNotSupported",
    ENCRYPTION_NOT_ALLOWED = "EncryptionNotAllowed",
    BACKEND_NOT_SUPPORTED = "BackendNotSupported",
    BACKEND_NOT_SUPPORTED_HTTP = "BackendNotSupportedHttp",
    EMPTY_REMOTE_FOLDER = "EmptyRemoteFolder",
    EMPTY_REMOTE_LOCATION = "EmptyRemoteLocation",
    EMPTY_REMOTE_LOCATION_WITH_PREFIX = "EmptyRemoteLocationWithPrefix",
    REMOTE_FOLDER_EMPTY_WITH_PREFIX = "RemoteFolderEmptyWithPrefix",
    NO_MATCHING_REMOTE_FILELISTS = "NoMatchingRemoteFilelists",
    REMOTE_FILES_NEWER_THAN_LOCAL_DATABASE = "RemoteFilesNewerThanLocalDatabase",
    MISSING_DBLOCK_FILES = "MissingDblockFiles",
    BACKEND_DOES_NOT_SUPPORT_LOCKING = "BackendDoesNotSupportLocking",
    MISSING_LOCK_DURATION = "MissingLockDuration",
    LOCK_DURATION_TOO_SHORT = "LockDurationTooShort",
    NO_VERSION_FOR_LOCK_OPERATION = "NoVersionForLockOperation",
    NOT_ENOUGH_DESTINATION_SPACE = "NotEnoughDestinationSpace",
    DATABASE_DOES_NOT_EXIST = "DatabaseDoesNotExist",
    DATABASE_FILE_MISSING = "DatabaseFileMissing",
    NO_LOCAL_DATABASE = "NoLocalDatabase",
    MULTIPLE_LOCAL_DATABASE_SOURCES_FOUND = "MultipleLocalDatabaseSourcesFound",
    DATABASE_IS_IN_REPAIR_STATE = "DatabaseIsInRepairState",
    DATABASE_REPAIR_IN_PROGRESS = "DatabaseRepairInProgress",
    DATABASE_IS_PARTIALLY_RECREATED = "DatabaseIsPartiallyRecreated",
    DATABASE_IS_BROKEN_CONSIDER_PURGE = "DatabaseIsBrokenConsiderPurge",
    DATABASE_TIMESTAMP_ERROR = "DatabaseTimestampError",
    CROSS_OS_DATABASE_REUSE_NOT_SUPPORTED = "CrossOsDatabaseReuseNotSupported",
    REPAIR_IS_NOT_POSSIBLE = "RepairIsNotPossible",
    RECREATE_TARGET_DATABASE_EXISTS = "RecreateTargetDatabaseExists",
    NO_BACKUP_AT_DATE = "NoBackupAtDate",
    NO_FILESET_FOUND_FOR_TIME_OR_VERSION = "NoFilesetFoundForTimeOrVersion",
    NO_FILESETS_FOUND = "NoFilesetsFound",
    NEED_TWO_BACKUPS_TO_START_DIFF = "NeedTwoBackupsToStartDiff",
    EMPTY_RESTORE_OPERATION = "EmptyRestoreOperation",
    INVALID_RESTORE_DESTINATION = "InvalidRestoreDestination",
    RESTORE_ALL_FILES_REQUIRES_RESTORE_PATH = "RestoreAllFilesRequiresRestorePath",
    RESTORE_ALL_FILES_REQUIRES_LOCAL_DB = "RestoreAllFilesRequiresLocalDb",
    FAILED_TO_FIND_UNUSED_FILENAME = "FailedToFindUnusedFilename",
    PURGE_WOULD_REMOVE_ENTIRE_FILESET = "PurgeWouldRemoveEntireFileset",
    FILTERS_NOT_ALLOWED_ON_PURGE_BROKEN_FILES = "FiltersNotAllowedOnPurgeBrokenFiles",
    ALL_FILESETS_BROKEN = "AllFilesetsBroken",
    RUN_SCRIPT_TIMEOUT = "RunScriptTimeout",
    RUN_SCRIPT_INVALID_EXIT_CODE = "RunScriptInvalidExitCode",
    INSECURE_DATA_FOLDER_PERMISSIONS = "InsecureDataFolderPermissions",
    // Ids of our own.
    UNKNOWN_OPTION = "UnknownOption",
    INVALID_OPTION_VALUE = "InvalidOptionValue",
    UNKNOWN_COMMAND = "UnknownCommand",
    WRONG_ARGUMENTS = "WrongArguments",
    PARAMETERS_FILE_UNREADABLE = "ParametersFileUnreadable",
    FILTERS_IN_FILE_AND_COMMAND_LINE = "FiltersInFileAndCommandLine",
    INVALID_DESTINATION = "InvalidDestination",
    OPTION_NOT_SUPPORTED = "OptionNotSupported",
    CERTIFICATE_UNUSABLE = "CertificateUnusable",
    DATA_FOLDER_UNUSABLE = "DataFolderUnusable",
    LOCAL_DATABASE_LIST_UNUSABLE = "LocalDatabaseListUnusable",
    LOCAL_DATABASE_UNUSABLE = "LocalDatabaseUnusable",
    LOCAL_DATABASE_IN_USE = "LocalDatabaseInUse",
    WRONG_PASSPHRASE = "WrongPassphrase",
    INVALID_KEY = "InvalidKey",
    WRITE_ONLY_KEY = "WriteOnlyKey",
    REPOSITORY_CHANGED = "RepositoryChanged",
    DESTINATION_OCCUPIED = "DestinationOccupied",
    REMOTE_OPERATION_FAILED = "RemoteOperationFailed",
    REMOTE_OBJECT_DAMAGED = "RemoteObjectDamaged",
    FILE_NOT_FOUND = "FileNotFound",
    RUN_CANCELLED = "RunCancelled",
    COMMAND_NOT_AVAILABLE = "CommandNotAvailable",
    SECRET_PROVIDER_FAILED = "SecretProviderFailed",
    SECRET_NOT_FOUND = "SecretNotFound",
    REPORT_NOT_SENT = "ReportNotSent",
    UNEXPECTED_FAILURE = "UnexpectedFailure",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stands_on_its_own_line_before_the_message() {
        let error = UserError::failed(ids::NO_SOURCES, "nothing to back up");
        assert_eq!(error.to_string(), "ErrorID: NoSources\nnothing to back up");
        assert_eq!(error.exit_code.code(), 100);
    }

    #[test]
    fn ids_are_unique() {
        let mut sorted = ids::ALL.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), ids::ALL.len());
    }
}
