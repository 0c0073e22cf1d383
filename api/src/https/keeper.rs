// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The certificate that is served now, and what replaces it while the server runs: a renewed file, one that `duplicati-configure` stored, or a
//! new one of our own authority before the old one ends.

use std::{
    fmt,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    certificate::{Certificate, CertificateError, FILE_BYTES_MAX},
    stored::{self, Stored, StoredError},
};
use crate::state::App;

/// How often file and database are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(20);
/// A certificate that ends this soon is told at the start.
const WARN_DAYS: i64 = 14;
const DAY_HOURS: i64 = 24;

/// The certificate of new connections.
pub struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl Current {
    /// Serves a certificate.
    ///
    /// # Errors
    /// When TLS cannot use it.
    pub fn new(certificate: &Certificate) -> Result<Arc<Self>, CertificateError> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(certificate.for_tls()?)))))
    }

    fn replace(&self, certificate: &Certificate) -> Result<(), CertificateError> {
        let key = Arc::new(certificate.for_tls()?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// How to speak TLS with it.
    ///
    /// # Errors
    /// When the cipher suites cannot be used, which no input causes.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// A file with a certificate, as an option names it. Has no `Debug`: the password.
pub struct CertificateFile {
    pub path: PathBuf,
    pub password: Option<String>,
}

/// What changes when a file is replaced or written again.
#[derive(PartialEq, Eq, Clone, Copy)]
pub struct Seen(u64, u64, i64, i64);

impl CertificateFile {
    /// Reads it, and what to compare later.
    ///
    /// # Errors
    /// With a reason that names the file.
    pub fn read(&self) -> Result<(Certificate, Seen), String> {
        let path = self.path.display();
        let seen = look(&self.path).map_err(|error| format!("{path}: {error}"))?;
        if seen.1 > FILE_BYTES_MAX {
            return Err(format!("{path}: it is larger than {FILE_BYTES_MAX} bytes"));
        }
        let bytes = std::fs::read(&self.path).map_err(|error| format!("{path}: {error}"))?;
        let certificate = Certificate::read(&bytes, self.password.as_deref())
            .map_err(|error| format!("{path}: {error}"))?;
        Ok((certificate, seen))
    }
}

fn look(path: &Path) -> std::io::Result<Seen> {
    let facts = std::fs::metadata(path)?;
    if !facts.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    Ok(Seen(facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
}

/// Says in the log when a certificate has ended, ends soon, or has not begun. Clients that check it will not come in.
pub fn warn_of_dates(certificate: &Certificate, now: Timestamp) {
    let Ok(facts) = certificate.facts() else { return };
    let soon = now
        .checked_add(SignedDuration::from_hours(WARN_DAYS * DAY_HOURS))
        .unwrap_or(now);
    if facts.end <= now {
        tracing::warn!(
            id = "CertificateExpired",
            "the certificate for HTTPS has expired on {}; put a new one in its place",
            facts.end
        );
    } else if facts.begin > now {
        tracing::warn!(
            id = "CertificateNotYetValid",
            "the certificate for HTTPS is valid only from {} on",
            facts.begin
        );
    } else if facts.end <= soon {
        tracing::warn!(
            id = "CertificateExpires",
            "the certificate for HTTPS expires on {}",
            facts.end
        );
    }
}

/// Replaces a certificate of our own authority that ends soon. Says what to store, or nothing.
///
/// # Errors
/// When the authority cannot sign.
pub fn renewed(found: &Stored, now: Timestamp) -> Result<Option<Certificate>, CertificateError> {
    match (found.due(now), &found.authority) {
        (Some(facts), Some(authority)) => authority.sign(&facts.names, now).map(Some),
        _ => Ok(None),
    }
}

/// Looks for a new certificate as long as the server runs.
pub async fn keep(app: App, current: Arc<Current>, file: Option<(CertificateFile, Seen)>) {
    let mut state = State {
        app,
        current,
        file,
        text: None,
        failure: String::new(),
    };
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    // The first tick is at once, and the server has just read everything.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let looked = state.look().await;
        let failure = looked.err().unwrap_or_default();
        if failure != state.failure && !failure.is_empty() {
            tracing::error!(
                id = "CertificateNotReplaced",
                "the certificate for HTTPS stays as it is: {failure}"
            );
        }
        state.failure = failure;
    }
}

struct State {
    app: App,
    current: Arc<Current>,
    file: Option<(CertificateFile, Seen)>,
    /// The text in the database at the last look.
    text: Option<String>,
    /// What was wrong at the last look; told once.
    failure: String,
}

impl State {
    async fn look(&mut self) -> Result<(), String> {
        match &mut self.file {
            Some((file, seen)) => {
                let now = look(&file.path).map_err(|error| format!("{}: {error}", file.path.display()))?;
                if now == *seen {
                    return Ok(());
                }
                let (certificate, now) = file.read()?;
                self.current
                    .replace(&certificate)
                    .map_err(|error| error.to_string())?;
                *seen = now;
                self.store(stored::brought(&certificate)).await?;
                self.told(&certificate);
            }
            None => self.look_at_database().await.map_err(|error| error.to_string())?,
        }
        Ok(())
    }

    async fn look_at_database(&mut self) -> Result<(), StoredError> {
        let found = Stored::load(&self.app.database).await?;
        if let Some(certificate) = renewed(&found, self.app.now()).map_err(StoredError::Authority)? {
            let values = stored::signed(&certificate);
            self.app.settings.set_server(&self.app.database, &values).await?;
            self.current
                .replace(&certificate)
                .map_err(StoredError::Certificate)?;
            self.text = Some(certificate.to_pem());
            self.told(&certificate);
            return Ok(());
        }
        // At the first look it is not known what the server began with; to serve the same again does no harm.
        let is_known = self.text.replace(found.text.clone()) == Some(found.text);
        if let (false, Some(certificate)) = (is_known, found.certificate) {
            self.current
                .replace(&certificate)
                .map_err(StoredError::Certificate)?;
        }
        Ok(())
    }

    async fn store(&self, values: stored::Values) -> Result<(), String> {
        let stored = self.app.settings.set_server(&self.app.database, &values).await;
        stored.map_err(|error| error.to_string())
    }

    fn told(&self, certificate: &Certificate) {
        if let Ok(facts) = certificate.facts() {
            tracing::info!(
                id = "CertificateReplaced",
                "HTTPS uses a new certificate from now on, valid until {}",
                facts.end
            );
        }
        warn_of_dates(certificate, self.app.now());
    }
}
