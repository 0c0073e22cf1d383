// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Azurite, the emulator of Azure Blob Storage from npm.

use std::{path::Path, process::Command};

use super::{
    installed,
    process::{Missing, Server, command, free_port, program, server_folder},
};

/// The account that the emulator has.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is public.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The container that [`azurite`] makes.
pub const CONTAINER: &str = "backups";

/// Azurite, with [`CONTAINER`].
pub fn azurite() -> Result<Server, Missing> {
    let script = installed().join("azurite/node_modules/azurite/dist/src/blob/main.js");
    let node = program("node").ok_or_else(|| Missing("node is not installed".to_owned()))?;
    if !script.is_file() {
        return Err(Missing(
            "azurite is not installed; run tests/servers/prepare".to_owned(),
        ));
    }
    let (folder, port) = (server_folder(), free_port());
    let mut command = command(node);
    command
        .arg(script)
        .args([
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &port.to_string(),
            "--silent",
            "--skipApiVersionCheck",
            "--location",
        ])
        .arg(folder.path().join("root"));
    let server = Server::start(command, port, folder)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers/azure_container.py");
    let made = Command::new("python3")
        .arg(script)
        .args([&port.to_string(), ACCOUNT, KEY, CONTAINER])
        .status();
    match made {
        Ok(status) if status.success() => Ok(server),
        other => Err(Missing(format!(
            "no container could be made in azurite: {other:?}"
        ))),
    }
}
