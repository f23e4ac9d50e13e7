-- Roles beyond the built-in ones, what DAG files grant (access_control), and failed logins.
CREATE TABLE role (name TEXT PRIMARY KEY, created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- resource and action in FAB's words: "DAG Runs", "DAG:my_dag"; can_read, can_create, can_edit, can_delete, menu_access
CREATE TABLE role_permission (
  role TEXT NOT NULL, resource TEXT NOT NULL, action TEXT NOT NULL, PRIMARY KEY (role, resource, action)
) STRICT, WITHOUT ROWID;
-- resource: "DAG:<id>" or "DAG Run:<id>"; replaced whenever the DAG is parsed
CREATE TABLE dag_permission (
  dag_id TEXT NOT NULL, role TEXT NOT NULL, resource TEXT NOT NULL, action TEXT NOT NULL, PRIMARY KEY (dag_id, role, resource, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_permission_role ON dag_permission (role);
-- of one name from one address; gone with a good login or an hour later
CREATE TABLE login_failure (
  who TEXT PRIMARY KEY, failures INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_failure_last ON login_failure (last);
