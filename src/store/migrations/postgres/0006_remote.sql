-- When a try that somebody else runs was last heard of. Written by the API server, read by the scheduler.
CREATE TABLE try_beat (ti bytea PRIMARY KEY, try_number bigint NOT NULL, at bigint NOT NULL);
