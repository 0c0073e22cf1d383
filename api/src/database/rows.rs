// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Values on their way into a statement, and rows on their way out, the same for both databases. Only texts and whole numbers exist.

use sqlx::{
    Postgres, Row as _, Sqlite,
    postgres::{PgArguments, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::DatabaseError;

/// A value to bind.
#[derive(Clone)]
pub enum Value {
    Text(String),
    OptionalText(Option<String>),
    Integer(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::OptionalText(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

pub(super) fn bind_sqlite(sql: &'static str, values: &[Value]) -> Query<'static, Sqlite, SqliteArguments> {
    values
        .iter()
        .cloned()
        .fold(sqlx::query(sql), |query, value| match value {
            Value::Text(text) => query.bind(storable(text)),
            Value::OptionalText(text) => query.bind(text.map(storable)),
            Value::Integer(number) => query.bind(number),
        })
}

/// PostgreSQL takes no character zero in a text. It says nothing in any of ours, and both databases shall keep the same.
fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

pub(super) fn bind_postgres(sql: &'static str, values: &[Value]) -> Query<'static, Postgres, PgArguments> {
    values
        .iter()
        .cloned()
        .fold(sqlx::query(sql), |query, value| match value {
            Value::Text(text) => query.bind(storable(text)),
            Value::OptionalText(text) => query.bind(text.map(storable)),
            Value::Integer(number) => query.bind(number),
        })
}

/// A row of a result.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text(&self, column: usize) -> Result<String, DatabaseError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<String>, DatabaseError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn integer(&self, column: usize) -> Result<i64, DatabaseError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }
}
