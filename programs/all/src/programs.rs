// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The programs inside.

use std::{ffi::OsString, process::ExitCode};

/// What the file with all programs is called.
pub const OWN_NAME: &str = "duplicati-programs";

/// A program: what it is started by, what it does, and its code, which takes the arguments behind the name.
pub struct Program {
    pub name: &'static str,
    pub summary: &'static str,
    pub run: fn(Vec<OsString>) -> ExitCode,
}

/// All of them, in the order in which they are listed.
pub const PROGRAMS: [Program; 7] = [
    Program {
        name: "duplicati-cli",
        summary: "stores, restores and looks after backups",
        run: duplicati_cli::run,
    },
    Program {
        name: "duplicati-server",
        summary: "keeps backups and runs them on schedule or when asked",
        run: duplicati_server::run,
    },
    Program {
        name: "duplicati-server-util",
        summary: "tells a running server what to do",
        run: duplicati_server_util::run,
    },
    Program {
        name: "duplicati-configure",
        summary: "makes certificates for the server and closes its data folder",
        run: duplicati_configure::run,
    },
    Program {
        name: "duplicati-backend-tool",
        summary: "sends one request to a destination",
        run: duplicati_backend_tool::run,
    },
    Program {
        name: "duplicati-backend-tester",
        summary: "tests a destination with random files",
        run: duplicati_backend_tester::run,
    },
    Program {
        name: "duplicati-sync-tool",
        summary: "makes one destination a copy of another",
        run: duplicati_sync_tool::run,
    },
];

/// The program of this name.
pub fn find(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}
