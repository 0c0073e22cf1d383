// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Three WebDAV servers: rclone, Apache with `mod_dav`, nginx with dav-ext; Apache with Digest as well.

use std::{fs, path::Path, process::Stdio};

use super::process::{Missing, Server, command, free_port, open_to_all, program, server_folder};

/// The user of all of them.
pub const USER: &str = "tester";
/// Its password.
pub const PASSWORD: &str = "open sesame";

/// How a server asks for the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// In the clear.
    Basic,
    /// By challenge.
    Digest,
}

fn found(name: &str, package: &str) -> Result<std::path::PathBuf, Missing> {
    program(name).ok_or_else(|| Missing(format!("{name} is not installed (Debian package {package})")))
}

/// `rclone serve webdav`.
pub fn rclone() -> Result<Server, Missing> {
    let path = found("rclone", "rclone")?;
    let (folder, port) = (server_folder(), free_port());
    let mut command = command(path);
    command
        .args([
            "serve",
            "webdav",
            "--addr",
            &format!("127.0.0.1:{port}"),
            "--user",
            USER,
            "--pass",
            PASSWORD,
        ])
        .arg(folder.path().join("root"))
        .env("RCLONE_CONFIG", "/dev/null");
    Server::start(command, port, folder)
}

/// Apache with `mod_dav`.
pub fn apache(sign_in: SignIn) -> Result<Server, Missing> {
    let path = found("apache2", "apache2")?;
    let (folder, port) = (server_folder(), free_port());
    let place = folder.path();
    let here = place.display();
    fs::create_dir(place.join("run")).map_err(|error| Missing(error.to_string()))?;
    let (kind, provider, module) = match sign_in {
        SignIn::Basic => {
            let hash = hash_of_password()?;
            write(&place.join("users"), &format!("{USER}:{hash}\n"))?;
            ("Basic", "AuthUserFile", "auth_basic")
        }
        SignIn::Digest => {
            let hash = md5_of(&format!("{USER}:dav:{PASSWORD}"))?;
            write(&place.join("users"), &format!("{USER}:dav:{hash}\n"))?;
            ("Digest", "AuthUserFile", "auth_digest")
        }
    };
    let mut config = format!(
        "ServerRoot /usr/lib/apache2\nPidFile {here}/run/pid\nListen 127.0.0.1:{port}\nServerName localhost\n"
    );
    for name in [
        "mpm_event",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        module,
        "alias",
        "dir",
        "mime",
        "dav",
        "dav_fs",
        "dav_lock",
    ] {
        config.push_str(&format!("LoadModule {name}_module modules/mod_{name}.so\n"));
    }
    if rustix::process::geteuid().is_root() {
        config.push_str("User www-data\nGroup www-data\n");
        for name in ["root", "run"] {
            give_to_web_server(&place.join(name))?;
        }
    }
    config.push_str(&format!(
        "TypesConfig /etc/mime.types\nErrorLog {here}/error.log\nDavLockDB {here}/run/lock\nDocumentRoot {here}/root\n\
         DefaultRuntimeDir {here}/run\nStartServers 1\n<Directory {here}/root>\nDav On\nDirectoryIndex disabled\nAuthType {kind}\n\
         AuthName dav\n{provider} {here}/users\nRequire valid-user\n</Directory>\n"
    ));
    write(&place.join("apache.conf"), &config)?;
    let mut command = command(path);
    command
        .arg("-f")
        .arg(place.join("apache.conf"))
        .arg("-DFOREGROUND");
    Server::start(command, port, folder)
}

/// nginx with its own DAV module and dav-ext.
pub fn nginx() -> Result<Server, Missing> {
    let path = found("nginx", "nginx-light")?;
    let module = Path::new("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so");
    if !module.is_file() {
        return Err(Missing(
            "dav-ext is not installed (Debian package libnginx-mod-http-dav-ext)".to_owned(),
        ));
    }
    let (folder, port) = (server_folder(), free_port());
    let place = folder.path();
    let here = place.display();
    write(&place.join("users"), &format!("{USER}:{}\n", hash_of_password()?))?;
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let config = format!(
        "load_module {};\n{user}\ndaemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/error.log;\n\
         events {{ worker_connections 256; }}\nhttp {{\n  access_log off;\n  client_body_temp_path {here}/body;\n  \
         proxy_temp_path {here}/p;\n  fastcgi_temp_path {here}/f;\n  uwsgi_temp_path {here}/u;\n  scgi_temp_path {here}/s;\n  \
         client_max_body_size 0;\n  server {{\n    listen 127.0.0.1:{port};\n    root {here}/root;\n    location / {{\n      \
         dav_methods PUT DELETE MKCOL COPY MOVE;\n      dav_ext_methods PROPFIND OPTIONS;\n      auth_basic dav;\n      \
         auth_basic_user_file {here}/users;\n    }}\n  }}\n}}\n",
        module.display()
    );
    write(&place.join("nginx.conf"), &config)?;
    let mut command = command(path);
    command
        .arg("-c")
        .arg(place.join("nginx.conf"))
        .arg("-p")
        .arg(place);
    Server::start(command, port, folder)
}

fn write(path: &Path, text: &str) -> Result<(), Missing> {
    fs::write(path, text).map_err(|error| Missing(format!("{}: {error}", path.display())))
}

fn output_of(name: &str, arguments: &[&str]) -> Result<String, Missing> {
    let output = std::process::Command::new(found(name, name)?)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .map_err(|error| Missing(format!("failed to run {name}: {error}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn hash_of_password() -> Result<String, Missing> {
    output_of("openssl", &["passwd", "-apr1", PASSWORD])
}

fn md5_of(text: &str) -> Result<String, Missing> {
    let folder = server_folder();
    let path = folder.path().join("text");
    write(&path, text)?;
    let line = output_of("md5sum", &[&path.to_string_lossy()])?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

fn give_to_web_server(path: &Path) -> Result<(), Missing> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.starts_with("www-data:"));
    let ids: Vec<u32> = line
        .into_iter()
        .flat_map(|line| line.split(':').skip(2).take(2))
        .filter_map(|id| id.parse().ok())
        .collect();
    let [user, group] = ids[..] else {
        return Err(Missing("there is no user www-data".to_owned()));
    };
    open_to_all(path);
    std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(|error| Missing(error.to_string()))
}
