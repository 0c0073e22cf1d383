// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Two S3 servers: s3s-fs checks signatures and keeps a bucket as a folder; moto knows more of S3 and checks no signature.

use std::io::{Read, Write};

use super::{
    installed,
    process::{Missing, Server, command, free_port, program, server_folder},
};

/// The credentials of both.
pub const ACCESS_KEY: &str = "AKEXAMPLE";
/// The credentials of both.
pub const SECRET_KEY: &str = "SKEXAMPLE";
/// The bucket that both have.
pub const BUCKET: &str = "bucket";

/// s3s-fs, installed with cargo.
pub fn s3s_fs() -> Result<Server, Missing> {
    let path = installed().join("s3s/bin/s3s-fs");
    let path = Some(path)
        .filter(|path| path.is_file())
        .or_else(|| program("s3s-fs"));
    let path =
        path.ok_or_else(|| Missing("s3s-fs is not installed; run tests/servers/prepare".to_owned()))?;
    let (folder, port) = (server_folder(), free_port());
    let root = folder.path().join("root");
    std::fs::create_dir(root.join(BUCKET)).map_err(|error| Missing(error.to_string()))?;
    let mut command = command(path);
    command
        .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .arg(root)
        .env("RUST_LOG", "error");
    Server::start(command, port, folder)
}

/// moto, from PyPI.
pub fn moto() -> Result<Server, Missing> {
    let path = installed().join("moto/bin/moto_server");
    if !path.is_file() {
        return Err(Missing(
            "moto is not installed; run tests/servers/prepare".to_owned(),
        ));
    }
    let (folder, port) = (server_folder(), free_port());
    let mut command = command(path);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let server = Server::start(command, port, folder)?;
    make_bucket(port).map_err(|error| Missing(format!("moto made no bucket: {error}")))?;
    Ok(server)
}

fn make_bucket(port: u16) -> std::io::Result<()> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    write!(
        stream,
        "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(std::io::Error::other(answer))
    }
}
