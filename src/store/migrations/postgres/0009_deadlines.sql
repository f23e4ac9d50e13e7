-- how the callback of a missed deadline went: NULL while it is not missed, 'pending', 'success', 'failed'
ALTER TABLE deadline ADD COLUMN callback_state text COLLATE "C";
CREATE INDEX deadline_uncalled ON deadline (callback_state) WHERE callback_state = 'pending';
