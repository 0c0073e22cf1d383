// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Jobs with everything that belongs to them. Target URLs and secret options are sealed.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{
    Database, DatabaseError, Transaction,
    rows::{Row, Value},
};
use crate::model::{Backup, FilterRow, Schedule, Setting};

/// Decides which options hold secrets.
pub type IsSecret<'a> = &'a (dyn Fn(&str) -> bool + Sync);

const COLUMNS_ALL: &str = "SELECT id, external_id, name, description, tags, target_url, connection_string_id, operation_type, \
     database_path, additional_targets FROM backup ORDER BY id";
const COLUMNS_ONE: &str = "SELECT id, external_id, name, description, tags, target_url, connection_string_id, operation_type, \
     database_path, additional_targets FROM backup WHERE id = $1";

impl Database {
    /// All jobs, in the order in which they were made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn backups(&self) -> Result<Vec<Backup>, DatabaseError> {
        let rows = self.rows(COLUMNS_ALL, &[]).await?;
        let mut backups = rows
            .iter()
            .map(|row| self.backup_of(row))
            .collect::<Result<Vec<_>, _>>()?;
        self.fill(&mut backups, None).await?;
        Ok(backups)
    }

    pub(crate) async fn backup(&self, id: &str) -> Result<Option<Backup>, DatabaseError> {
        let Ok(number) = id.parse::<i64>() else {
            return Ok(None);
        };
        let rows = self.rows(COLUMNS_ONE, &[number.into()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut backups = vec![self.backup_of(row)?];
        self.fill(&mut backups, Some(number)).await?;
        Ok(backups.pop())
    }

    fn backup_of(&self, row: &Row) -> Result<Backup, DatabaseError> {
        let json = |column: usize| -> Result<serde_json::Value, DatabaseError> {
            serde_json::from_str(&row.text(column)?)
                .map_err(|error| DatabaseError::Damaged(error.to_string()))
        };
        let tags = json(4)?;
        Ok(Backup {
            id: row.integer(0)?.to_string(),
            external_id: row.optional_text(1)?,
            name: row.text(2)?,
            description: row.text(3)?,
            tags: tags
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|tag| tag.as_str().map(str::to_owned))
                .collect(),
            target_url: self.unseal("backup:target-url", row.text(5)?)?,
            connection_string_id: row.integer(6)?,
            operation_type: row.text(7)?,
            database_path: row.text(8)?,
            additional_targets: {
                let text = self.unseal("backup:additional-targets", row.text(9)?)?;
                serde_json::from_str(&text).map_err(|error| DatabaseError::Damaged(error.to_string()))?
            },
            sources: Vec::new(),
            settings: Vec::new(),
            filters: Vec::new(),
            metadata: BTreeMap::new(),
        })
    }

    /// Adds sources, filters, options and metadata.
    async fn fill(&self, backups: &mut [Backup], only: Option<i64>) -> Result<(), DatabaseError> {
        let mut places: HashMap<String, usize> = HashMap::new();
        for (position, backup) in backups.iter().enumerate() {
            places.insert(backup.id.clone(), position);
        }
        let (all, one) = match only {
            None => (true, 0),
            Some(id) => (false, id),
        };
        let query = async |all_sql: &'static str, one_sql: &'static str| {
            if all {
                self.rows(all_sql, &[]).await
            } else {
                self.rows(one_sql, &[one.into()]).await
            }
        };
        let rows = query(
            "SELECT backup_id, path FROM source ORDER BY backup_id, position",
            "SELECT backup_id, path FROM source WHERE backup_id = $1 ORDER BY position",
        )
        .await?;
        for row in rows {
            if let Some(place) = places.get(&row.integer(0)?.to_string()) {
                backups[*place].sources.push(row.text(1)?);
            }
        }
        let rows = query(
            "SELECT backup_id, position, include, expression FROM filter ORDER BY backup_id, position",
            "SELECT backup_id, position, include, expression FROM filter WHERE backup_id = $1 ORDER BY position",
        )
        .await?;
        for row in rows {
            if let Some(place) = places.get(&row.integer(0)?.to_string()) {
                backups[*place].filters.push(FilterRow {
                    order: row.integer(1)?,
                    include: row.integer(2)? != 0,
                    expression: row.text(3)?,
                });
            }
        }
        let rows = query(
            "SELECT backup_id, filter, name, value FROM backup_option WHERE backup_id >= 0 ORDER BY backup_id, name",
            "SELECT backup_id, filter, name, value FROM backup_option WHERE backup_id = $1 ORDER BY name",
        )
        .await?;
        for row in rows {
            if let Some(place) = places.get(&row.integer(0)?.to_string()) {
                let name = row.text(2)?;
                backups[*place].settings.push(Setting {
                    filter: row.text(1)?,
                    value: self.unseal(&format!("option:{name}"), row.text(3)?)?,
                    name,
                });
            }
        }
        let rows = query(
            "SELECT backup_id, name, value FROM metadata ORDER BY backup_id, name",
            "SELECT backup_id, name, value FROM metadata WHERE backup_id = $1 ORDER BY name",
        )
        .await?;
        for row in rows {
            if let Some(place) = places.get(&row.integer(0)?.to_string()) {
                backups[*place].metadata.insert(row.text(1)?, row.text(2)?);
            }
        }
        Ok(())
    }

    /// Stores a job; a new one (empty id) gets a number. The schedule goes with it: none removes it.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn save_backup(
        &self,
        backup: &Backup,
        schedule: Option<&Schedule>,
        is_secret: IsSecret<'_>,
    ) -> Result<String, DatabaseError> {
        let mut transaction = self.begin().await?;
        let tags = serde_json::to_string(&backup.tags).unwrap_or_else(|_| "[]".to_owned());
        let mut values: Vec<Value> = vec![
            backup.external_id.clone().into(),
            backup.name.as_str().into(),
            backup.description.as_str().into(),
            tags.into(),
            self.seal("backup:target-url", &backup.target_url)?.into(),
            backup.connection_string_id.into(),
            backup.operation_type.as_str().into(),
            backup.database_path.as_str().into(),
            self.seal(
                "backup:additional-targets",
                &backup.additional_targets.to_string(),
            )?
            .into(),
        ];
        let id = match backup.id.parse::<i64>() {
            Ok(id) => {
                values.push(id.into());
                transaction
                    .execute(
                        "UPDATE backup SET external_id = $1, name = $2, description = $3, tags = $4, target_url = $5,
                         connection_string_id = $6, operation_type = $7, database_path = $8, additional_targets = $9
                         WHERE id = $10",
                        &values,
                    )
                    .await?;
                id
            }
            Err(_) => {
                let rows = transaction
                    .rows(
                        "INSERT INTO backup (external_id, name, description, tags, target_url, connection_string_id,
                         operation_type, database_path, additional_targets)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
                        &values,
                    )
                    .await?;
                rows.first()
                    .ok_or_else(|| DatabaseError::Damaged("a new job got no number".to_owned()))?
                    .integer(0)?
            }
        };
        self.save_parts(&mut transaction, id, backup, is_secret).await?;
        save_schedule(&mut transaction, id, schedule).await?;
        transaction.commit().await?;
        Ok(id.to_string())
    }

    async fn save_parts(
        &self,
        transaction: &mut Transaction,
        id: i64,
        backup: &Backup,
        is_secret: IsSecret<'_>,
    ) -> Result<(), DatabaseError> {
        delete_parts(transaction, id).await?;
        for (position, path) in backup.sources.iter().enumerate() {
            transaction
                .execute(
                    "INSERT INTO source (backup_id, position, path) VALUES ($1, $2, $3)",
                    &[id.into(), (position as i64).into(), path.as_str().into()],
                )
                .await?;
        }
        for (position, filter) in backup.filters.iter().enumerate() {
            transaction
                .execute(
                    "INSERT INTO filter (backup_id, position, include, expression) VALUES ($1, $2, $3, $4)",
                    &[
                        id.into(),
                        (position as i64).into(),
                        i64::from(filter.include).into(),
                        filter.expression.as_str().into(),
                    ],
                )
                .await?;
        }
        for setting in &backup.settings {
            let value = if is_secret(&setting.name) {
                self.seal(&format!("option:{}", setting.name), &setting.value)?
            } else {
                setting.value.clone()
            };
            transaction
                .execute(
                    "INSERT INTO backup_option (backup_id, filter, name, value) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (backup_id, filter, name) DO UPDATE SET value = excluded.value",
                    &[
                        id.into(),
                        setting.filter.as_str().into(),
                        setting.name.as_str().into(),
                        value.into(),
                    ],
                )
                .await?;
        }
        for (name, value) in &backup.metadata {
            set_metadata(transaction, id, name, value).await?;
        }
        Ok(())
    }

    /// Stores metadata of a job that is still there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_metadata(&self, id: &str, values: &[(String, String)]) -> Result<(), DatabaseError> {
        let Ok(id) = id.parse::<i64>() else {
            return Ok(());
        };
        let mut transaction = self.begin().await?;
        let rows = transaction
            .rows("SELECT id FROM backup WHERE id = $1", &[id.into()])
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for (name, value) in values {
            set_metadata(&mut transaction, id, name, value).await?;
        }
        transaction.commit().await
    }

    /// Sets where the local database of a job lies.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_database_path(&self, id: &str, path: &str) -> Result<(), DatabaseError> {
        if let Ok(id) = id.parse::<i64>() {
            self.execute(
                "UPDATE backup SET database_path = $1 WHERE id = $2",
                &[path.into(), id.into()],
            )
            .await?;
        }
        Ok(())
    }

    /// Removes a job and everything that belongs to it.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn delete_backup(&self, id: &str) -> Result<(), DatabaseError> {
        let Ok(number) = id.parse::<i64>() else {
            return Ok(());
        };
        let mut transaction = self.begin().await?;
        delete_parts(&mut transaction, number).await?;
        for sql in [
            "DELETE FROM metadata WHERE backup_id = $1",
            "DELETE FROM schedule WHERE backup_id = $1",
            "DELETE FROM backup WHERE id = $1",
        ] {
            transaction.execute(sql, &[number.into()]).await?;
        }
        for sql in [
            "DELETE FROM job_log WHERE backup_id = $1",
            "DELETE FROM error_log WHERE backup_id = $1",
            "DELETE FROM notification WHERE backup_id = $1",
        ] {
            transaction.execute(sql, &[id.into()]).await?;
        }
        transaction.commit().await
    }

    /// All schedules by job.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn schedules(&self) -> Result<BTreeMap<String, Schedule>, DatabaseError> {
        let rows = self
            .rows(
                "SELECT id, backup_id, time, repeat, last_run, rule FROM schedule",
                &[],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let backup_id = row.integer(1)?.to_string();
                let time = |text: String| {
                    text.parse::<Timestamp>()
                        .map_err(|error| DatabaseError::Damaged(error.to_string()))
                };
                Ok((
                    backup_id.clone(),
                    Schedule {
                        id: row.integer(0)?,
                        tags: vec![format!("ID={backup_id}")],
                        time: time(row.text(2)?)?,
                        repeat: row.text(3)?,
                        last_run: row.optional_text(4)?.map(time).transpose()?,
                        rule: row.text(5)?,
                    },
                ))
            })
            .collect()
    }

    /// Notes that a scheduled run has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn scheduled_run_ended(
        &self,
        backup_id: &str,
        next: Timestamp,
        began: Timestamp,
    ) -> Result<(), DatabaseError> {
        if let Ok(id) = backup_id.parse::<i64>() {
            self.execute(
                "UPDATE schedule SET time = $1, last_run = $2 WHERE backup_id = $3",
                &[next.to_string().into(), began.to_string().into(), id.into()],
            )
            .await?;
        }
        Ok(())
    }
}

async fn delete_parts(transaction: &mut Transaction, id: i64) -> Result<(), DatabaseError> {
    for sql in [
        "DELETE FROM source WHERE backup_id = $1",
        "DELETE FROM filter WHERE backup_id = $1",
        "DELETE FROM backup_option WHERE backup_id = $1",
    ] {
        transaction.execute(sql, &[id.into()]).await?;
    }
    Ok(())
}

async fn set_metadata(
    transaction: &mut Transaction,
    id: i64,
    name: &str,
    value: &str,
) -> Result<(), DatabaseError> {
    transaction
        .execute(
            "INSERT INTO metadata (backup_id, name, value) VALUES ($1, $2, $3)
             ON CONFLICT (backup_id, name) DO UPDATE SET value = excluded.value",
            &[id.into(), name.into(), value.into()],
        )
        .await?;
    Ok(())
}

async fn save_schedule(
    transaction: &mut Transaction,
    id: i64,
    schedule: Option<&Schedule>,
) -> Result<(), DatabaseError> {
    let Some(schedule) = schedule else {
        transaction
            .execute("DELETE FROM schedule WHERE backup_id = $1", &[id.into()])
            .await?;
        return Ok(());
    };
    transaction
        .execute(
            "INSERT INTO schedule (backup_id, time, repeat, last_run, rule) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (backup_id) DO UPDATE SET time = excluded.time, repeat = excluded.repeat,
             last_run = excluded.last_run, rule = excluded.rule",
            &[
                id.into(),
                schedule.time.to_string().into(),
                schedule.repeat.as_str().into(),
                schedule.last_run.map(|time| time.to_string()).into(),
                schedule.rule.as_str().into(),
            ],
        )
        .await?;
    Ok(())
}

impl Database {
    /// Writes everything that holds secrets again: sealed, or with `sealed` false as it is. The key is forgotten then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rewrite_secrets(
        &mut self,
        sealed: bool,
        is_secret: IsSecret<'_>,
    ) -> Result<(), DatabaseError> {
        use super::settings::{ALL_JOBS, SERVER};
        let backups = self.backups().await?;
        let schedules = self.schedules().await?;
        let mut options = Vec::new();
        for owner in [ALL_JOBS, SERVER] {
            options.push((owner, self.options_of(owner).await?));
        }
        if !sealed {
            // Only the key itself: what tells keys apart goes last, or a crash in between would make the rest unreadable.
            self.sealer = None;
        }
        let is_of_key = |name: &str| name.starts_with("settings-encryption-");
        for (owner, values) in options {
            let values: Vec<(String, Option<String>)> = values
                .into_iter()
                .filter(|(name, _)| !is_of_key(name))
                .map(|(name, value)| (name, Some(value)))
                .collect();
            self.set_options_of(owner, &values, is_secret).await?;
        }
        for backup in backups {
            self.save_backup(&backup, schedules.get(&backup.id), is_secret)
                .await?;
        }
        if !sealed {
            self.drop_key().await?;
        }
        Ok(())
    }
}
