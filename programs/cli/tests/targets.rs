// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The whole story of a backup on targets behind a network, and what users are told when something is wrong with one.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use duplicati_testkit::servers::{
    self, Server, free_port, or_skip,
    s3::{ACCESS_KEY, BUCKET, SECRET_KEY},
    ssh::{self, SshServer},
    webdav::{PASSWORD, SignIn, USER},
};
use support::{Outcome, World};

/// A destination with the options that belong to it.
struct Place {
    url: String,
    options: Vec<String>,
}

impl Place {
    fn s3(server: &Server) -> Self {
        Self {
            url: format!("s3://{BUCKET}/laptop"),
            options: vec![
                format!("--s3-server-name=127.0.0.1:{}", server.port),
                format!("--auth-username={ACCESS_KEY}"),
                format!("--auth-password={SECRET_KEY}"),
            ],
        }
    }

    fn webdav(server: &Server) -> Self {
        Self {
            url: format!("webdav://127.0.0.1:{}/backups/laptop", server.port),
            options: vec![
                format!("--auth-username={USER}"),
                format!("--auth-password={PASSWORD}"),
            ],
        }
    }

    fn openssh(server: &SshServer) -> Self {
        Self {
            url: format!(
                "ssh://127.0.0.1:{}{}/backups/laptop",
                server.port(),
                server.home().display()
            ),
            options: vec![
                format!("--auth-username={}", ssh::USER),
                format!("--auth-password={}", ssh::PASSWORD),
                format!("--ssh-fingerprint={}", server.fingerprint("ed25519", "sha256")),
            ],
        }
    }

    fn with(mut self, option: &str) -> Self {
        let name = option.split('=').next().unwrap();
        self.options.retain(|other| other.split('=').next() != Some(name));
        self.options.push(option.to_owned());
        self
    }

    fn run(&self, world: &World, command: &str, more: &[&str]) -> Outcome {
        let mut arguments = vec![
            command.to_owned(),
            self.url.clone(),
            "--passphrase=secret".to_owned(),
        ];
        arguments.extend(self.options.iter().cloned());
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let outcome = world.run(&arguments);
        for secret in [SECRET_KEY, PASSWORD, ssh::PASSWORD] {
            let shown = outcome.stdout.contains(secret) || outcome.stderr.contains(secret);
            assert!(!shown, "a secret is shown: {}{}", outcome.stdout, outcome.stderr);
        }
        outcome
    }

    fn backup(&self, world: &World) -> Outcome {
        self.run(world, "backup", &[world.source().to_str().unwrap()])
    }
}

fn restores(place: &Place, world: &World, folder: &str, first: &str) {
    let option = format!("--restore-path={}", world.path(folder).display());
    place.run(world, "restore", &[&option]).expect(0);
    assert_eq!(
        std::fs::read_to_string(world.path(folder).join("a.txt")).unwrap(),
        first
    );
    assert_eq!(
        std::fs::read(world.path(folder).join("sub/b.bin")).unwrap(),
        std::fs::read(world.source().join("sub/b.bin")).unwrap()
    );
}

/// Backup, change, backup, restore, delete, compact, test, repair, and a restore on a machine that knows nothing.
fn keeps_the_whole_story(place: &Place) {
    let world = World::new();
    place.backup(&world).expect(0);
    place.backup(&world).expect(1);
    restores(place, &world, "first", "hello\n");
    std::fs::write(world.source().join("a.txt"), "changed\n").unwrap();
    let noise: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(world.source().join("sub/b.bin"), noise).unwrap();
    place.backup(&world).expect(0);
    restores(place, &world, "second", "changed\n");
    place.run(&world, "test", &["all"]).expect(0);
    place.run(&world, "delete", &["--version=1"]).expect(0);
    place.run(&world, "compact", &["--threshold=0"]).expect(0);
    place.run(&world, "test", &["all"]).expect(0);
    place.run(&world, "repair", &[]).expect(0);
    std::fs::remove_dir_all(world.path("home")).unwrap();
    restores(place, &world, "elsewhere", "changed\n");
    place.run(&world, "repair", &[]).expect(0);
    place.backup(&world).expect(1);
}

#[test]
fn the_whole_story_holds_on_s3s_fs() {
    let Some(server) = or_skip("story on s3s-fs", servers::s3::s3s_fs()) else {
        return;
    };
    keeps_the_whole_story(&Place::s3(&server).with("--no-conditional-writes"));
}

#[test]
fn the_whole_story_holds_on_moto() {
    let Some(server) = or_skip("story on moto", servers::s3::moto()) else {
        return;
    };
    keeps_the_whole_story(&Place::s3(&server));
}

#[test]
fn the_whole_story_holds_on_webdav_of_rclone() {
    let Some(server) = or_skip("story on rclone", servers::webdav::rclone()) else {
        return;
    };
    keeps_the_whole_story(&Place::webdav(&server));
}

#[test]
fn the_whole_story_holds_on_webdav_of_apache() {
    let Some(server) = or_skip("story on apache", servers::webdav::apache(SignIn::Basic)) else {
        return;
    };
    keeps_the_whole_story(&Place::webdav(&server));
}

#[test]
fn the_whole_story_holds_on_webdav_of_nginx() {
    let Some(server) = or_skip("story on nginx", servers::webdav::nginx()) else {
        return;
    };
    keeps_the_whole_story(&Place::webdav(&server));
}

#[test]
fn the_whole_story_holds_on_ftp() {
    let Some(server) = or_skip("story on vsftpd", servers::ftp::vsftpd()) else {
        return;
    };
    keeps_the_whole_story(&Place {
        url: format!(
            "ftp://127.0.0.1:{}/{}/backups/laptop",
            server.port,
            servers::ftp::FOLDER
        ),
        options: Vec::new(),
    });
}

#[track_caller]
fn fails_with(outcome: Outcome, words: &[&str]) {
    let outcome = outcome.expect(100);
    for word in words {
        assert!(
            outcome.stderr.contains(word),
            "{word:?} is not in {}",
            outcome.stderr
        );
    }
}

#[test]
fn mistakes_with_s3_are_named() {
    let Some(server) = or_skip("mistakes with s3", servers::s3::s3s_fs()) else {
        return;
    };
    let world = World::new();
    let place = || Place::s3(&server).with("--number-of-retries=0");
    fails_with(
        place().with("--auth-password=wrong").backup(&world),
        &["secret key"],
    );
    fails_with(
        place().with("--auth-username=unknown").backup(&world),
        &["access key"],
    );
    let mut missing = place();
    missing.url = "s3://no-such-bucket/laptop".to_owned();
    fails_with(missing.backup(&world), &["bucket", "create it"]);
    fails_with(place().with("--use-ssl").backup(&world), &["TLS"]);
    let nobody = format!("--s3-server-name=127.0.0.1:{}", free_port());
    fails_with(
        place().with(&nobody).backup(&world),
        &["cannot be reached", "refused"],
    );
    fails_with(
        place()
            .with("--s3-server-name=no-such-host.invalid")
            .backup(&world),
        &["cannot be reached"],
    );
    fails_with(place().run(&world, "list", &[]), &["EmptyRemoteLocation"]);
}

#[test]
fn mistakes_with_webdav_are_named() {
    let Some(server) = or_skip("mistakes with webdav", servers::webdav::rclone()) else {
        return;
    };
    let world = World::new();
    let place = || Place::webdav(&server).with("--number-of-retries=0");
    fails_with(
        place().with("--auth-password=wrong").backup(&world),
        &["password is wrong"],
    );
    let nobody = Place {
        options: Vec::new(),
        ..place()
    };
    fails_with(nobody.backup(&world), &["--auth-username"]);
    fails_with(place().with("--use-ssl").backup(&world), &["TLS"]);
    let other = Place {
        url: format!("webdav://127.0.0.1:{}/x", free_port()),
        ..place()
    };
    fails_with(other.backup(&world), &["cannot be reached"]);
    fails_with(
        place().with("--disable-autocreate-folder").backup(&world),
        &["does not exist"],
    );
}

#[test]
fn the_whole_story_holds_on_openssh() {
    let Some(server) = SshServer::start() else { return };
    keeps_the_whole_story(&Place::openssh(&server));
}

#[test]
fn the_whole_story_holds_on_an_sftp_server_without_extensions() {
    let Some(server) = or_skip("story on bare asyncssh", ssh::asyncssh(true)) else {
        return;
    };
    keeps_the_whole_story(&Place {
        url: format!(
            "sftp://{}:{}@127.0.0.1:{}{}/laptop?ssh-accept-any-fingerprints",
            ssh::USER,
            ssh::PASSWORD,
            server.port,
            server.root().display()
        ),
        options: Vec::new(),
    });
}

#[test]
fn mistakes_with_ssh_are_named() {
    let Some(server) = SshServer::start() else { return };
    let world = World::new();
    let place = || Place::openssh(&server).with("--number-of-retries=0");
    fails_with(
        place().with("--auth-password=wrong").backup(&world),
        &["the password"],
    );
    let mut unknown = place();
    unknown
        .options
        .retain(|option| !option.starts_with("--ssh-fingerprint"));
    let option = format!(
        "--ssh-fingerprint=\"{}\"",
        server.fingerprint("ed25519", "sha256")
    );
    fails_with(unknown.backup(&world), &["not known here", &option]);
    let other = "--ssh-fingerprint=ssh-ed25519 256 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    fails_with(place().with(other).backup(&world), &["posing"]);
    fails_with(
        place().with("--ssh-fingerprint=rubbish").backup(&world),
        &["ssh-keyscan"],
    );
    fails_with(
        place().with("--ssh-keyfile=/nowhere").backup(&world),
        &["/nowhere"],
    );
    fails_with(
        place().with("--disable-autocreate-folder").backup(&world),
        &["EmptyRemoteLocation"],
    );
    let nobody = Place {
        url: format!("ssh://127.0.0.1:{}/x", free_port()),
        ..place()
    };
    fails_with(nobody.backup(&world), &["no connection", "refused"]);
    assert!(!server.home().join("backups").exists());
}

#[test]
fn mistakes_with_ftp_are_named() {
    let Some(server) = or_skip("mistakes with ftp", servers::ftp::vsftpd()) else {
        return;
    };
    let world = World::new();
    let place = Place {
        url: format!("ftp://127.0.0.1:{}/{}/x", server.port, servers::ftp::FOLDER),
        options: vec!["--number-of-retries=0".to_owned()],
    };
    let stranger = Place {
        options: vec![
            "--number-of-retries=0".to_owned(),
            "--auth-username=nobody".to_owned(),
            "--auth-password=x".to_owned(),
        ],
        ..place
    };
    fails_with(stranger.backup(&world), &["password is wrong"]);
    let other = Place {
        url: format!("ftp://127.0.0.1:{}/x", free_port()),
        options: vec!["--number-of-retries=0".to_owned()],
    };
    fails_with(other.backup(&world), &["cannot be reached"]);
}

/// A server's folder before and after a benchmark and a copy, with folders that hold nothing.
fn tree(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Copies a backup there, measures beside it, loses data at the first and heals it from the copy.
fn serves_as_second_destination(place: &Place, root: &std::path::Path) {
    let world = World::new();
    world.backup(&[]).expect(0);
    let first = world.destination();
    let first = first.to_str().unwrap();
    let mut options = vec!["--passphrase=secret".to_owned()];
    options.extend(place.options.iter().cloned());
    let run = |arguments: &[&str]| {
        let mut all: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        all.extend(options.iter().cloned());
        world.run(&all)
    };
    run(&["sync", first, &place.url]).expect(0);
    run(&["sync", first, &place.url, "--sync-verify-hash"]).expect(0);
    let before = tree(root);
    let quick = [
        "--benchmark-sizes=4kb,64kb",
        "--benchmark-concurrency=1,3",
        "--benchmark-max-upload=2mb",
        "--benchmark-data-size=1mb",
    ];
    place.run(&world, "benchmark", &quick).expect(0);
    let after = tree(root);
    assert_eq!(after, before, "the benchmark leaves nothing");
    let whole = support::inventory(&world.destination());
    for (path, _) in &whole {
        std::fs::remove_file(path).unwrap();
        // All names but one remain, so what belongs together is known.
        run(&[
            "repair",
            first,
            &format!("--heal-from={}", place.url),
            "--heal-versions",
        ])
        .expect(0);
        assert_eq!(
            support::inventory(&world.destination()),
            whole,
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_webdav_server_serves_as_second_destination() {
    let Some(server) = or_skip("second on nginx", servers::webdav::nginx()) else {
        return;
    };
    serves_as_second_destination(&Place::webdav(&server), &server.root());
}

#[test]
fn an_s3_server_serves_as_second_destination() {
    let Some(server) = or_skip("second on s3s-fs", servers::s3::s3s_fs()) else {
        return;
    };
    let place = Place::s3(&server).with("--no-conditional-writes");
    serves_as_second_destination(&place, &server.root());
}

#[test]
fn an_ssh_server_serves_as_second_destination() {
    let Some(server) = SshServer::start() else { return };
    let home = server.home();
    serves_as_second_destination(&Place::openssh(&server), &home);
}

#[test]
fn an_ftp_server_serves_as_second_destination() {
    let Some(server) = or_skip("second on vsftpd", servers::ftp::vsftpd()) else {
        return;
    };
    let place = Place {
        url: format!("ftp://127.0.0.1:{}/{}/copy", server.port, servers::ftp::FOLDER),
        options: Vec::new(),
    };
    serves_as_second_destination(&place, &server.root());
}
