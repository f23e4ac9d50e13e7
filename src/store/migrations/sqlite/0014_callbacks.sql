-- callbacks of runs and tasks that are still to be called: the question to the Python host, and how often it failed
CREATE TABLE callback_request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, dag_id TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL
) STRICT;
