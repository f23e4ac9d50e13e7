-- What keeps the processes together: identity, leases, health, the inbox, people, audit.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
  name TEXT PRIMARY KEY, owner TEXT NOT NULL, fence INTEGER NOT NULL, expires INTEGER NOT NULL,
  taken INTEGER NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, info TEXT
) STRICT, WITHOUT ROWID;

-- one row a life of a role process (Airflow's job): what health and the jobs list answer from
CREATE TABLE job (
  id INTEGER PRIMARY KEY AUTOINCREMENT, job_type TEXT NOT NULL, state TEXT NOT NULL, dag_id TEXT, hostname TEXT NOT NULL,
  unixname TEXT, pid INTEGER NOT NULL, executor_class TEXT, start_date INTEGER NOT NULL, end_date INTEGER,
  latest_heartbeat INTEGER NOT NULL, info TEXT
) STRICT;
CREATE INDEX job_type_beat ON job (job_type, latest_heartbeat);

-- the inbox: done IS NULL is still to do; code is 0 or an error id
CREATE TABLE command (
  id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, kind TEXT NOT NULL, args TEXT NOT NULL, reply_to TEXT,
  requested_by TEXT, created INTEGER NOT NULL, done INTEGER, code INTEGER, result TEXT
) STRICT;
CREATE INDEX command_open ON command (target, id) WHERE done IS NULL;
CREATE INDEX command_done ON command (done) WHERE done IS NOT NULL;

CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT, username TEXT NOT NULL UNIQUE, email TEXT, first_name TEXT, last_name TEXT,
  password_hash TEXT, active INTEGER NOT NULL DEFAULT 1, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  last_login INTEGER, login_count INTEGER NOT NULL DEFAULT 0, fail_login_count INTEGER NOT NULL DEFAULT 0, origin TEXT
) STRICT;
CREATE TABLE user_role (user_id INTEGER NOT NULL, role TEXT NOT NULL, PRIMARY KEY (user_id, role)) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_token (jti TEXT PRIMARY KEY, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- audit: who, what, from where (Airflow's event log)
CREATE TABLE log (
  id INTEGER PRIMARY KEY AUTOINCREMENT, dttm INTEGER NOT NULL, event TEXT NOT NULL, owner TEXT, owner_display_name TEXT,
  source TEXT, dag_id TEXT, task_id TEXT, run_id TEXT, map_index INTEGER, try_number INTEGER, logical_date INTEGER, extra TEXT
) STRICT;
CREATE INDEX log_dttm ON log (dttm);
CREATE INDEX log_dag ON log (dag_id, id) WHERE dag_id IS NOT NULL;

CREATE TABLE variable (
  key TEXT PRIMARY KEY, value TEXT NOT NULL, is_encrypted INTEGER NOT NULL DEFAULT 0, description TEXT, team_name TEXT
) STRICT;
-- password and extra are Fernet tokens when their flag says so
CREATE TABLE connection (
  conn_id TEXT PRIMARY KEY, conn_type TEXT NOT NULL, description TEXT, host TEXT, schema_name TEXT, login TEXT, password TEXT,
  port INTEGER, extra TEXT, is_encrypted INTEGER NOT NULL DEFAULT 0, is_extra_encrypted INTEGER NOT NULL DEFAULT 0, team_name TEXT
) STRICT;
CREATE TABLE pool (
  name TEXT PRIMARY KEY, slots INTEGER NOT NULL, description TEXT, include_deferred INTEGER NOT NULL DEFAULT 0, team_name TEXT
) STRICT;
INSERT INTO pool (name, slots, description) VALUES ('default_pool', 128, 'Default pool');
