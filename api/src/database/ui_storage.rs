// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Values that clients keep on the server, by scheme.

use std::collections::BTreeMap;

use super::{Database, DatabaseError};

impl Database {
    pub(crate) async fn ui_schemes(&self) -> Result<Vec<String>, DatabaseError> {
        let rows = self
            .rows("SELECT DISTINCT scheme FROM ui_storage ORDER BY scheme", &[])
            .await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    pub(crate) async fn ui_values(&self, scheme: &str) -> Result<BTreeMap<String, String>, DatabaseError> {
        let rows = self
            .rows(
                "SELECT name, value FROM ui_storage WHERE scheme = $1",
                &[scheme.into()],
            )
            .await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    pub(crate) async fn set_ui_values(
        &self,
        scheme: &str,
        values: &[(String, Option<String>)],
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.begin().await?;
        for (name, value) in values {
            transaction
                .execute(
                    "DELETE FROM ui_storage WHERE scheme = $1 AND name = $2",
                    &[scheme.into(), name.as_str().into()],
                )
                .await?;
            if let Some(value) = value {
                transaction
                    .execute(
                        "INSERT INTO ui_storage (scheme, name, value) VALUES ($1, $2, $3)",
                        &[scheme.into(), name.as_str().into(), value.as_str().into()],
                    )
                    .await?;
            }
        }
        transaction.commit().await
    }
}
