// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where settings and local databases live.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error_id::{UserError, ids};

/// The name of the folder below the user's configuration folder.
const FOLDER_NAME: &str = "Duplicati";

/// Files that show that a folder is a data folder in use.
const MARKS_OF_USE: [&str; 2] = ["Duplicati-server.sqlite", "dbconfig.json"];

/// A file with this name in the data folder switches the check of permissions off.
const INSECURE_MARKER: &str = "insecure-permissions.txt";

/// Decides which folder is the data folder. Creates nothing.
pub fn locate(server_datafolder: Option<&Path>, portable_mode: bool, environment: &Environment) -> PathBuf {
    let from_current = |path: &Path| environment.current_folder.join(path);
    if let Some(path) = server_datafolder {
        return from_current(path);
    }
    if let Some(path) = environment.variable("DUPLICATI__SERVER_DATAFOLDER") {
        return from_current(Path::new(path));
    }
    if portable_mode {
        return environment.program_folder.join("data");
    }
    if let Some(path) = environment.variable("DUPLICATI_HOME") {
        return from_current(Path::new(path));
    }
    // The specification of these folders has relative values ignored.
    if let Some(path) = environment
        .variable("XDG_CONFIG_HOME")
        .map(Path::new)
        .filter(|path| path.is_absolute())
    {
        return path.join(FOLDER_NAME);
    }
    match home(environment) {
        Some(home) => home.join(".config").join(FOLDER_NAME),
        None => without_home(environment),
    }
}

/// Creates the data folder for its owner alone, if it does not exist.
pub fn create(folder: &Path) -> Result<(), UserError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            UserError::failed(
                ids::DATA_FOLDER_UNUSABLE,
                format!(
                    "failed to create the data folder {}: {error}; choose another with --server-datafolder",
                    folder.display()
                ),
            )
        })
}

/// Checks that nobody but the user and root can look into the folder.
pub fn check_permissions(
    folder: &Path,
    allow_insecure: bool,
    environment: &Environment,
) -> Result<(), UserError> {
    let marked = [folder, &environment.program_folder]
        .iter()
        .any(|place| place.join(INSECURE_MARKER).exists());
    if allow_insecure || marked {
        return Ok(());
    }
    let metadata = std::fs::metadata(folder).map_err(|error| {
        UserError::failed(
            ids::DATA_FOLDER_UNUSABLE,
            format!(
                "failed to read the permissions of the data folder {}: {error}",
                folder.display()
            ),
        )
    })?;
    let owned = metadata.uid() == environment.user_id || metadata.uid() == 0;
    let closed = metadata.mode() & 0o077 == 0;
    if owned && closed {
        return Ok(());
    }
    let problem = if owned {
        format!("is open to others (mode {:04o})", metadata.mode() & 0o7777)
    } else {
        format!("belongs to another user (id {})", metadata.uid())
    };
    Err(UserError::failed(
        ids::INSECURE_DATA_FOLDER_PERMISSIONS,
        format!(
            "the data folder {} {problem}, and it holds credentials; run duplicati-configure secure-datafolder, \
             or accept it with --allow-insecure-datafolder",
            folder.display()
        ),
    ))
}

fn home(environment: &Environment) -> Option<PathBuf> {
    if let Some(home) = environment
        .variable("HOME")
        .map(Path::new)
        .filter(|path| path.is_absolute())
    {
        return Some(home.to_owned());
    }
    // systemd sets no HOME for units of root, so the password file is the next authority.
    let entries = std::fs::read_to_string(environment.system_root.join("etc/passwd")).ok()?;
    let user_id = environment.user_id.to_string();
    entries.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let home = Path::new(*fields.get(5)?);
        (fields[2] == user_id && home.is_absolute() && home != Path::new("/")).then(|| home.to_owned())
    })
}

fn without_home(environment: &Environment) -> PathBuf {
    let historical = environment.system_root.join(FOLDER_NAME);
    if MARKS_OF_USE.iter().any(|file| historical.join(file).exists()) {
        return historical;
    }
    environment.system_root.join("var/lib").join(FOLDER_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn root() -> tempfile::TempDir {
        tempfile::tempdir().expect("the temporary folder is writable")
    }

    #[test]
    fn the_first_given_place_wins() {
        let root = root();
        let mut environment = Environment::for_tests(root.path()).with("HOME", "/home/me");
        assert_eq!(
            locate(None, false, &environment),
            Path::new("/home/me/.config/Duplicati")
        );
        environment = environment.with("XDG_CONFIG_HOME", "/config");
        assert_eq!(locate(None, false, &environment), Path::new("/config/Duplicati"));
        environment = environment.with("DUPLICATI_HOME", "/dup");
        assert_eq!(locate(None, false, &environment), Path::new("/dup"));
        assert_eq!(locate(None, true, &environment), root.path().join("program/data"));
        environment = environment.with("DUPLICATI__SERVER_DATAFOLDER", "/env");
        assert_eq!(locate(None, true, &environment), Path::new("/env"));
        assert_eq!(
            locate(Some(Path::new("rel")), true, &environment),
            root.path().join("cwd/rel")
        );
    }

    #[test]
    fn a_missing_home_is_looked_up_in_the_password_file() {
        let root = root();
        let environment = Environment::for_tests(root.path());
        std::fs::create_dir(root.path().join("etc")).expect("created");
        let line = format!("broken\nme:x:{}:0:Me:/users/me:/bin/sh\n", environment.user_id);
        std::fs::write(root.path().join("etc/passwd"), line).expect("written");
        assert_eq!(
            locate(None, false, &environment),
            Path::new("/users/me/.config/Duplicati")
        );
    }

    #[test]
    fn without_any_home_old_data_is_still_found() {
        let root = root();
        let environment = Environment::for_tests(root.path());
        assert_eq!(
            locate(None, false, &environment),
            root.path().join("var/lib/Duplicati")
        );
        std::fs::create_dir(root.path().join("Duplicati")).expect("created");
        assert_eq!(
            locate(None, false, &environment),
            root.path().join("var/lib/Duplicati")
        );
        std::fs::write(root.path().join("Duplicati/dbconfig.json"), "[]").expect("written");
        assert_eq!(locate(None, false, &environment), root.path().join("Duplicati"));
    }

    #[test]
    fn a_new_folder_is_closed_to_others_and_passes_the_check() {
        let root = root();
        let environment = Environment::for_tests(root.path());
        let folder = root.path().join("a/b");
        create(&folder).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(std::fs::metadata(&folder).expect("exists").mode() & 0o777, 0o700);
        assert_eq!(check_permissions(&folder, false, &environment), Ok(()));
    }

    #[test]
    fn an_open_folder_is_refused_unless_accepted_or_marked() {
        let root = root();
        let environment = Environment::for_tests(root.path());
        let folder = root.path().join("open");
        create(&folder).unwrap_or_else(|error| panic!("{error}"));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).expect("changed");
        let error = check_permissions(&folder, false, &environment).expect_err("others can read");
        assert_eq!(error.id, "InsecureDataFolderPermissions");
        assert_eq!(check_permissions(&folder, true, &environment), Ok(()));
        std::fs::write(folder.join(INSECURE_MARKER), "").expect("written");
        assert_eq!(check_permissions(&folder, false, &environment), Ok(()));
    }
}
