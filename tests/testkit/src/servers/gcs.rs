// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An emulator of Google Cloud Storage from PyPI. It takes no conditions on writing.

use super::{
    installed,
    process::{Missing, Server, command, free_port, server_folder},
};

/// The bucket that the emulator has.
pub const BUCKET: &str = "backups";

/// gcp-storage-emulator, with [`BUCKET`].
pub fn emulator() -> Result<Server, Missing> {
    let program = installed().join("gcs/bin/gcp-storage-emulator");
    if !program.is_file() {
        return Err(Missing(
            "gcp-storage-emulator is not installed; run tests/servers/prepare".to_owned(),
        ));
    }
    let (folder, port) = (server_folder(), free_port());
    let mut command = command(program);
    command
        .args(["start", "--host", "127.0.0.1", "--in-memory", "--quiet"])
        .args(["--port", &port.to_string(), "--default-bucket", BUCKET]);
    Server::start(command, port, folder)
}
