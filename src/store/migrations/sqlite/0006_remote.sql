-- When a try that somebody else runs was last heard of. Written by the API server, read by the scheduler.
CREATE TABLE try_beat (ti BLOB PRIMARY KEY, try_number INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
