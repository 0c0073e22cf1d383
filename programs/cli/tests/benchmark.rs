// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The benchmark as a user meets it: figures that fit together, bounds that hold, and nothing left behind, also after Ctrl-C.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{fs, io::BufRead, path::Path, time::Duration};

use serde_json::Value;
use support::World;

/// Quick settings.
const QUICK: [&str; 5] = [
    "--benchmark-sizes=16kb,256kb",
    "--benchmark-concurrency=1,3",
    "--benchmark-max-upload=4mb",
    "--benchmark-data-size=3mb",
    "--benchmark-change-rate=10",
];

/// A world with a destination folder that holds something of the user's.
fn world() -> World {
    let world = World::new();
    fs::create_dir(world.destination()).unwrap();
    fs::write(world.destination().join("notes.txt"), "mine").unwrap();
    fs::create_dir(world.path("scratch")).unwrap();
    world
}

fn arguments(world: &World, more: &[&str]) -> Vec<String> {
    let mut arguments = vec![
        "benchmark".to_owned(),
        world.destination().to_str().unwrap().to_owned(),
        format!("--tempdir={}", world.path("scratch").display()),
    ];
    arguments.extend(QUICK.iter().chain(more).map(|text| (*text).to_owned()));
    arguments
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn nothing_is_left(world: &World) {
    assert_eq!(names(&world.destination()), ["notes.txt"]);
    assert!(names(&world.path("scratch")).is_empty());
}

fn number(value: &Value, key: &str) -> f64 {
    value[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} is no number in {value}"))
}

#[test]
fn figures_fit_together_and_nothing_is_left_behind() {
    let world = world();
    let plot = world.path("figures.svg");
    let lines = world
        .run(&arguments(
            &world,
            &["--json", &format!("--plot={}", plot.display())],
        ))
        .expect(0)
        .json();
    nothing_is_left(&world);
    let of_type = |name: &str| -> Vec<&Value> { lines.iter().filter(|line| line["type"] == name).collect() };
    let requests = of_type("benchmark-request");
    assert_eq!(requests.len(), 2 * 2 * 5);
    let mut uploaded = 0.0;
    for line in &requests {
        let rate = number(line, "bytes") / 1e6 / number(line, "seconds");
        assert!(
            (rate - number(line, "megabytes_per_second")).abs() <= rate * 1e-9,
            "{line}"
        );
        assert!(number(line, "p50_ms") <= number(line, "p90_ms"));
        assert!(number(line, "p90_ms") <= number(line, "p99_ms"));
        if line["request"] == "put" {
            uploaded += number(line, "bytes");
        }
    }
    assert!(uploaded <= f64::from(4 << 20), "{uploaded}");
    let runs = of_type("benchmark-run");
    let named: Vec<&str> = runs.iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(named, ["first backup", "unchanged", "changed", "restore"]);
    for run in &runs {
        assert_eq!(number(run, "data_bytes"), f64::from(3 << 20), "{run}");
        let rate = number(run, "data_bytes") / 1e9 / number(run, "seconds") * 3_600.0;
        assert!(
            (rate - number(run, "gigabytes_per_hour")).abs() <= rate * 1e-9,
            "{run}"
        );
        assert!(run["bottleneck"].is_string(), "{run}");
    }
    // Half of the data compresses away; what did not change is not stored again.
    let stored = number(runs[0], "stored_bytes");
    assert!((0.4e6 * 3.0..0.8e6 * 3.0).contains(&stored), "{stored}");
    assert!(number(runs[1], "stored_bytes") < stored / 20.0);
    assert!(number(runs[2], "stored_bytes") < stored / 2.0);
    let stages = runs[0]["stages"].as_array().unwrap();
    let chunker = stages.iter().find(|stage| stage["stage"] == "chunker").unwrap();
    assert!(number(chunker, "cpu_seconds") > 0.0, "{chunker}");
    assert_eq!(of_type("benchmark-recommendation").len(), 1);
    let capacity = of_type("benchmark-capacity");
    assert!(number(capacity[0], "seconds_per_client") > 0.0);
    let svg = fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("GB per hour") && svg.contains("MB/s"));
}

#[test]
fn a_folder_of_the_user_is_measured_and_not_changed() {
    let world = world();
    let before = support::inventory(&world.source());
    let source = world.source();
    let text = world
        .run(&arguments(
            &world,
            &[source.to_str().unwrap(), "--benchmark-part=Backup"],
        ))
        .expect(0)
        .stdout;
    assert!(
        text.contains("first backup") && text.contains("Clients of"),
        "{text}"
    );
    assert!(!text.contains("Requests to the target"), "{text}");
    assert_eq!(support::inventory(&world.source()), before);
    nothing_is_left(&world);
}

#[test]
fn a_repository_beside_it_is_not_touched() {
    let world = World::new();
    fs::create_dir(world.path("scratch")).unwrap();
    world.backup(&[]).expect(0);
    let before = support::inventory(&world.destination());
    world
        .run(&arguments(&world, &["--benchmark-part=Target"]))
        .expect(0);
    assert_eq!(support::inventory(&world.destination()), before);
    world.on_destination("test", &["all"]).expect(0);
}

#[test]
fn bad_input_ends_with_a_reason_and_leaves_nothing() {
    let world = world();
    for (argument, code) in [
        ("--benchmark-sizes=none", 200),
        ("--benchmark-concurrency=0", 200),
        ("--plot=/none/such/folder/x.svg", 100),
    ] {
        let outcome = world.run(&arguments(&world, &[argument])).expect(code);
        let name = argument.split('=').next().unwrap();
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
        nothing_is_left(&world);
    }
    for source in [
        "/none/such/folder",
        world.source().join("a.txt").to_str().unwrap(),
    ] {
        world
            .run(&arguments(&world, &[source, "--benchmark-part=Backup"]))
            .expect_error(100, "NoSources");
        nothing_is_left(&world);
    }
    fs::write(world.source().join("large"), vec![1; 4 << 20]).unwrap();
    let outcome = world
        .run(&arguments(
            &world,
            &[world.source().to_str().unwrap(), "--benchmark-part=Backup"],
        ))
        .expect_error(100, "NoSources");
    assert!(
        outcome.stderr.contains("--benchmark-data-size"),
        "{}",
        outcome.stderr
    );
    let absent = world.path("absent");
    let outcome = world
        .run(&["benchmark", absent.to_str().unwrap()])
        .expect_error(100, "EmptyRemoteLocation");
    assert!(outcome.stderr.contains("make it first"), "{}", outcome.stderr);
    assert!(!absent.exists());
}

#[test]
fn ctrl_c_removes_what_was_stored() {
    let world = world();
    // So much that it does not end by itself before the signal comes.
    let more = [
        "--benchmark-sizes=64kb",
        "--benchmark-concurrency=1,2,3,4,5,6,7,8",
        "--benchmark-max-upload=1tb",
        "--benchmark-part=Target",
        "--console-log-level=Information",
    ];
    let mut arguments = arguments(&world, &[]);
    arguments.retain(|argument| !argument.starts_with("--benchmark"));
    arguments.extend(more.map(str::to_owned));
    let mut child = world.command(&arguments).spawn().unwrap();
    let begun = || {
        names(&world.destination())
            .into_iter()
            .find(|name| name.starts_with("duplicati-benchmark-"))
            .filter(|name| !support::inventory(&world.destination().join(name)).is_empty())
    };
    while begun().is_none() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let process = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &process])
            .status()
            .unwrap()
            .success()
    );
    let stderr = child.stderr.take().unwrap();
    let status = child.wait().unwrap();
    let told: Vec<String> = std::io::BufReader::new(stderr)
        .lines()
        .map_while(Result::ok)
        .collect();
    assert_eq!(status.code(), Some(100), "{told:?}");
    assert!(told.iter().any(|line| line.contains("RunCancelled")), "{told:?}");
    nothing_is_left(&world);
}
