// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every request gets: handles, and nothing that does work.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
};

use duplicati_actors::{job_queue::JobQueue, scheduler::Scheduler};
use duplicati_engine::clock::Clock;
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    auth::Auth,
    commands_port::{CommandPort, OptionInfo},
    database::Database,
    error::{Answer, ApiError},
    hub::Hub,
    live_log::LiveLog,
    model::Backup,
    rates::Rates,
    settings::Settings,
};

/// Temporary jobs at once; they live in memory until the server ends.
const TEMPORARY_MAX: usize = 1_000;

/// What does not change while the server runs.
#[derive(Clone)]
pub struct ServerOptions {
    pub data_folder: PathBuf,
    pub temporary_folder: PathBuf,
    pub version: String,
    pub cors_origins: Vec<String>,
    /// A token with which `/metrics` may be read, besides access tokens.
    pub metrics_token: Option<String>,
    pub pre_auth_tokens: Vec<String>,
}

/// The server.
pub struct State {
    pub database: Database,
    pub settings: Settings,
    pub queue: JobQueue,
    pub scheduler: OnceLock<Scheduler>,
    pub hub: Hub,
    pub live_log: Arc<LiveLog>,
    pub auth: Auth,
    pub commands: Arc<dyn CommandPort>,
    pub clock: Arc<dyn Clock>,
    pub options: ServerOptions,
    pub option_table: Vec<OptionInfo>,
    pub rates: Mutex<Rates>,
    pub pause_end: Mutex<Option<Timestamp>>,
    pub metrics: crate::metrics::Metrics,
    /// Places for web sockets.
    pub sockets: Arc<tokio::sync::Semaphore>,
    temporary: RwLock<BTreeMap<String, Backup>>,
}

/// The parts of a server.
pub struct Parts {
    pub database: Database,
    pub settings: Settings,
    pub queue: JobQueue,
    pub live_log: Arc<LiveLog>,
    pub auth: Auth,
    pub commands: Arc<dyn CommandPort>,
    pub clock: Arc<dyn Clock>,
    pub options: ServerOptions,
}

/// A handle of the server.
pub type App = Arc<State>;

impl State {
    pub fn new(parts: Parts) -> App {
        let option_table = parts.commands.options();
        Arc::new(Self {
            database: parts.database,
            settings: parts.settings,
            queue: parts.queue,
            scheduler: OnceLock::new(),
            hub: Hub::default(),
            live_log: parts.live_log,
            auth: parts.auth,
            commands: parts.commands,
            clock: parts.clock,
            options: parts.options,
            option_table,
            rates: Mutex::default(),
            pause_end: Mutex::new(None),
            metrics: crate::metrics::Metrics::default(),
            sockets: Arc::new(tokio::sync::Semaphore::new(crate::websocket::SOCKETS_MAX)),
            temporary: RwLock::default(),
        })
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::new(now.seconds, now.nanoseconds as i32).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether an option, or a part of a URL, holds a secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.settings.is_secret(name)
    }

    /// The zone of schedules.
    pub fn zone(&self) -> TimeZone {
        let name = self.settings.server_or_default("server-timezone");
        TimeZone::get(&name).unwrap_or(TimeZone::UTC)
    }

    /// A job, stored or temporary.
    pub async fn backup(&self, id: &str) -> Answer<Backup> {
        let temporary = self
            .temporary
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned();
        let found = match temporary {
            Some(backup) => Some(backup),
            None => self.database.backup(id).await?,
        };
        found.ok_or_else(|| ApiError::not_found("Backup not found"))
    }

    /// Keeps a temporary job and gives its id.
    pub fn add_temporary(&self, mut backup: Backup) -> Answer<String> {
        let mut temporary = self.temporary.write().unwrap_or_else(PoisonError::into_inner);
        if temporary.len() >= TEMPORARY_MAX {
            return Err(ApiError::conflict(
                "There are too many temporary backups; restart the server to drop them",
            ));
        }
        backup.id = guid();
        backup.database_path = format!("{}.tmp.sqlite", random_letters());
        let id = backup.id.clone();
        temporary.insert(id.clone(), backup);
        Ok(id)
    }

    /// Removes a temporary job.
    pub fn remove_temporary(&self, id: &str) {
        self.temporary
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// Where the local database of a job lies.
    pub fn database_path(&self, backup: &Backup) -> PathBuf {
        self.options.data_folder.join(&backup.database_path)
    }

    /// Lets the scheduler look at the schedules again.
    pub fn wake_scheduler(&self) {
        if let Some(scheduler) = self.scheduler.get() {
            scheduler.wake();
        }
    }
}

/// A random GUID, version 4.
pub fn guid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// A name for a new local database.
pub fn random_letters() -> String {
    const LETTERS: usize = 10;
    (0..LETTERS)
        .map(|_| char::from(b'A' + rand::random_range(0..26_u8)))
        .collect()
}
