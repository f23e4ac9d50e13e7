-- The platform's own database. Ids are 16-byte UUIDs; what ends in _enc is Fernet over the key in HOME/keys.

CREATE TABLE instance (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE account (
  id BLOB PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,             -- lower case
  password_hash TEXT NOT NULL,
  name TEXT,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  last_login INTEGER,
  suspended_at INTEGER
) STRICT;

-- what HEROKU_API_KEY and the credentials of git hold: only its SHA-256 is kept
CREATE TABLE token (
  id BLOB PRIMARY KEY,
  account_id BLOB NOT NULL REFERENCES account (id),
  hash TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,                     -- login, authorization
  scope TEXT NOT NULL,                    -- JSON array
  description TEXT,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  expires_at INTEGER
) STRICT;
CREATE INDEX token_account ON token (account_id, created_at);

CREATE TABLE app (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  owner_id BLOB NOT NULL REFERENCES account (id),
  number INTEGER NOT NULL UNIQUE,         -- small, never given twice: what uids and networks are counted from
  region TEXT NOT NULL, stack TEXT NOT NULL, build_stack TEXT NOT NULL,
  maintenance INTEGER NOT NULL DEFAULT 0,
  buildpack TEXT,                         -- what the last build found: "Python"
  config_enc TEXT NOT NULL,               -- JSON object: what the next release takes
  slug_size INTEGER, repo_size INTEGER,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, released_at INTEGER, archived_at INTEGER
) STRICT;
CREATE INDEX app_owner ON app (owner_id);

CREATE TABLE app_pack (
  app_id BLOB NOT NULL REFERENCES app (id),
  pos INTEGER NOT NULL,
  url TEXT NOT NULL,                      -- https URL, or urn:buildpack:NAME of a short name
  name TEXT NOT NULL,
  PRIMARY KEY (app_id, pos)
) STRICT, WITHOUT ROWID;

CREATE TABLE collaborator (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  account_id BLOB NOT NULL REFERENCES account (id),
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  UNIQUE (app_id, account_id)
) STRICT;
CREATE INDEX collaborator_account ON collaborator (account_id);

CREATE TABLE slug (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  commit_sha TEXT, commit_description TEXT,
  stack TEXT NOT NULL,
  process_types TEXT NOT NULL,            -- JSON object, in the order of the Procfile
  buildpack TEXT,
  size INTEGER NOT NULL, checksum TEXT,
  path TEXT,                              -- NULL: retention took the files
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX slug_app ON slug (app_id, created_at);

CREATE TABLE build (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  user_id BLOB REFERENCES account (id),
  source TEXT NOT NULL,                   -- JSON: {"commit"} or {"url", "version", "checksum"}
  buildpacks TEXT NOT NULL,               -- JSON array
  stack TEXT NOT NULL,
  status TEXT NOT NULL,                   -- queued, pending (it runs), succeeded, failed
  slug_id BLOB, release_id BLOB,
  log_path TEXT NOT NULL,
  exit_code INTEGER,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX build_app ON build (app_id, created_at);
CREATE INDEX build_open ON build (created_at) WHERE status IN ('queued', 'pending');

CREATE TABLE release (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  version INTEGER NOT NULL,
  slug_id BLOB REFERENCES slug (id),
  description TEXT NOT NULL,
  user_id BLOB REFERENCES account (id),
  status TEXT NOT NULL,                   -- pending, succeeded, failed, expired
  current INTEGER NOT NULL DEFAULT 0,
  config_enc TEXT NOT NULL,
  addon_plans TEXT NOT NULL,              -- JSON array
  output_path TEXT,                       -- what its release phase said; NULL: it had none
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  UNIQUE (app_id, version)
) STRICT;
CREATE UNIQUE INDEX release_current ON release (app_id) WHERE current = 1;
CREATE INDEX release_pending ON release (app_id) WHERE status = 'pending';

CREATE TABLE formation (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  type TEXT NOT NULL,
  command TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  size TEXT NOT NULL,
  pos INTEGER NOT NULL,                   -- its place in the Procfile
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  UNIQUE (app_id, type)
) STRICT;

CREATE TABLE dyno (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  release_id BLOB REFERENCES release (id),
  release_version INTEGER NOT NULL,
  name TEXT NOT NULL,                     -- web.1, run.4711, release.12
  type TEXT NOT NULL,
  command TEXT NOT NULL,
  size TEXT NOT NULL,
  state TEXT NOT NULL,                    -- starting, up, idle, crashed, stopping, down
  attach_secret_hash TEXT,
  ip TEXT, port INTEGER,
  started_at INTEGER,
  restarts INTEGER NOT NULL DEFAULT 0,
  exit_code INTEGER,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX dyno_app ON dyno (app_id, type, name);

CREATE TABLE addon (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  name TEXT NOT NULL UNIQUE,
  plan TEXT NOT NULL,                     -- service:plan, as plans.def has it
  state TEXT NOT NULL,                    -- provisioning, provisioned, deprovisioning
  number INTEGER NOT NULL UNIQUE,         -- small, never given twice: what its uid and port are counted from
  config_enc TEXT NOT NULL,               -- JSON object: suffix of the config var -> value
  data_enc TEXT NOT NULL,                 -- the provider's own
  why TEXT,                               -- what the last act of the provider failed with
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX addon_app ON addon (app_id);

CREATE TABLE attachment (
  id BLOB PRIMARY KEY,
  addon_id BLOB NOT NULL REFERENCES addon (id),
  app_id BLOB NOT NULL REFERENCES app (id),
  name TEXT NOT NULL,                     -- DATABASE: its variables begin so
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  UNIQUE (app_id, name)
) STRICT;
CREATE INDEX attachment_addon ON attachment (addon_id);

-- backups of add-ons: heroku pg:backups
CREATE TABLE transfer (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  addon_id BLOB NOT NULL REFERENCES addon (id),
  num INTEGER NOT NULL,
  kind TEXT NOT NULL,                     -- backup, restore
  from_name TEXT NOT NULL, to_name TEXT NOT NULL,
  source_num INTEGER,                     -- of a restore: the backup
  path TEXT,                              -- NULL: there is no file (any more)
  bytes INTEGER NOT NULL DEFAULT 0,
  log TEXT NOT NULL DEFAULT '',
  succeeded INTEGER,                      -- NULL: it runs
  created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, deleted_at INTEGER,
  UNIQUE (app_id, num)
) STRICT;
CREATE INDEX transfer_addon ON transfer (addon_id);

CREATE TABLE domain (
  id BLOB PRIMARY KEY,
  app_id BLOB NOT NULL REFERENCES app (id),
  hostname TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX domain_app ON domain (app_id);

-- owner_id: an app or an account
CREATE TABLE feature (
  owner_id BLOB NOT NULL,
  name TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (owner_id, name)
) STRICT, WITHOUT ROWID;

-- names, never values
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  app TEXT,
  what TEXT NOT NULL,
  detail TEXT
) STRICT;
CREATE INDEX audit_app ON audit (app, id);
