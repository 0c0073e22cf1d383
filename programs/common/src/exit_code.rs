// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The numbers that programs exit with; scripts and schedulers rely on them.

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The command succeeded.
    Success = 0,
    /// The backup succeeded and there was nothing to upload.
    NoChanges = 1,
    /// The command completed with warnings.
    Warnings = 2,
    /// The command completed with errors, or found damaged files.
    Errors = 3,
    /// The backup stopped early and left a usable partial version.
    Partial = 50,
    /// The command failed; standard error carries the error id and the message.
    Failed = 100,
    /// The command line is invalid or the command unknown; nothing was done.
    InvalidCommandLine = 200,
}

impl ExitCode {
    /// All codes, in the order in which help lists them.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::NoChanges,
        Self::Warnings,
        Self::Errors,
        Self::Partial,
        Self::Failed,
        Self::InvalidCommandLine,
    ];

    /// The number given to the operating system.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// One line for help.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::NoChanges => "the backup succeeded and nothing had changed, so nothing was uploaded",
            Self::Warnings => "completed, with warnings",
            Self::Errors => "completed with errors, or damaged files were found",
            Self::Partial => "the backup stopped early and left a usable partial version",
            Self::Failed => "failed; the error id and message are on standard error",
            Self::InvalidCommandLine => {
                "the command line is invalid or the command unknown; nothing was done"
            }
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}
