// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which certificate the server begins with: the one of an option, the one that is stored, or one of an own authority.

use std::{path::Path, sync::Arc};

use duplicati_api::{
    database::Database,
    https::{
        authority::{Authority, names_of_machine, parse_names},
        certificate::{Certificate, CertificateError},
        keeper::{self, CertificateFile, Current, Seen},
        stored::{self, Stored, StoredError},
    },
    settings::Settings,
};
use duplicati_engine::clock::{Clock, SystemClock};
use duplicati_programs_common::{UserError, error_id::ids};
use jiff::Timestamp;

use crate::options::ServerOptions;

/// The setting that switches HTTPS off although there is a certificate.
const DISABLED: &str = "server-disable-https";

/// What HTTPS is spoken with.
pub struct Https {
    pub current: Arc<Current>,
    /// The file to look at for a new one.
    pub file: Option<(CertificateFile, Seen)>,
}

fn failed(message: String) -> UserError {
    UserError::failed(ids::CERTIFICATE_UNUSABLE, message)
}

fn unusable(error: &CertificateError) -> UserError {
    failed(format!("the certificate for HTTPS: {error}"))
}

fn of_store(error: StoredError) -> UserError {
    failed(error.to_string())
}

/// What to speak HTTPS with; none for plain HTTP.
pub async fn choose(
    options: &ServerOptions,
    database: &Database,
    settings: &Settings,
) -> Result<Option<Https>, UserError> {
    let store = async |values: stored::Values| {
        let stored = settings.set_server(database, &values).await;
        stored.map_err(|error| failed(error.to_string()))
    };
    if options.is_on("webservice-remove-sslcertificate") {
        store(stored::no_certificate()).await?;
    }
    let (certificate, file) = match options.path("webservice-sslcertificatefile") {
        Some(path) => {
            let file = CertificateFile {
                path,
                password: options
                    .text("webservice-sslcertificatepassword")
                    .map(str::to_owned),
            };
            let read = file.read();
            let (certificate, seen) =
                read.map_err(|reason| failed(format!("--webservice-sslcertificatefile: {reason}")))?;
            store(stored::brought(&certificate)).await?;
            (certificate, Some((file, seen)))
        }
        None if options.text("webservice-sslcertificatepassword").is_some() => {
            return Err(UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                "--webservice-sslcertificatepassword: it needs --webservice-sslcertificatefile".to_owned(),
            ));
        }
        None => match of_database(options, database, &store).await? {
            Some(certificate) => (certificate, None),
            None => return Ok(None),
        },
    };
    if options.is_on("webservice-disable-https") || (settings.is_on(DISABLED) && !asks_for_it(options)) {
        return Ok(None);
    }
    keeper::warn_of_dates(&certificate, now());
    let current = Current::new(&certificate).map_err(|error| unusable(&error))?;
    Ok(Some(Https { current, file }))
}

/// Whether this start asks for HTTPS in so many words.
fn asks_for_it(options: &ServerOptions) -> bool {
    options.is_given("webservice-disable-https")
        || options.is_given("webservice-sslcertificatefile")
        || options.is_on("configure-https")
}

/// The stored certificate, renewed if that is due, or a new one if the options ask for it.
async fn of_database(
    options: &ServerOptions,
    database: &Database,
    store: &impl AsyncFn(stored::Values) -> Result<(), UserError>,
) -> Result<Option<Certificate>, UserError> {
    let found = Stored::load(database).await.map_err(of_store)?;
    if let Some(certificate) = keeper::renewed(&found, now()).map_err(|error| unusable(&error))? {
        store(stored::signed(&certificate)).await?;
        return Ok(Some(certificate));
    }
    if found.certificate.is_some() || !options.is_on("configure-https") {
        return Ok(found.certificate);
    }
    let names = match options.text("configure-https-hostnames") {
        Some(list) => parse_names(list).map_err(|reason| {
            UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                format!("--configure-https-hostnames: {reason}"),
            )
        })?,
        None => names_of_machine(&host_name()),
    };
    let authority = match found.authority {
        Some(authority) => authority,
        None => Authority::new(now()).map_err(|error| unusable(&error))?,
    };
    let certificate = authority.sign(&names, now()).map_err(|error| unusable(&error))?;
    let mut values = stored::authority(&authority);
    values.extend(stored::signed(&certificate));
    store(values).await?;
    tracing::info!(
        id = "CertificateMade",
        "a certificate authority and a certificate were made for {}; let other machines trust it with 'duplicati-configure https export-ca'",
        names.join(", ")
    );
    Ok(Some(certificate))
}

fn host_name() -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default()
}

fn now() -> Timestamp {
    Timestamp::from_second(SystemClock.now().seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
