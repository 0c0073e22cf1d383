// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Prometheus makes of the figures, the alert rules and the dashboard.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use duplicati_testkit::servers::{
    or_skip_unless_demanded,
    prometheus::{prometheus, promtool},
};
use serde_json::{Value, json};
use support::{Client, PATIENCE, Server, World};

const TOKEN: &str = "figures-only";

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/monitoring")
}

/// Runs promtool; none when it is not here.
fn checked(folder: &Path, arguments: &[&str], input: &str) -> Option<(bool, String)> {
    or_skip_unless_demanded("prometheus", "promtool", promtool(folder, arguments, input))
}

fn assert_good(answer: Option<(bool, String)>) {
    if let Some((is_good, said)) = answer {
        assert!(is_good, "{said}");
    }
}

fn start(world: &World) -> Server {
    let token = format!("--webservice-metrics-token={TOKEN}");
    world.start_with(&[
        "--webservice-password=easy1234",
        "--disable-db-encryption",
        &token,
    ])
}

/// A job with a schedule and an odd name, which has run once.
async fn job_that_ran(world: &World, client: &Client) -> String {
    let mut job = support::job(world, "a \"quoted\"\\ name");
    job["Schedule"] = json!({"Repeat": "1D", "Time": "2036-01-01T13:00:00Z", "AllowedDays": ["mon", "tue", "wed", "thu", "fri"]});
    let made = client.posted("/api/v1/backups", job).await;
    let id = made["ID"].as_str().unwrap().to_owned();
    let task = client
        .posted(&format!("/api/v1/backup/{id}/start"), json!({}))
        .await;
    client.completed(&task).await;
    id
}

/// Every expression of the dashboard.
fn expressions() -> Vec<String> {
    let text = std::fs::read_to_string(monitoring().join("duplicati-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| {
            let expression = target["expr"].as_str().unwrap();
            expression
                .replace("$instance", ".*")
                .replace("$__rate_interval", "5m")
        })
        .collect()
}

/// Names of figures in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !is_of_name(letter))
        .filter(|word| word.starts_with("duplicati_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn alert_rules_are_well_formed_and_fire_when_they_should() {
    assert_good(checked(
        &monitoring(),
        &["check", "rules", "duplicati.rules.yml"],
        "",
    ));
    assert_good(checked(
        &monitoring(),
        &["test", "rules", "tests/duplicati.rules.test.yml"],
        "",
    ));
}

#[test]
fn expressions_of_the_dashboard_are_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, expression) in expressions().iter().enumerate() {
        rules.push_str(&format!(
            "  - record: panel:{number}\n    expr: {}\n",
            json!(expression)
        ));
    }
    std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
    assert_good(checked(folder.path(), &["check", "rules", "rules.yml"], ""));
}

#[tokio::test]
async fn figures_are_well_formed_and_rules_and_dashboard_name_no_others() {
    let world = World::new();
    let server = start(&world);
    let client = Client::signed_in(&server).await;
    job_that_ran(&world, &client).await;
    let text = client.get("/metrics").await.text().await.unwrap();
    assert!(
        text.contains("duplicati_backup_schedule_interval_seconds{backup_id=\"1\",backup_name=\"a \\\"quoted\\\"\\\\ name\"} 259200"),
        "{text}"
    );
    assert_good(checked(world.folder.path(), &["check", "metrics"], &text));
    let known = names(&text);
    let rules = std::fs::read_to_string(monitoring().join("duplicati.rules.yml")).unwrap();
    for used in names(&rules).into_iter().chain(names(&expressions().join(" "))) {
        assert!(known.contains(&used), "{used} is used and not served");
    }
}

#[tokio::test]
async fn a_real_prometheus_reads_the_figures_and_notices_when_the_server_is_gone() {
    let world = World::new();
    let server = start(&world);
    let client = Client::signed_in(&server).await;
    job_that_ran(&world, &client).await;
    let rules = monitoring().canonicalize().unwrap().join("duplicati.rules.yml");
    let configuration = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: [{:?}]\n\
         scrape_configs:\n\
         - job_name: duplicati\n  \
           authorization: {{ credentials: {TOKEN} }}\n  \
           static_configs: [{{ targets: [\"127.0.0.1:{}\"] }}]\n",
        rules.to_str().unwrap(),
        server.port
    );
    let started = prometheus(&configuration);
    let Some(watcher) = or_skip_unless_demanded("prometheus", "a scrape by Prometheus", started) else {
        return;
    };
    let base = format!("http://127.0.0.1:{}", watcher.port);
    let versions = until(&base, "duplicati_backup_versions", |value| value == "1").await;
    assert_eq!(versions["metric"]["backup_name"], "a \"quoted\"\\ name");
    until(&base, "up{job=\"duplicati\"}", |value| value == "1").await;
    for expression in expressions() {
        let answer = ask(&base, "query", &expression).await;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
    }
    server.kill();
    until(&base, "up{job=\"duplicati\"}", |value| value == "0").await;
    let alert = "ALERTS{alertname=\"DuplicatiDown\", alertstate=\"pending\"}";
    until(&base, alert, |value| value == "1").await;
}

async fn ask(base: &str, path: &str, expression: &str) -> Value {
    let query: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = reqwest::get(format!("{base}/api/v1/{path}?query={query}")).await;
    match answer {
        // It listens before it answers, and answers before it is ready.
        Ok(answer) => answer.json().await.unwrap_or(Value::Null),
        Err(_) => Value::Null,
    }
}

/// Asks until a value is as it should be, and gives the first row.
async fn until(base: &str, expression: &str, is_wanted: impl Fn(&str) -> bool) -> Value {
    let wait = async {
        loop {
            let answer = ask(base, "query", expression).await;
            let row = &answer["data"]["result"][0];
            if row["value"][1].as_str().is_some_and(&is_wanted) {
                return row.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, wait).await;
    found.unwrap_or_else(|_| panic!("{expression} did not come"))
}
