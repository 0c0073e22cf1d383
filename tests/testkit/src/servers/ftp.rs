// SPDX-License-Identifier: Apache-2.0 OR MIT
//! vsftpd, for anonymous users, so that no account has to be made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::process::{Missing, Server, command, free_port, program, server_folder};

/// The folder below the server's root that may be written to.
pub const FOLDER: &str = "files";

/// vsftpd. Needs root to serve others; refuses a root that can be written to, hence [`FOLDER`].
pub fn vsftpd() -> Result<Server, Missing> {
    start(false)
}

/// The same that takes nobody without TLS, and on data connections only a session that it knows from the login.
pub fn vsftpd_with_tls() -> Result<Server, Missing> {
    start(true)
}

fn start(with_tls: bool) -> Result<Server, Missing> {
    let path = program("vsftpd")
        .ok_or_else(|| Missing("vsftpd is not installed (Debian package vsftpd)".to_owned()))?;
    if !rustix::process::geteuid().is_root() {
        return Err(Missing("vsftpd needs root".to_owned()));
    }
    let (folder, port) = (server_folder(), free_port());
    let root = folder.path().join("root");
    let files = root.join(FOLDER);
    let failed = |error: std::io::Error| Missing(error.to_string());
    fs::create_dir(&files).map_err(failed)?;
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&files, fs::Permissions::from_mode(0o777)).map_err(failed)?;
    fs::create_dir_all("/var/run/vsftpd/empty").map_err(failed)?;
    let mut config = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\nanon_other_write_enable=YES\n\
         anon_world_readable_only=NO\nno_anon_password=YES\nanon_root={}\nanon_umask=022\nseccomp_sandbox=NO\n",
        root.display()
    );
    if with_tls {
        let certificate = make_certificate(folder.path())?;
        config.push_str(&format!(
            "ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\nrequire_ssl_reuse=YES\n\
             rsa_cert_file={0}\nrsa_private_key_file={0}\nssl_ciphers=HIGH\n",
            certificate.display()
        ));
    }
    let path_of_config = folder.path().join("vsftpd.conf");
    fs::write(&path_of_config, config).map_err(failed)?;
    let mut command = command(path);
    command.arg(path_of_config);
    Server::start(command, port, folder)
}

/// A certificate of its own, with the key behind it in one file.
fn make_certificate(folder: &Path) -> Result<PathBuf, Missing> {
    let (key, certificate) = (folder.join("key"), folder.join("certificate"));
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
        ])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(Missing("openssl is not installed".to_owned()));
    }
    let failed = |error: std::io::Error| Missing(error.to_string());
    let both = [&certificate, &key]
        .map(fs::read)
        .into_iter()
        .collect::<Result<Vec<_>, _>>();
    let path = folder.join("both");
    fs::write(&path, both.map_err(failed)?.concat()).map_err(failed)?;
    Ok(path)
}
