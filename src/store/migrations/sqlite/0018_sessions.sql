-- when all sessions and tokens of a user were ended last
ALTER TABLE users ADD COLUMN sessions_ended INTEGER NOT NULL DEFAULT 0;
