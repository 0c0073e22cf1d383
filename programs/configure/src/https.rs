// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Certificates in the server database. A server that runs with HTTPS serves a new one within half a minute; one that does not must be started
//! again.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use duplicati_api::{
    database::{Database, DatabaseError, settings::SERVER},
    https::{
        authority::{Authority, names_of_machine, parse_names},
        certificate::{Certificate, CertificateError, Facts},
        stored::{self, Stored, StoredError},
    },
};
use duplicati_engine::clock::{Clock, SystemClock};
use duplicati_programs_common::{Environment, UserError, data_folder, error_id::ids};
use jiff::Timestamp;

use crate::{arguments::Arguments, system_trust::SystemTrust};

const DATABASE_FILE: &str = "Duplicati-server.sqlite";
/// How a file that may be replaced by a certificate begins.
const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn failed(message: impl Into<String>) -> UserError {
    UserError::failed(ids::CERTIFICATE_UNUSABLE, message)
}

fn of_user(message: impl Into<String>) -> UserError {
    UserError::invalid_command_line(ids::CERTIFICATE_UNUSABLE, message)
}

fn of_database(error: &DatabaseError) -> UserError {
    UserError::failed(ids::UNEXPECTED_FAILURE, error.to_string())
}

fn of_certificate(error: &CertificateError) -> UserError {
    failed(error.to_string())
}

/// Carries one of the commands out and gives what to say.
pub async fn run(arguments: &Arguments, environment: &Environment) -> Result<String, UserError> {
    let database = open(arguments, environment).await?;
    let said = command(arguments, environment, &database).await;
    database.close().await;
    let said = said?;
    Ok(if arguments.is_on("quiet") {
        String::new()
    } else {
        said
    })
}

async fn command(
    arguments: &Arguments,
    environment: &Environment,
    database: &Database,
) -> Result<String, UserError> {
    // Both commands that throw everything away work on what is damaged as well.
    let found = match (arguments.command, Stored::load(database).await) {
        (_, Ok(found)) => found,
        (_, Err(StoredError::Database(error))) => return Err(of_database(&error)),
        ("https regenerate-ca" | "https remove", Err(_)) => Stored::default(),
        (_, Err(error)) => return Err(failed(error.to_string())),
    };
    let trust = SystemTrust::new(arguments.text("cert-dir").map(PathBuf::from), environment);
    match arguments.command {
        "https generate" | "https regenerate-ca" => generate(arguments, database, found, &trust).await,
        "https renew" => renew(database, &found).await,
        "https remove" => remove(arguments, database, &found, &trust).await,
        "https show" => show(&found, &trust),
        "https export" => {
            let certificate = found.certificate.ok_or_else(nothing)?;
            export(
                arguments,
                environment,
                "duplicati-server.crt",
                &certificate.chain_pem(),
            )
        }
        _ => {
            let authority = found.authority.ok_or_else(no_authority)?;
            export(
                arguments,
                environment,
                "duplicati-ca.crt",
                authority.certificate_pem(),
            )
        }
    }
}

fn nothing() -> UserError {
    of_user("there is no certificate; make one with 'duplicati-configure https generate'")
}

fn no_authority() -> UserError {
    of_user("there is no certificate authority; make one with 'duplicati-configure https generate'")
}

async fn open(arguments: &Arguments, environment: &Environment) -> Result<Database, UserError> {
    let may_make = arguments.is_on("auto-create-database");
    let key = arguments.text("settings-encryption-key");
    let mut database = match arguments.text("server-database-url") {
        Some(url) => Database::open_postgres(url).await,
        None => {
            let folder = &arguments.data_folder;
            let path = folder.join(DATABASE_FILE);
            if !path.exists() {
                if !may_make {
                    return Err(of_user(format!(
                        "there is no server database {}; start the server once, name its folder with --datafolder, or make one with --auto-create-database",
                        path.display()
                    )));
                }
                data_folder::create(folder)?;
                data_folder::check_permissions(folder, false, environment)?;
                create_closed(&path)?;
            }
            check_owner(&path, environment)?;
            Database::open_sqlite(&path).await
        }
    }
    .map_err(|error| of_database(&error))?;
    let used = if may_make && key.is_some() && is_unused(&database).await? {
        database.use_key(key).await.map(drop)
    } else {
        database.use_known_key(key).await
    };
    used.map_err(|error| UserError::invalid_command_line(ids::INVALID_OPTION_VALUE, error.to_string()))?;
    Ok(database)
}

/// Whether nothing was ever stored.
async fn is_unused(database: &Database) -> Result<bool, UserError> {
    let options = database
        .options_of(SERVER)
        .await
        .map_err(|error| of_database(&error))?;
    let jobs = database.backups().await.map_err(|error| of_database(&error))?;
    Ok(options.is_empty() && jobs.is_empty())
}

fn create_closed(path: &Path) -> Result<(), UserError> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = fs::File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    made.map(drop)
        .map_err(|error| failed(format!("failed to make {}: {error}", path.display())))
}

/// Files beside a database belong to whoever makes them; its server could not write to those of another user.
fn check_owner(path: &Path, environment: &Environment) -> Result<(), UserError> {
    use std::os::unix::fs::MetadataExt;
    let facts = fs::metadata(path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    if facts.uid() == environment.user_id {
        return Ok(());
    }
    Err(of_user(format!(
        "the server database {} belongs to the user with the id {}; run this as that user",
        path.display(),
        facts.uid()
    )))
}

fn now() -> Timestamp {
    Timestamp::from_second(SystemClock.now().seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

async fn store(database: &Database, values: &stored::Values) -> Result<(), UserError> {
    let stored = database.set_options_of(SERVER, values, &|_| false).await;
    stored.map_err(|error| of_database(&error))
}

async fn generate(
    arguments: &Arguments,
    database: &Database,
    found: Stored,
    trust: &SystemTrust,
) -> Result<String, UserError> {
    let names = match arguments.text("hostnames") {
        Some(list) => parse_names(list).map_err(|reason| of_user(format!("--hostnames: {reason}")))?,
        None => {
            let facts = found.certificate.as_ref().filter(|_| found.is_own);
            let kept = facts.and_then(|certificate| certificate.facts().ok());
            kept.map_or_else(|| names_of_machine(&host_name()), |facts| facts.names)
        }
    };
    let is_new = arguments.command == "https regenerate-ca";
    if found.certificate.is_some() && !is_new {
        return Err(of_user(
            "there is a certificate already; see 'https show', and use 'https renew', 'https regenerate-ca', or 'https remove' first",
        ));
    }
    let changes_trust = !arguments.is_on("no-trust");
    if changes_trust {
        // Before anything is made: half of it would be no help.
        trust.check()?;
    }
    let old = found
        .authority
        .as_ref()
        .and_then(|authority| authority.facts().ok());
    let authority = match found.authority {
        Some(authority) if !is_new => authority,
        _ => Authority::new(now()).map_err(|error| of_certificate(&error))?,
    };
    let certificate = authority
        .sign(&names, now())
        .map_err(|error| of_certificate(&error))?;
    let mut values = stored::authority(&authority);
    values.extend(stored::signed(&certificate));
    store(database, &values).await?;
    let facts = authority.facts().map_err(|error| of_certificate(&error))?;
    let mut said = format!("Made a certificate for {}\n", names.join(", "));
    if changes_trust {
        if let Some(old) = old.filter(|old| old.sha256 != facts.sha256) {
            trust.remove(&old)?;
        }
        trust.add(&facts, authority.certificate_pem())?;
        said.push_str(&format!(
            "This machine trusts it by {}\n",
            trust.file(&facts).display()
        ));
    } else {
        said.push_str("What this machine trusts was left alone; 'duplicati-configure https export-ca' writes what to trust\n");
    }
    said.push_str("A server that runs without HTTPS uses it after its next start\n");
    Ok(said)
}

async fn renew(database: &Database, found: &Stored) -> Result<String, UserError> {
    let authority = found.authority.as_ref().ok_or_else(no_authority)?;
    let certificate = found.certificate.as_ref().ok_or_else(nothing)?;
    if !found.is_own {
        return Err(of_user(
            "the certificate was brought by --webservice-sslcertificatefile and not made here; put a new file in its place",
        ));
    }
    let names = certificate.facts().map_err(|error| of_certificate(&error))?.names;
    let new = authority
        .sign(&names, now())
        .map_err(|error| of_certificate(&error))?;
    store(database, &stored::signed(&new)).await?;
    let facts = new.facts().map_err(|error| of_certificate(&error))?;
    Ok(format!(
        "Made a new certificate for {}, valid until {}\n",
        names.join(", "),
        facts.end
    ))
}

async fn remove(
    arguments: &Arguments,
    database: &Database,
    found: &Stored,
    trust: &SystemTrust,
) -> Result<String, UserError> {
    if !arguments.is_on("no-trust")
        && let Some(facts) = found
            .authority
            .as_ref()
            .and_then(|authority| authority.facts().ok())
        && trust.has(&facts)
    {
        trust.check()?;
        trust.remove(&facts)?;
    }
    let mut values = stored::no_authority();
    values.extend(stored::no_certificate());
    store(database, &values).await?;
    Ok("Removed. A server that runs goes on with the old certificate until it ends, and speaks plain HTTP after its next start\n".to_owned())
}

fn show(found: &Stored, trust: &SystemTrust) -> Result<String, UserError> {
    let mut said = String::new();
    match &found.certificate {
        None => said.push_str("Certificate: none; the server speaks plain HTTP\n"),
        Some(certificate) => said.push_str(&shown_certificate(certificate, found.is_own)?),
    }
    match &found.authority {
        None => said.push_str("Authority: none\n"),
        Some(authority) => {
            let facts = authority.facts().map_err(|error| of_certificate(&error))?;
            said.push_str(&format!(
                "Authority: {}\n{}",
                facts.subject,
                dates_and_hashes(&facts)
            ));
            let trusted = if trust.has(&facts) {
                format!("by {}", trust.file(&facts).display())
            } else {
                "no".to_owned()
            };
            said.push_str(&format!("  Trusted by this machine: {trusted}\n"));
        }
    }
    Ok(said)
}

fn shown_certificate(certificate: &Certificate, is_own: bool) -> Result<String, UserError> {
    let facts = certificate.facts().map_err(|error| of_certificate(&error))?;
    let origin = if is_own { "made here" } else { "brought by a file" };
    Ok(format!(
        "Certificate: {} ({origin})\n  Signed by: {}\n  Names: {}\n{}",
        facts.subject,
        facts.issuer,
        facts.names.join(", "),
        dates_and_hashes(&facts)
    ))
}

fn dates_and_hashes(facts: &Facts) -> String {
    let state = match now() {
        now if facts.end <= now => " (expired)",
        now if facts.begin > now => " (not yet valid)",
        _ => "",
    };
    format!(
        "  Valid: {} to {}{state}\n  SHA-1: {}\n  SHA-256: {}\n",
        facts.begin, facts.end, facts.sha1, facts.sha256
    )
}

fn export(
    arguments: &Arguments,
    environment: &Environment,
    name: &str,
    text: &str,
) -> Result<String, UserError> {
    let path = environment
        .current_folder
        .join(arguments.text("file").unwrap_or(name));
    match fs::read(&path) {
        Ok(there)
            if there.starts_with(PEM_CERTIFICATE) && !there.windows(7).any(|window| window == b"PRIVATE") => {
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Ok(_) => {
            return Err(of_user(format!(
                "{} is there and no certificate; choose another file with --file",
                path.display()
            )));
        }
        Err(error) => return Err(of_user(format!("{}: {error}", path.display()))),
    }
    fs::write(&path, text).map_err(|error| failed(format!("failed to write {}: {error}", path.display())))?;
    Ok(format!("Wrote {}\n", path.display()))
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
}
