// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `system-info`: what to know about this program and machine when something is reported.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_backends::registry::KnownSchemes;
use duplicati_programs_common::ExitCode;
use serde_json::{Map, Value};

use crate::{failure::Outcome, invocation::Invocation, results::CommandResult};

pub fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let read = |path: &str| {
        std::fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let lines = [
        ("Program", "duplicati-cli".to_owned()),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("OperatingSystem", operating_system()),
        ("Kernel", read("/proc/sys/kernel/osrelease")),
        ("Architecture", std::env::consts::ARCH.to_owned()),
        ("MachineName", read("/proc/sys/kernel/hostname")),
        ("Processors", cores.to_string()),
        ("UserId", invocation.environment.user_id.to_string()),
        (
            "CurrentFolder",
            invocation.environment.current_folder.display().to_string(),
        ),
        (
            "ProgramFolder",
            invocation.environment.program_folder.display().to_string(),
        ),
        ("DataFolder", invocation.data_folder().display().to_string()),
        (
            "TemporaryFolder",
            invocation.temporary_folder().display().to_string(),
        ),
        ("TimeZone", invocation.begin.strftime("%Q").to_string()),
        ("BackendModules", KnownSchemes.to_string()),
        ("EncryptionModules", "age".to_owned()),
        ("CompressionModules", "zstd".to_owned()),
    ];
    let mut object = Map::new();
    for (name, value) in lines {
        invocation.console.row(format!("{name}: {value}"))?;
        object.insert(name.to_owned(), Value::String(value));
    }
    CommandResult::new(invocation)
        .with_all(Value::Object(object))
        .finish(invocation, None, &ProgressSnapshot::default(), ExitCode::Success)
}

fn operating_system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}
