// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commands.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::Duration,
};

use duplicati_api::json::encode;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    arguments::Arguments,
    client::{Client, Failure},
    report::Report,
};

/// Longest file that is imported, bytes.
const IMPORT_BYTES_MAX: u64 = 8 << 20;
/// Seconds between two looks at a running backup.
const POLL_SECONDS_DEFAULT: u64 = 5;

/// Carries a command out.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let mut client = Client::new(arguments).await?;
    report.line(format!("Connecting to {}...", arguments.url()));
    match arguments.command {
        "health" => return health(&client, report).await,
        "logout" => {
            client.sign_out().await?;
            report.line("Logged out");
            return Ok(());
        }
        _ => client.sign_in().await?,
    }
    match arguments.command {
        "login" => report.line("Logged in"),
        "pause" => pause(arguments, &client, report).await?,
        "resume" => {
            client.post("/api/v1/serverstate/resume", None).await?;
            report.line("Resumed");
        }
        "list-backups" => list(arguments, &client, report).await?,
        "run" => start(arguments, &client, report).await?,
        "delete" => delete(arguments, &client, report).await?,
        "change-password" => change_password(arguments, &client, report).await?,
        "import" => import(arguments, &client, report).await?,
        "export" => export(arguments, &client, report).await?,
        "status" => status(&client, report).await?,
        "issue-forever-token" => {
            let answer = client.post("/api/v1/auth/issue-forever-token", None).await?;
            let token = answer["AccessToken"].as_str().unwrap_or_default();
            report.line(format!("Authorization: Bearer {token}"));
            report.value("Token", token);
        }
        other => return Err(Failure::of_user(format!("the command {other} is not known"))),
    }
    Ok(())
}

async fn health(client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    let is_healthy = client.is_healthy().await;
    report.value("healthy", is_healthy);
    if !is_healthy {
        return Err(Failure::new("the server is not healthy"));
    }
    report.line("Server is healthy");
    Ok(())
}

async fn pause(arguments: &Arguments, client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    let path = match arguments.positional.first() {
        Some(span) => format!("/api/v1/serverstate/pause?duration={}", encode(span)),
        None => "/api/v1/serverstate/pause".to_owned(),
    };
    client.post(&path, None).await?;
    report.line("Paused");
    Ok(())
}

async fn backups(client: &Client<'_>) -> Result<Vec<Value>, Failure> {
    let all = client.get("/api/v1/backups").await?;
    Ok(all.as_array().cloned().unwrap_or_default())
}

/// The backup that a number or a name means.
async fn find(client: &Client<'_>, wanted: &str) -> Result<Value, Failure> {
    let all = backups(client).await?;
    let text = |row: &Value, name: &str| row["Backup"][name].as_str().unwrap_or_default().to_owned();
    let found = all.iter().find(|row| text(row, "ID") == wanted).or_else(|| {
        all.iter()
            .find(|row| text(row, "Name").to_lowercase() == wanted.to_lowercase())
    });
    found
        .map(|row| row["Backup"].clone())
        .ok_or_else(|| Failure::of_user(format!("there is no backup {wanted:?}; list-backups shows all")))
}

fn id(backup: &Value) -> &str {
    backup["ID"].as_str().unwrap_or_default()
}

async fn list(arguments: &Arguments, client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    let all = backups(client).await?;
    if all.is_empty() {
        report.line("No backups found");
    }
    for row in &all {
        let backup = &row["Backup"];
        report.line(format!(
            "{}: {}",
            id(backup),
            backup["Name"].as_str().unwrap_or_default()
        ));
        if !arguments.is_on("detailed") {
            continue;
        }
        let metadata = |name: &str| backup["Metadata"][name].as_str().unwrap_or("-").to_owned();
        let schedule = match row["Schedule"]["Repeat"].as_str() {
            Some(repeat) => format!(
                "every {repeat}, next {}",
                row["Schedule"]["Time"].as_str().unwrap_or("-")
            ),
            None => "none".to_owned(),
        };
        for (label, value) in [
            (
                "Description",
                backup["Description"].as_str().unwrap_or_default().to_owned(),
            ),
            ("Last backup", metadata("LastBackupFinished")),
            ("Schedule", schedule),
            ("Last duration", metadata("LastBackupDuration")),
            ("Source files size", metadata("SourceSizeString")),
            ("Target files size", metadata("TargetSizeString")),
            ("Versions", metadata("BackupListCount")),
            ("Last error", metadata("LastErrorMessage")),
        ] {
            report.line(format!("  {label}: {value}"));
        }
    }
    report.value("Backups", all);
    Ok(())
}

async fn start(arguments: &Arguments, client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    let backup = find(client, arguments.needed("the id or name of a backup")?).await?;
    let skip = if arguments.is_on("skip-queue") {
        "True"
    } else {
        "False"
    };
    let answer = client
        .post(
            &format!("/api/v1/backup/{}/run?skipqueue={skip}", id(&backup)),
            None,
        )
        .await?;
    let name = backup["Name"].as_str().unwrap_or_default().to_owned();
    report.line(format!("Queued backup {name} (task {})", answer["ID"]));
    if !arguments.is_on("wait") {
        return Ok(());
    }
    let seconds = match arguments.text("poll-interval") {
        None => POLL_SECONDS_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| *seconds > 0)
            .ok_or_else(|| Failure::of_user("--poll-interval is a number of seconds above 0"))?,
    };
    let task = answer["ID"].as_u64().unwrap_or_default();
    let mut shown = String::new();
    let ended = loop {
        let state = client.get(&format!("/api/v1/task/{task}")).await?;
        let status = state["Status"].as_str().unwrap_or_default().to_owned();
        if status != shown {
            report.line(format!("Backup {name}: {status}"));
            shown = status;
        }
        if !state["TaskFinished"].is_null() {
            break state;
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    };
    let log = client.get(&format!("/api/v1/backup/{}/log", id(&backup))).await?;
    let result = log[0]["Message"]
        .as_str()
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .and_then(|result| result["ParsedResult"].as_str().map(str::to_owned))
        .unwrap_or_else(|| "Unknown".to_owned());
    report.line(format!("Backup {name} ended: {result}"));
    report.value("Result", result.as_str());
    if let Some(message) = ended["ErrorMessage"].as_str() {
        report.line(message);
    }
    report.exit_with(match result.as_str() {
        "Success" => 0,
        "Warning" => 2,
        "Error" => 3,
        "Fatal" => 4,
        _ => 1,
    });
    Ok(())
}

async fn delete(arguments: &Arguments, client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    let backup = find(client, arguments.needed("the id or name of a backup")?).await?;
    let flag = |name: &str| if arguments.is_on(name) { "True" } else { "False" };
    let path = format!(
        "/api/v1/backup/{}?delete-remote-files={}&delete-local-db={}&force={}",
        id(&backup),
        flag("delete-remote-files"),
        flag("delete-local-db"),
        flag("force")
    );
    let answer = client.json(Method::DELETE, &path, None).await?;
    report.line(format!("Queued the removal (task {})", answer["ID"]));
    Ok(())
}

async fn change_password(
    arguments: &Arguments,
    client: &Client<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    let new = match arguments.positional.first() {
        Some(new) => new.clone(),
        None => {
            let read = |prompt: &str| {
                rpassword::prompt_password(prompt)
                    .map_err(|error| Failure::new(format!("failed to read the password: {error}")))
            };
            let new = read("New password: ")?;
            if new != read("Repeat the password: ")? {
                return Err(Failure::of_user(
                    "the two passwords are not the same; nothing was changed",
                ));
            }
            new
        }
    };
    if new.is_empty() {
        return Err(Failure::of_user("the new password is empty; nothing was changed"));
    }
    let body = Value::String(new);
    client
        .json(
            Method::PUT,
            "/api/v1/serversetting/server-passphrase",
            Some(&body),
        )
        .await?;
    report.line("Password changed");
    Ok(())
}

async fn import(arguments: &Arguments, client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let path = PathBuf::from(arguments.needed("a file")?);
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(IMPORT_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| Failure::of_user(format!("failed to read {}: {error}", path.display())))?;
    let mut replaced = Map::new();
    if let Some(passphrase) = arguments.text("backup-passphrase") {
        replaced.insert("settings.passphrase".to_owned(), passphrase.into());
    }
    if let Some(url) = arguments.text("backup-url") {
        replaced.insert("targeturl".to_owned(), url.into());
    }
    let body = json!({
        "config": STANDARD.encode(&bytes), "cmdline": false, "direct": true,
        "import_metadata": arguments.is_on("import-metadata"), "passphrase": arguments.positional.get(1),
        "replace_settings": replaced,
    });
    let answer = client.post("/api/v1/backups/import", Some(&body)).await?;
    let id = answer["Id"].as_str().unwrap_or_default().to_owned();
    let made = client.get(&format!("/api/v1/backup/{id}")).await?;
    let name = made["Backup"]["Name"].as_str().unwrap_or_default();
    report.line(format!("Imported {name} with ID {id}"));
    report.value("Imported", json!({"ID": id, "Name": name}));
    Ok(())
}

async fn export(arguments: &Arguments, client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    arguments.needed("the ids or names of backups, or the word all")?;
    if arguments.text("encryption-passphrase").is_some() || !arguments.is_on("unencrypted") {
        return Err(Failure::of_user(
            "encrypted exports are not part of this version; say --unencrypted to write plain files",
        ));
    }
    let chosen = if arguments.positional == ["all"] {
        backups(client)
            .await?
            .into_iter()
            .map(|row| row["Backup"].clone())
            .collect()
    } else {
        let mut chosen = Vec::new();
        for wanted in &arguments.positional {
            chosen.push(find(client, wanted).await?);
        }
        chosen
    };
    let folder = PathBuf::from(arguments.text("destination").unwrap_or("."));
    let with_passwords = if arguments.is_on("export-passwords") {
        "True"
    } else {
        "False"
    };
    let mut written = Vec::new();
    for backup in &chosen {
        let token = client.post("/api/v1/auth/issuetoken/export", None).await?;
        let token = encode(token["Token"].as_str().unwrap_or_default());
        let path = format!(
            "/api/v1/backup/{}/export?export-passwords={with_passwords}&passphrase=&token={token}",
            id(backup)
        );
        let bytes = client.bytes(Method::GET, &path, None).await?;
        let name: String = backup["Name"]
            .as_str()
            .unwrap_or_default()
            .chars()
            .map(|letter| {
                if letter == '/' || letter.is_control() {
                    '_'
                } else {
                    letter
                }
            })
            .collect();
        let file = folder.join(format!("{}-{name}.json", id(backup)));
        let mut options = File::options();
        options.write(true).mode(0o600);
        if arguments.is_on("overwrite") {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        options
            .open(&file)
            .and_then(|mut opened| opened.write_all(&bytes))
            .map_err(|error| Failure::of_user(format!("failed to write {}: {error}", file.display())))?;
        report.line(format!("Exported {name} to {}", file.display()));
        written.push(json!({"ID": id(backup), "Name": backup["Name"], "Path": file.display().to_string()}));
    }
    report.value("ExportedBackups", written);
    Ok(())
}

async fn status(client: &Client<'_>, report: &mut Report) -> Result<(), Failure> {
    let state = client.get("/api/v1/serverstate").await?;
    let program_state = state["ProgramState"].as_str().unwrap_or_default();
    report.line(format!("Server state: {program_state}"));
    let active = &state["ActiveTask"];
    report.line(match active.is_null() {
        true => "Active task: None".to_owned(),
        false => format!(
            "Active task: {} (backup {})",
            active["Item1"],
            active["Item2"].as_str().unwrap_or("-")
        ),
    });
    let queued = state["SchedulerQueueIds"].as_array().cloned().unwrap_or_default();
    if queued.is_empty() {
        report.line("Scheduled tasks: None");
    }
    for task in &queued {
        report.line(format!(
            "Scheduled task: {} (backup {})",
            task["Item1"],
            task["Item2"].as_str().unwrap_or("-")
        ));
    }
    report.value("ServerState", program_state);
    report.value("ActiveTask", active.clone());
    report.value("SchedulerTasks", queued);
    Ok(())
}
