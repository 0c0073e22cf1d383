CREATE TABLE backup (
  id {identity},
  external_id TEXT,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  tags TEXT NOT NULL,
  target_url TEXT NOT NULL,
  connection_string_id BIGINT NOT NULL,
  operation_type TEXT NOT NULL,
  database_path TEXT NOT NULL,
  additional_targets TEXT NOT NULL
);
CREATE UNIQUE INDEX backup_name ON backup (lower(name));
CREATE TABLE source (
  backup_id BIGINT NOT NULL,
  position BIGINT NOT NULL,
  path TEXT NOT NULL,
  PRIMARY KEY (backup_id, position)
);
CREATE TABLE filter (
  backup_id BIGINT NOT NULL,
  position BIGINT NOT NULL,
  include BIGINT NOT NULL,
  expression TEXT NOT NULL,
  PRIMARY KEY (backup_id, position)
);
CREATE TABLE backup_option (
  backup_id BIGINT NOT NULL,
  filter TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (backup_id, filter, name)
);
CREATE TABLE metadata (
  backup_id BIGINT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (backup_id, name)
);
CREATE TABLE schedule (
  id {identity},
  backup_id BIGINT NOT NULL,
  time TEXT NOT NULL,
  repeat TEXT NOT NULL,
  last_run TEXT,
  rule TEXT NOT NULL
);
CREATE UNIQUE INDEX schedule_backup ON schedule (backup_id);
CREATE TABLE job_log (
  id {identity},
  backup_id TEXT NOT NULL,
  time BIGINT NOT NULL,
  operation TEXT NOT NULL,
  message TEXT NOT NULL
);
CREATE INDEX job_log_backup ON job_log (backup_id, id);
CREATE TABLE error_log (
  id {identity},
  backup_id TEXT,
  time BIGINT NOT NULL,
  message TEXT NOT NULL,
  exception TEXT NOT NULL
);
CREATE TABLE notification (
  id {identity},
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  message TEXT NOT NULL,
  exception TEXT NOT NULL,
  backup_id TEXT,
  action TEXT NOT NULL,
  time TEXT NOT NULL,
  log_entry_id TEXT,
  message_id TEXT,
  message_log_tag TEXT
);
CREATE TABLE ui_storage (
  scheme TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (scheme, name)
);
CREATE TABLE token_family (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL,
  counter BIGINT NOT NULL,
  last_updated BIGINT NOT NULL
);
