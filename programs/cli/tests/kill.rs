// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `kill -9` at random moments of whole commands on a real folder: every version that was there restores exactly, and the next run succeeds.
//!
//! The seed is printed; `DUPLICATI_TEST_KILL_SEED` repeats a run's choices (not the moment to the microsecond), `DUPLICATI_TEST_KILL_ROUNDS` asks for more.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    time::Duration,
};

use support::{World, inventory};

/// Rounds of an ordinary test run.
const ROUNDS: u64 = 12;
/// Versions that are kept; the oldest goes when there are more.
const VERSIONS_MAX: usize = 3;
/// The first guess at how long a command takes, microseconds; it follows what is seen.
const DELAY_MICROSECONDS: u64 = 300_000;

type Contents = BTreeMap<PathBuf, Vec<u8>>;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn noise(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| (self.next() >> 32) as u8).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Backup,
    Delete,
    Compact,
    Repair,
}

struct Run {
    world: World,
    random: Random,
    /// What each version must restore to, by its name.
    versions: BTreeMap<String, Contents>,
    /// Longest moment that is tried, by operation.
    delays: BTreeMap<Operation, u64>,
    kills: u64,
}

const COMMON: [&str; 2] = ["--dblock-size=1mb", "--no-auto-compact"];

impl Run {
    /// Changes the sources.
    fn change(&mut self, round: u64) {
        let source = self.world.source();
        for _ in 0..3 {
            let name = format!("sub/{}", self.random.below(8));
            let size = 1 + self.random.below(700_000) as usize;
            std::fs::write(source.join(name), self.random.noise(size)).unwrap();
        }
        let gone = source.join(format!("sub/{}", self.random.below(8)));
        let _absent = std::fs::remove_file(gone);
        std::fs::write(source.join("round"), round.to_string()).unwrap();
    }

    fn contents(&self, folder: &Path) -> Contents {
        inventory(folder)
            .into_iter()
            .map(|(path, content)| (path.strip_prefix(folder).unwrap().to_owned(), content))
            .collect()
    }

    /// Names of the versions at the destination, newest first.
    fn listed(&self) -> Vec<String> {
        self.world
            .on_destination("list-filesets", &["--json"])
            .expect(0)
            .json()
            .iter()
            .filter(|line| line["type"] == "version")
            .map(|line| line["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn back_up(&mut self) {
        let outcome = self.world.backup(&COMMON);
        assert!(
            [0, 1].contains(&outcome.code),
            "{}\n{}",
            outcome.stdout,
            outcome.stderr
        );
        self.learn();
    }

    /// Takes up a version that is there and was not known: it holds what the source holds.
    fn learn(&mut self) {
        let listed = self.listed();
        let new: Vec<_> = listed
            .iter()
            .filter(|id| !self.versions.contains_key(*id))
            .cloned()
            .collect();
        assert!(new.len() <= 1, "{new:?}");
        for id in new {
            let contents = self.contents(&self.world.source());
            self.versions.insert(id, contents);
        }
    }

    /// Runs a command and kills it at a random moment, if it still runs then.
    fn kill(&mut self, operation: Operation) {
        let destination = self.world.destination();
        let source = self.world.source();
        let oldest = format!("--version={}", self.versions.len().saturating_sub(1));
        let destination = destination.to_str().unwrap();
        let mut arguments = match operation {
            Operation::Backup => vec!["backup", destination, source.to_str().unwrap()],
            Operation::Delete => vec!["delete", destination, oldest.as_str()],
            Operation::Compact => vec!["compact", destination, "--threshold=0"],
            Operation::Repair => vec!["repair", destination],
        };
        arguments.push("--passphrase=secret");
        arguments.extend(COMMON);
        let longest = *self.delays.get(&operation).unwrap_or(&DELAY_MICROSECONDS);
        let delay = self.random.below(longest);
        let mut child = self.world.command(&arguments).spawn().unwrap();
        // The moment is the point here; there is no condition to wait for.
        std::thread::sleep(Duration::from_micros(delay));
        let is_over = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills += u64::from(!is_over);
        let longest = if is_over { longest * 3 / 4 } else { longest * 5 / 4 };
        self.delays.insert(operation, longest.max(1000));
    }

    /// Every version that must be there is, and restores to what it was.
    fn check(&mut self, what: &str) {
        let listed = self.listed();
        for id in self.versions.keys() {
            assert!(listed.contains(id), "{what}: version {id} is gone");
        }
        for (number, id) in listed.iter().enumerate() {
            let target = self.world.path("restored");
            let version = format!("--version={number}");
            let path = format!("--restore-path={}", target.display());
            self.world.on_destination("restore", &[&version, &path]).expect(0);
            assert!(
                self.contents(&target) == self.versions[id],
                "{what}: version {id} restores to something else"
            );
            std::fs::remove_dir_all(&target).unwrap();
        }
        self.world.on_destination("test", &["all"]).expect(0);
    }

    fn round(&mut self, number: u64) {
        self.change(number);
        let operation = match number % 4 {
            0 => Operation::Backup,
            1 if self.versions.len() > 1 => Operation::Delete,
            2 => Operation::Compact,
            3 => Operation::Repair,
            _ => Operation::Backup,
        };
        let what = format!("round {number}, {operation:?}");
        if operation == Operation::Repair {
            // So that there is something to repair.
            let segments = inventory(&self.world.destination().join("index"));
            let lost = self.random.below(segments.len() as u64) as usize;
            std::fs::remove_file(&segments[lost].0).unwrap();
        }
        self.kill(operation);
        match operation {
            Operation::Backup => self.learn(),
            Operation::Delete => {
                // Gone or not, both are right.
                let listed = self.listed();
                let before = self.versions.len();
                self.versions.retain(|id, _| listed.contains(id));
                assert!(before - self.versions.len() <= 1, "{what}");
            }
            Operation::Compact => {}
            Operation::Repair => {
                self.world.on_destination("repair", &[]).expect(0);
            }
        }
        self.check(&what);
        self.back_up();
        if operation == Operation::Compact {
            self.world
                .on_destination("compact", &["--threshold=0", "--dblock-size=1mb"])
                .expect(0);
        }
        let committed: BTreeSet<String> = self.versions.keys().cloned().collect();
        while self.versions.len() > VERSIONS_MAX {
            let oldest = self.listed().last().unwrap().clone();
            let number = format!("--version={}", self.versions.len() - 1);
            self.world.on_destination("delete", &[&number]).expect(0);
            self.versions.remove(&oldest);
        }
        let mut sessions = inventory(&self.world.destination().join("sessions"));
        // A put that was cut off leaves a file that is no object, and a run that was killed right behind its commit a session that is over; it goes with the
        // first run that finds its version gone.
        sessions.retain(|(path, _)| {
            let name = path.file_name().unwrap().to_str().unwrap();
            !name.contains(".tmp-") && !committed.contains(name)
        });
        let left: Vec<_> = sessions.iter().map(|(path, _)| path).collect();
        assert!(
            left.is_empty(),
            "{what}: sessions of killed runs are left: {left:?}"
        );
        self.check(&format!("{what}, next run"));
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_command_that_is_killed_at_any_moment_costs_no_version() {
    let seed = variable("DUPLICATI_TEST_KILL_SEED")
        .unwrap_or_else(|| RandomState::new().build_hasher().finish())
        .max(1);
    let rounds = variable("DUPLICATI_TEST_KILL_ROUNDS").unwrap_or(ROUNDS);
    println!("DUPLICATI_TEST_KILL_SEED={seed}, {rounds} rounds");
    let mut run = Run {
        world: World::new(),
        random: Random(seed),
        versions: BTreeMap::new(),
        delays: BTreeMap::new(),
        kills: 0,
    };
    run.change(u64::MAX);
    run.back_up();
    for number in 0..rounds {
        run.round(number);
    }
    println!(
        "{} of {rounds} commands were still running when they were killed",
        run.kills
    );
    assert!(
        run.kills > 0,
        "no kill met a running command, so nothing was shown"
    );
}
