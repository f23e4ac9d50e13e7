-- what has expired is found without looking at the rest
CREATE INDEX task_state_expires ON task_state (expires) WHERE expires IS NOT NULL;
