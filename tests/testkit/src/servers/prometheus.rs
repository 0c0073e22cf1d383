// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Prometheus, and the program that checks what it is given.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::process::{Missing, Server, command, free_port, program, server_folder};

/// `promtool` with arguments in a folder, fed with a text: what it said, and whether it was content.
pub fn promtool(folder: &Path, arguments: &[&str], input: &str) -> Result<(bool, String), Missing> {
    let path = program("promtool")
        .ok_or_else(|| Missing("promtool is not installed (Debian package prometheus)".to_owned()))?;
    let failed = |error: std::io::Error| Missing(format!("promtool: {error}"));
    let mut child = Command::new(path)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), said.into_owned()))
}

/// A server with this configuration; files that it names are looked for from `/`.
pub fn prometheus(configuration: &str) -> Result<Server, Missing> {
    let path = program("prometheus")
        .ok_or_else(|| Missing("prometheus is not installed (Debian package prometheus)".to_owned()))?;
    let (folder, port) = (server_folder(), free_port());
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, configuration).map_err(|error| Missing(error.to_string()))?;
    let mut command = command(path);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    Server::start(command, port, folder)
}
