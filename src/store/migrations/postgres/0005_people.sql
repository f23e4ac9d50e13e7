-- Roles beyond the built-in ones, what DAG files grant (access_control), and failed logins.
CREATE TABLE role (name text COLLATE "C" PRIMARY KEY, created bigint NOT NULL);
-- resource and action in FAB's words: "DAG Runs", "DAG:my_dag"; can_read, can_create, can_edit, can_delete, menu_access
CREATE TABLE role_permission (
  role text COLLATE "C" NOT NULL, resource text COLLATE "C" NOT NULL, action text COLLATE "C" NOT NULL, PRIMARY KEY (role, resource, action)
);
-- resource: "DAG:<id>" or "DAG Run:<id>"; replaced whenever the DAG is parsed
CREATE TABLE dag_permission (
  dag_id text COLLATE "C" NOT NULL, role text COLLATE "C" NOT NULL, resource text COLLATE "C" NOT NULL, action text COLLATE "C" NOT NULL, PRIMARY KEY (dag_id, role, resource, action)
);
CREATE INDEX dag_permission_role ON dag_permission (role);
-- of one name from one address; gone with a good login or an hour later
CREATE TABLE login_failure (
  who text COLLATE "C" PRIMARY KEY, failures bigint NOT NULL, last bigint NOT NULL
);
CREATE INDEX login_failure_last ON login_failure (last);
