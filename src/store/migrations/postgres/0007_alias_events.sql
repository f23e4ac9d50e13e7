-- through which aliases an event came
CREATE INDEX asset_alias_event_event ON asset_alias_event (event);
