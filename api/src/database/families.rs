// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Token families: one per sign-in. A family that is gone takes its tokens with it.

use super::{Database, DatabaseError};

/// A family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    pub id: String,
    pub user_id: String,
    pub counter: i64,
    /// Unix seconds.
    pub last_updated: i64,
}

/// Families kept; the oldest go first. Each sign-in makes one.
const FAMILIES_MAX: i64 = 1_000;

impl Database {
    pub(crate) async fn family(&self, id: &str) -> Result<Option<Family>, DatabaseError> {
        let rows = self
            .rows(
                "SELECT id, user_id, counter, last_updated FROM token_family WHERE id = $1",
                &[id.into()],
            )
            .await?;
        rows.first()
            .map(|row| {
                Ok(Family {
                    id: row.text(0)?,
                    user_id: row.text(1)?,
                    counter: row.integer(2)?,
                    last_updated: row.integer(3)?,
                })
            })
            .transpose()
    }

    pub(crate) async fn add_family(&self, family: &Family) -> Result<(), DatabaseError> {
        self.execute(
            "INSERT INTO token_family (id, user_id, counter, last_updated) VALUES ($1, $2, $3, $4)",
            &[
                family.id.as_str().into(),
                family.user_id.as_str().into(),
                family.counter.into(),
                family.last_updated.into(),
            ],
        )
        .await?;
        self.execute(
            "DELETE FROM token_family WHERE id NOT IN
             (SELECT id FROM token_family ORDER BY last_updated DESC, id LIMIT $1)",
            &[FAMILIES_MAX.into()],
        )
        .await?;
        Ok(())
    }

    /// Counts a family on from the value that was seen; false when another request was faster.
    pub(crate) async fn advance_family(&self, id: &str, from: i64, now: i64) -> Result<bool, DatabaseError> {
        let touched = self
            .execute(
                "UPDATE token_family SET counter = counter + 1, last_updated = $1 WHERE id = $2 AND counter = $3",
                &[now.into(), id.into(), from.into()],
            )
            .await?;
        Ok(touched == 1)
    }

    pub(crate) async fn delete_family(&self, id: &str) -> Result<(), DatabaseError> {
        self.execute("DELETE FROM token_family WHERE id = $1", &[id.into()])
            .await?;
        Ok(())
    }

    /// Signs everybody out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_all_families(&self) -> Result<(), DatabaseError> {
        self.execute("DELETE FROM token_family", &[]).await?;
        Ok(())
    }
}
