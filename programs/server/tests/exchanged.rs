// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A destination whose repository was exchanged, as the server meets it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{ffi::OsString, process::ExitCode};

use serde_json::json;
use support::{Client, World};

/// The command line with a data folder of its own.
fn command_line(world: &World, home: &str, words: &[&str]) -> bool {
    let mut arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
    arguments.push("--passphrase=correct horse".into());
    arguments.push(format!("--server-datafolder={}", world.text(home)).into());
    // It has a runtime of its own.
    let ended = std::thread::spawn(move || duplicati_cli::run(arguments))
        .join()
        .unwrap();
    format!("{ended:?}") == format!("{:?}", ExitCode::SUCCESS)
}

#[tokio::test]
async fn an_exchanged_repository_is_told_when_listed_and_refused_when_backed_up_to_until_it_is_trusted() {
    let world = World::new();
    let server = world.start();
    let client = Client::signed_in(&server).await;
    let id = client.job(&world, "Documents").await;
    let start = format!("/api/v1/backup/{id}/start");
    let task = client.posted(&start, json!({})).await;
    client.completed(&task).await;
    let filesets = format!("/api/v1/backup/{id}/filesets");
    client.got(&filesets).await;
    assert_eq!(client.got("/api/v1/notifications").await, json!([]));
    assert!(command_line(
        &world,
        "attacker",
        &["backup", &world.text("forged"), &world.text("source")]
    ));
    std::fs::rename(world.path("destination"), world.path("true-one")).unwrap();
    std::fs::rename(world.path("forged"), world.path("destination")).unwrap();

    // Looking is possible, and says so once.
    for _ in 0..2 {
        assert_eq!(client.got(&filesets).await.as_array().unwrap().len(), 1);
    }
    let told = client.got("/api/v1/notifications").await;
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    let message = told[0]["Message"].as_str().unwrap();
    assert!(
        message.contains("exchanged") && message.contains("--dbpath="),
        "{told}"
    );
    assert_eq!(
        (&told[0]["Type"], &told[0]["BackupID"]),
        (&json!("Warning"), &json!(id))
    );
    assert_eq!(
        client.got("/api/v1/serversettings").await["unacked-warning"],
        "True"
    );

    let task = client.posted(&start, json!({})).await;
    let state = client.ended(&task).await;
    assert_eq!(state["Status"], "Failed", "{state}");
    let told = client.got("/api/v1/notifications").await;
    assert!(told.to_string().contains("RepositoryChanged"), "{told}");

    // The way out that the message names.
    let way_out = message
        .split("'duplicati-cli ")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let words: Vec<&str> = way_out.split(' ').collect();
    assert!(
        command_line(&world, "home/.config/Duplicati", &words),
        "{way_out}"
    );
    std::fs::write(world.path("source/a.txt"), "as it was meant").unwrap();
    let task = client.posted(&start, json!({})).await;
    client.completed(&task).await;
    client.got(&filesets).await;
    assert_eq!(client.got("/api/v1/notifications").await, json!([]));
}
