// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The server database: SQLite beside the other files of the data folder, or PostgreSQL. One schema, one set of statements.
//!
//! Reading order: this file (connection and statements), [`migrations`], [`seal`] (secrets at rest), [`settings`], [`backups`], [`logs`],
//! [`families`].

pub mod backups;
pub mod families;
pub mod instance;
pub mod logs;
mod migrations;
pub mod rows;
pub mod seal;
pub mod settings;
pub mod ui_storage;

#[cfg(test)]
mod tests;

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use rows::{Row, Value};
use seal::Sealer;
use sqlx::{
    PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at once. Statements are short, and SQLite writes one at a time anyway.
const CONNECTIONS_MAX: u32 = 4;
/// How long a statement waits for another one that writes, seconds.
const BUSY_SECONDS: u64 = 10;
/// How long a statement waits for a connection to PostgreSQL, which may be starting again, seconds.
const CONNECT_SECONDS: u64 = 10;

/// The database cannot do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the server database failed: {0}")]
    Sql(#[from] sqlx::Error),
    #[error(
        "the server database was written by a later version (schema {found}, this program knows {known}); use that version"
    )]
    Newer { found: i64, known: i64 },
    #[error(
        "the PostgreSQL database has the encoding {0}, which cannot hold every file name; make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    #[error("another server uses this database, and two would run every job twice; end the other one")]
    InUse,
    #[error("{0}")]
    Seal(#[from] seal::SealError),
    #[error("the server database holds a value that cannot be read: {0}")]
    Damaged(String),
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres {
        pool: PgPool,
        /// One place: transactions of this server follow each other, as SQLite's do, or two that touch the same rows in another order would
        /// each wait for the other until PostgreSQL ends one of them.
        writer: Arc<Semaphore>,
    },
}

/// An open database.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    sealer: Option<Sealer>,
}

/// Several statements that count together or not at all.
pub enum Transaction {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>, OwnedSemaphorePermit),
}

impl Database {
    /// Opens or makes the SQLite database, and brings it up to date.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn open_sqlite(path: &Path) -> Result<Self, DatabaseError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(BUSY_SECONDS));
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .connect_with(options)
            .await?;
        Self::migrated(Pool::Sqlite(pool)).await
    }

    /// Opens a SQLite database that is there, to read it. Nothing is made and nothing is brought up to date.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn open_existing_sqlite(path: &Path) -> Result<Self, DatabaseError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(BUSY_SECONDS));
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        Ok(Self {
            pool: Pool::Sqlite(pool),
            sealer: None,
        })
    }

    /// Opens the PostgreSQL database of a URL, and brings it up to date.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open_postgres(url: &str) -> Result<Self, DatabaseError> {
        let database = Self::open_existing_postgres(url).await?;
        let rows = database.rows("SHOW server_encoding", &[]).await?;
        let encoding = rows.first().map_or(Ok(String::new()), |row| row.text(0))?;
        if encoding != "UTF8" {
            return Err(DatabaseError::Encoding(encoding));
        }
        migrations::run(&database).await?;
        Ok(database)
    }

    /// Opens a PostgreSQL database that is there, to read it. Nothing is made and nothing is brought up to date.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open_existing_postgres(url: &str) -> Result<Self, DatabaseError> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(Duration::from_secs(CONNECT_SECONDS))
            .connect_with(PgConnectOptions::from_str(url)?)
            .await?;
        let writer = Arc::new(Semaphore::new(1));
        Ok(Self {
            pool: Pool::Postgres { pool, writer },
            sealer: None,
        })
    }

    async fn migrated(pool: Pool) -> Result<Self, DatabaseError> {
        let database = Self { pool, sealer: None };
        migrations::run(&database).await?;
        Ok(database)
    }

    fn is_postgres(&self) -> bool {
        matches!(self.pool, Pool::Postgres { .. })
    }

    /// Runs a statement and gives the number of rows that it touched.
    pub(crate) async fn execute(&self, sql: &'static str, values: &[Value]) -> Result<u64, DatabaseError> {
        Ok(match &self.pool {
            Pool::Sqlite(pool) => rows::bind_sqlite(sql, values)
                .execute(pool)
                .await?
                .rows_affected(),
            Pool::Postgres { pool, .. } => rows::bind_postgres(sql, values)
                .execute(pool)
                .await?
                .rows_affected(),
        })
    }

    /// Runs a query.
    pub(crate) async fn rows(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        Ok(match &self.pool {
            Pool::Sqlite(pool) => {
                let rows = rows::bind_sqlite(sql, values).fetch_all(pool).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Pool::Postgres { pool, .. } => {
                let rows = rows::bind_postgres(sql, values).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Ok(match &self.pool {
            // A transaction that began by reading could not go on to write when another one was faster.
            Pool::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres { pool, writer } => {
                let permit = Arc::clone(writer).acquire_owned().await;
                // Nobody closes it.
                let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
                Transaction::Postgres(pool.begin().await?, permit)
            }
        })
    }

    /// Seals a value if there is a key.
    pub(crate) fn seal(&self, field: &str, value: &str) -> Result<String, DatabaseError> {
        match &self.sealer {
            Some(sealer) if !value.is_empty() => Ok(sealer.seal(field, value)?),
            _ => Ok(value.to_owned()),
        }
    }

    /// Opens a value that may be sealed.
    pub(crate) fn unseal(&self, field: &str, value: String) -> Result<String, DatabaseError> {
        if !seal::is_sealed(&value) {
            return Ok(value);
        }
        match &self.sealer {
            Some(sealer) => Ok(sealer.unseal(field, &value)?),
            None => Err(seal::SealError::NoKey.into()),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres { pool, .. } => pool.close().await,
        }
    }
}

impl Transaction {
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<u64, DatabaseError> {
        Ok(match self {
            Self::Sqlite(transaction) => rows::bind_sqlite(sql, values)
                .execute(&mut **transaction)
                .await?
                .rows_affected(),
            Self::Postgres(transaction, _permit) => rows::bind_postgres(sql, values)
                .execute(&mut **transaction)
                .await?
                .rows_affected(),
        })
    }

    pub(crate) async fn rows(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, DatabaseError> {
        Ok(match self {
            Self::Sqlite(transaction) => {
                let rows = rows::bind_sqlite(sql, values)
                    .fetch_all(&mut **transaction)
                    .await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(transaction, _permit) => {
                let rows = rows::bind_postgres(sql, values)
                    .fetch_all(&mut **transaction)
                    .await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Runs statements that hold no values.
    async fn script(&mut self, sql: String) -> Result<(), DatabaseError> {
        let safe = sqlx::AssertSqlSafe(sql);
        match self {
            Self::Sqlite(transaction) => sqlx::raw_sql(safe).execute(&mut **transaction).await.map(drop)?,
            Self::Postgres(transaction, _permit) => {
                sqlx::raw_sql(safe).execute(&mut **transaction).await.map(drop)?
            }
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction, _permit) => transaction.commit().await?,
        }
        Ok(())
    }
}
