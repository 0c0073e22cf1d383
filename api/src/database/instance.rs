// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One server per database. For SQLite the lock of the data folder sees to it; a PostgreSQL database can be reached from two machines.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection};

use super::{Database, DatabaseError, Pool};

/// The advisory lock that a server holds; a number that others will hardly take.
const SERVER_LOCK: i64 = 0x6475_706c_0002;
/// How long to wait for the connection of a server that was killed to be noticed as gone.
const WAIT: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often to look whether the connection with the lock is still there.
const KEEP_INTERVAL: Duration = Duration::from_secs(20);

/// The right to use a database, as long as this lives.
pub struct Alone {
    connection: Option<PgConnection>,
    database: Database,
}

impl Database {
    /// Makes sure that no other server uses the database.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`] when one does.
    pub async fn alone(&self) -> Result<Alone, DatabaseError> {
        let mut tries = WAIT.as_millis() / LOOK_INTERVAL.as_millis();
        loop {
            match locked(self).await {
                Ok(connection) => {
                    return Ok(Alone {
                        connection,
                        database: self.clone(),
                    });
                }
                Err(DatabaseError::InUse) if tries > 0 => tokio::time::sleep(LOOK_INTERVAL).await,
                Err(error) => return Err(error),
            }
            tries -= 1;
        }
    }
}

/// A connection that holds the lock; none for SQLite.
async fn locked(database: &Database) -> Result<Option<PgConnection>, DatabaseError> {
    let Pool::Postgres { pool, .. } = &database.pool else {
        return Ok(None);
    };
    let mut connection = pool.connect_options().connect().await?;
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(SERVER_LOCK)
        .fetch_one(&mut connection)
        .await?;
    if is_ours {
        Ok(Some(connection))
    } else {
        Err(DatabaseError::InUse)
    }
}

impl Alone {
    /// Takes the lock again whenever its connection was lost, for PostgreSQL may be started again. Never ends for PostgreSQL.
    pub async fn keep(mut self) {
        while let Some(connection) = &mut self.connection {
            if connection.ping().await.is_err() {
                match locked(&self.database).await {
                    Ok(again) => self.connection = again,
                    Err(error) => {
                        tracing::error!(id = "DatabaseLockLost", %error, "the lock on the server database was lost");
                    }
                }
            }
            tokio::time::sleep(KEEP_INTERVAL).await;
        }
    }
}
