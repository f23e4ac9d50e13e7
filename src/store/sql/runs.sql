-- Dag runs and task instances. rows.c binds and reads the statements that are built from a define.

-- define: run_columns
r.id, r.dag_id, r.run_id, r.run_type, r.state, r.version, r.logical_date, r.interval_start, r.interval_end, r.run_after, r.queued_at,
  r.start_date, r.end_date, r.last_decision, r.triggered_by, r.triggering_user, r.partition_key, r.backfill_id, r.clear_number, r.why,
  r.why_detail, r.conf, n.content,
  (SELECT max(b.sort_ordinal) FROM backfill_run b WHERE b.dag_run = r.id AND b.backfill = r.backfill_id), r.partition_date, r.bundle_version
-- name: run_load_live
SELECT {run_columns} FROM dag_run r LEFT JOIN run_note n ON n.dag_run = r.id WHERE r.state IN ('queued', 'running') ORDER BY r.id
-- name: run_load
SELECT {run_columns} FROM dag_run r LEFT JOIN run_note n ON n.dag_run = r.id WHERE r.id = ?
-- name: run_find
SELECT {run_columns} FROM dag_run r LEFT JOIN run_note n ON n.dag_run = r.id WHERE r.dag_id = ? AND r.run_id = ?
-- name: run_next_id
-- sqlite
SELECT max(COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'dag_run'), 0), COALESCE((SELECT max(id) FROM dag_run), 0)) + 1
-- postgres
SELECT GREATEST((SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM dag_run_id_seq), (SELECT COALESCE(max(id), 0) FROM dag_run)) + 1
-- The number is given; where numbers come from a sequence, it must know of it: a number is never used again.
-- name: run_insert
INSERT INTO dag_run (id, dag_id, run_id, run_type, state, version, logical_date, interval_start, interval_end, run_after, queued_at,
  start_date, end_date, last_decision, triggered_by, triggering_user, partition_key, backfill_id, clear_number, why, why_detail, conf,
  created_version, bundle_version, updated, partition_date)
-- sqlite
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- postgres
VALUES (CASE WHEN setval('dag_run_id_seq', GREATEST(?1::bigint, (SELECT last_value FROM dag_run_id_seq))) > 0 THEN ?1::bigint END,
  ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)
-- name: run_update
UPDATE dag_run SET run_type = ?2, state = ?3, version = ?4, logical_date = ?5, interval_start = ?6, interval_end = ?7, run_after = ?8,
  queued_at = ?9, start_date = ?10, end_date = ?11, last_decision = ?12, triggered_by = ?13, triggering_user = ?14, partition_key = ?15,
  backfill_id = ?16, clear_number = ?17, why = ?18, why_detail = ?19, conf = ?20, updated = ?21, partition_date = ?22,
  bundle_version = ?23 WHERE id = ?1
-- name: run_id_of
SELECT id FROM dag_run WHERE dag_id = ? AND run_id = ?
-- name: run_state
SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?
-- the newest automatic run that has a data interval: where the timetable goes on
-- name: run_last_automatic
SELECT id, run_id, logical_date, interval_start, interval_end, run_after FROM dag_run
WHERE dag_id = ? AND run_type IN ('scheduled', 'backfill') AND logical_date IS NOT NULL ORDER BY logical_date DESC LIMIT 1
-- the same where runs are of partitions and have no dates
-- name: run_last_partition
SELECT id, run_id, logical_date, interval_start, interval_end, run_after FROM dag_run
WHERE dag_id = ? AND run_type IN ('scheduled', 'backfill') AND partition_key IS NOT NULL ORDER BY run_after DESC LIMIT 1
-- the run before a logical date, in a state if one is given: dag_id, logical date, state
-- name: run_previous
SELECT id, run_id, run_type, state, logical_date, interval_start, interval_end, run_after, start_date, end_date, conf, partition_key,
  queued_at, clear_number, triggered_by, triggering_user FROM dag_run
WHERE dag_id = ?1 AND logical_date < ?2 AND state = COALESCE(?3, state) ORDER BY logical_date DESC LIMIT 1
-- dag_id, run ids, logical dates, states: JSON arrays or NULL for all
-- name: run_count_matching
-- sqlite
SELECT count(*) FROM dag_run WHERE dag_id = ?1
  AND (?2 IS NULL OR run_id IN (SELECT value FROM json_each(?2)))
  AND (?3 IS NULL OR logical_date IN (SELECT value FROM json_each(?3)))
  AND (?4 IS NULL OR state IN (SELECT value FROM json_each(?4)))
-- postgres
SELECT count(*) FROM dag_run WHERE dag_id = ?1
  AND (?2::text IS NULL OR run_id IN (SELECT json_array_elements_text(?2::json)))
  AND (?3::text IS NULL OR logical_date IN (SELECT json_array_elements_text(?3::json)::bigint))
  AND (?4::text IS NULL OR state IN (SELECT json_array_elements_text(?4::json)))
-- name: run_note_put
INSERT INTO run_note (dag_run, content, username, created, updated) VALUES (?1, ?2, ?3, ?4, ?4)
ON CONFLICT (dag_run) DO UPDATE SET content = excluded.content, username = excluded.username, updated = excluded.updated
-- name: task_note_put
INSERT INTO task_note (ti, content, username, created, updated) VALUES (?1, ?2, ?3, ?4, ?4)
ON CONFLICT (ti) DO UPDATE SET content = excluded.content, username = excluded.username, updated = excluded.updated
-- name: task_note_delete
DELETE FROM task_note WHERE ti = ?

-- define: ti_columns
id, dag_run, task_id, map_index, state, try_number, max_tries, version, scheduled_at, queued_at, start_date, end_date, not_before,
  first_start, pool, pool_slots, priority_weight, hostname, unixname, pid, rendered_map_index, next_method, next_kwargs, trigger_id,
  reschedules, why, why_detail, queue, executor, run_as_user
-- name: ti_load_run
SELECT {ti_columns}, boot_id, child, start_ticks FROM task_instance WHERE dag_run = ? ORDER BY task_id, map_index
-- name: ti_find
SELECT {ti_columns}, boot_id, child, start_ticks FROM task_instance WHERE id = ?
-- name: ti_insert
INSERT INTO task_instance ({ti_columns}, updated)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- one whose task had left the DAG, and is there again
ON CONFLICT (dag_run, task_id, map_index) DO UPDATE SET id = excluded.id, state = excluded.state, try_number = excluded.try_number,
  max_tries = excluded.max_tries, version = excluded.version, scheduled_at = excluded.scheduled_at, queued_at = excluded.queued_at,
  start_date = excluded.start_date, end_date = excluded.end_date, not_before = excluded.not_before, first_start = excluded.first_start,
  pool = excluded.pool, pool_slots = excluded.pool_slots, priority_weight = excluded.priority_weight, hostname = excluded.hostname,
  unixname = excluded.unixname, pid = excluded.pid, rendered_map_index = excluded.rendered_map_index, next_method = excluded.next_method,
  next_kwargs = excluded.next_kwargs, trigger_id = excluded.trigger_id, reschedules = excluded.reschedules, why = excluded.why,
  why_detail = excluded.why_detail, queue = excluded.queue, executor = excluded.executor, run_as_user = excluded.run_as_user, updated = excluded.updated
WHERE task_instance.state = 'removed'
-- The map index is in an index, so it is only compared here; ti_set_map_index moves the rare one that changed.
-- name: ti_update
UPDATE task_instance SET state = ?3, try_number = ?4, max_tries = ?5, version = ?6, scheduled_at = ?7, queued_at = ?8, start_date = ?9,
  end_date = ?10, not_before = ?11, first_start = ?12, pool = ?13, pool_slots = ?14, priority_weight = ?15, hostname = ?16,
  unixname = ?17, pid = ?18, rendered_map_index = ?19, next_method = ?20, next_kwargs = ?21, trigger_id = ?22, reschedules = ?23,
  why = ?24, why_detail = ?25, queue = ?26, executor = ?27, run_as_user = ?28, updated = ?29
WHERE id = ?1 AND map_index = ?2
-- one whose task had left the DAG gives way to the one that is there again
-- name: ti_make_room
DELETE FROM task_instance WHERE dag_run = ?1 AND task_id = ?2 AND map_index = ?3 AND state = 'removed' AND id <> ?4
-- name: ti_set_map_index
UPDATE task_instance SET map_index = ?2 WHERE id = ?1
-- name: ti_archive
INSERT INTO task_try (ti, dag_run, task_id, map_index, try_number, state, max_tries, version, scheduled_at, queued_at, start_date, end_date,
  first_start, pool, pool_slots, priority_weight, hostname, unixname, pid, rendered_map_index, next_method, next_kwargs, trigger_id,
  reschedules, why, why_detail, updated, utime, stime, maxrss_kb, exit_status, oom, retry_reason, external_executor_id, context_carrier,
  queue, executor, run_as_user)
SELECT id, dag_run, task_id, map_index, try_number,
  CASE WHEN state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed') THEN state ELSE 'failed' END,
  max_tries, version, scheduled_at, queued_at, start_date, COALESCE(end_date, ?2), first_start, pool, pool_slots, priority_weight, hostname,
  unixname, pid, rendered_map_index, next_method, next_kwargs, trigger_id, reschedules, why, why_detail, ?2, utime, stime, maxrss_kb,
  exit_status, oom, retry_reason, external_executor_id, context_carrier, queue, executor, run_as_user
FROM task_instance WHERE id = ?1
ON CONFLICT (dag_run, task_id, map_index, try_number) DO UPDATE SET state = excluded.state, start_date = excluded.start_date,
  end_date = excluded.end_date, updated = excluded.updated, why = excluded.why, why_detail = excluded.why_detail
-- what belonged to the ended try only
-- name: ti_forget_process
UPDATE task_instance SET boot_id = NULL, child = NULL, start_ticks = NULL, last_heartbeat = NULL, utime = NULL, stime = NULL,
  maxrss_kb = NULL, exit_status = NULL, oom = NULL, retry_reason = NULL, external_executor_id = NULL WHERE id = ?
-- name: hitl_archive
INSERT INTO hitl_history (ti, try_number, options, subject, body, defaults, multiple, params, assignees, created, responded_at, responded_by,
  chosen_options, params_input)
SELECT ti, ?2, options, subject, body, defaults, multiple, params, assignees, created, responded_at, responded_by, chosen_options, params_input
FROM hitl_detail WHERE ti = ?1
ON CONFLICT (ti, try_number) DO NOTHING
-- id, try, boot id, child
-- name: ti_token
UPDATE task_instance SET boot_id = ?3, child = ?4, start_ticks = NULL WHERE id = ?1 AND try_number = ?2
-- name: ti_process
UPDATE task_instance SET pid = ?3, start_ticks = ?4 WHERE id = ?1 AND try_number = ?2
-- id, try, utime, stime, maxrss, status, oom
-- name: ti_usage
UPDATE task_instance SET utime = ?3, stime = ?4, maxrss_kb = ?5, exit_status = ?6, oom = ?7 WHERE id = ?1 AND try_number = ?2
-- name: try_usage
UPDATE task_try SET utime = ?3, stime = ?4, maxrss_kb = ?5, exit_status = ?6, oom = ?7 WHERE ti = ?1 AND try_number = ?2
-- name: ti_run_of
SELECT dag_run FROM task_instance WHERE id = ?

-- name: ti_id_of
SELECT t.id, t.state, t.try_number FROM task_instance t JOIN dag_run r ON r.id = t.dag_run
WHERE r.dag_id = ? AND r.run_id = ? AND t.task_id = ? AND t.map_index = ?
-- name: ti_breadcrumbs
SELECT t.task_id, t.map_index, t.state, v.operator, (t.end_date - t.start_date) / 1e6 FROM task_instance t
LEFT JOIN dag_version_task v ON v.version = t.version AND v.task_id = t.task_id
WHERE t.dag_run = ? AND t.state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed') ORDER BY t.task_id, t.map_index
-- dag_id, map index, task ids, run ids, logical dates, states (null state: ""): JSON arrays or NULL for all
-- name: ti_count_matching
-- sqlite
SELECT count(*) FROM dag_run r JOIN task_instance t ON t.dag_run = r.id WHERE r.dag_id = ?1 AND (?2 IS NULL OR t.map_index = ?2)
  AND (?3 IS NULL OR t.task_id IN (SELECT value FROM json_each(?3)))
  AND (?4 IS NULL OR r.run_id IN (SELECT value FROM json_each(?4)))
  AND (?5 IS NULL OR r.logical_date IN (SELECT value FROM json_each(?5)))
  AND (?6 IS NULL OR COALESCE(t.state, '') IN (SELECT value FROM json_each(?6)))
-- postgres
SELECT count(*) FROM dag_run r JOIN task_instance t ON t.dag_run = r.id WHERE r.dag_id = ?1 AND (?2::bigint IS NULL OR t.map_index = ?2)
  AND (?3::text IS NULL OR t.task_id IN (SELECT json_array_elements_text(?3::json)))
  AND (?4::text IS NULL OR r.run_id IN (SELECT json_array_elements_text(?4::json)))
  AND (?5::text IS NULL OR r.logical_date IN (SELECT json_array_elements_text(?5::json)::bigint))
  AND (?6::text IS NULL OR COALESCE(t.state, '') IN (SELECT json_array_elements_text(?6::json)))
-- the same filters: one row a task instance
-- name: ti_states_matching
-- sqlite
SELECT r.run_id, t.task_id, t.map_index, t.state FROM dag_run r JOIN task_instance t ON t.dag_run = r.id
WHERE r.dag_id = ?1 AND (?2 IS NULL OR t.map_index = ?2)
  AND (?3 IS NULL OR t.task_id IN (SELECT value FROM json_each(?3)))
  AND (?4 IS NULL OR r.run_id IN (SELECT value FROM json_each(?4)))
  AND (?5 IS NULL OR r.logical_date IN (SELECT value FROM json_each(?5)))
ORDER BY r.id, t.task_id, t.map_index
-- postgres
SELECT r.run_id, t.task_id, t.map_index, t.state FROM dag_run r JOIN task_instance t ON t.dag_run = r.id
WHERE r.dag_id = ?1 AND (?2::bigint IS NULL OR t.map_index = ?2)
  AND (?3::text IS NULL OR t.task_id IN (SELECT json_array_elements_text(?3::json)))
  AND (?4::text IS NULL OR r.run_id IN (SELECT json_array_elements_text(?4::json)))
  AND (?5::text IS NULL OR r.logical_date IN (SELECT json_array_elements_text(?5::json)::bigint))
ORDER BY r.id, t.task_id, t.map_index
-- dag_id, task_id, map index, before this logical date, in a state or NULL
-- name: ti_previous
SELECT t.id, r.run_id, r.logical_date, t.state, t.try_number, t.start_date, t.end_date, t.map_index, t.dag_run
FROM dag_run r JOIN task_instance t ON t.dag_run = r.id AND t.task_id = ?2 AND t.map_index = ?3
WHERE r.dag_id = ?1 AND r.logical_date < ?4 AND (CAST(?5 AS TEXT) IS NULL OR t.state = ?5) ORDER BY r.logical_date DESC LIMIT 1

-- ti, try, start, end, reschedule date
-- name: reschedule_add
INSERT INTO task_reschedule (ti, try_number, start_date, end_date, reschedule_date) VALUES (?, ?, ?, ?, ?)
-- name: reschedule_first_start
SELECT start_date FROM task_reschedule WHERE ti = ? AND try_number = ? ORDER BY id LIMIT 1

-- classpath, kwargs, now, timeout, ti, queue
-- name: trigger_add
INSERT INTO "trigger" (classpath, kwargs, created, timeout, ti, queue) VALUES (?, ?, ?, ?, ?, ?) RETURNING id
-- name: trigger_get
SELECT id, classpath, kwargs, created, timeout, ti, triggerer_id, queue FROM "trigger" WHERE id = ?
-- those of tasks
-- name: trigger_list
SELECT id, classpath, kwargs, created, timeout, ti, triggerer_id, queue FROM "trigger" WHERE ti IS NOT NULL ORDER BY id
-- name: trigger_delete
DELETE FROM "trigger" WHERE id = ?
-- name: trigger_delete_of_ti
DELETE FROM "trigger" WHERE ti = ?

-- at, dag_run, task_id, map_index, reason, text
-- name: decision_add
INSERT INTO decision (at, dag_run, task_id, map_index, reason, text) VALUES (?, ?, ?, ?, ?, ?)
-- name: decision_list
SELECT at, task_id, map_index, reason, text FROM decision WHERE dag_run = ? ORDER BY id
-- name: decision_of_ti
SELECT at, reason, text FROM decision WHERE dag_run = ? AND task_id = ? AND map_index = ? ORDER BY id
-- dag, run, task, map index; the columns are explain.c's. The last: does the run's version know the task
-- name: explain_ti
SELECT r.id, r.state, r.why, r.why_detail, d.is_paused, t.state, coalesce(t.try_number, 0), coalesce(t.max_tries, 0), t.why, t.why_detail, t.updated, t.not_before,
  t.start_date, t.end_date, t.id IS NOT NULL, t.scheduled_at, t.queued_at,
  EXISTS (SELECT 1 FROM dag_version_task k WHERE k.version = coalesce(r.version, d.version) AND k.task_id = ?3)
FROM dag_run r JOIN dag d ON d.dag_id = r.dag_id LEFT JOIN task_instance t ON t.dag_run = r.id AND t.task_id = ?3 AND t.map_index = ?4 WHERE r.dag_id = ?1 AND r.run_id = ?2
-- name: explain_tries
SELECT try_number, state, start_date, end_date, utime, stime, maxrss_kb, exit_status, oom FROM task_try WHERE dag_run = ?1 AND task_id = ?2 AND map_index = ?3
UNION ALL SELECT try_number, state, start_date, end_date, utime, stime, maxrss_kb, exit_status, oom FROM task_instance t
WHERE dag_run = ?1 AND task_id = ?2 AND map_index = ?3 AND try_number > 0
  AND NOT EXISTS (SELECT 1 FROM task_try a WHERE a.dag_run = ?1 AND a.task_id = ?2 AND a.map_index = ?3 AND a.try_number = t.try_number) ORDER BY 1

-- id, run, name, due, callback, now
-- name: deadline_add
INSERT INTO deadline (id, dag_run, name, deadline_time, callback, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
-- name: deadline_due
SELECT rowid FROM deadline WHERE missed = 0 AND deadline_time <= ? ORDER BY deadline_time
-- name: deadline_next
SELECT min(deadline_time) FROM deadline WHERE missed = 0
-- missed, but the callback has not been heard of
-- name: deadline_uncalled
SELECT rowid FROM deadline WHERE callback_state = 'pending' ORDER BY rowid
-- name: deadline_get
SELECT x.id, x.dag_run, x.deadline_time, x.callback, r.dag_id, r.run_id FROM deadline x JOIN dag_run r ON r.id = x.dag_run WHERE x.rowid = ?
-- name: deadline_missed
UPDATE deadline SET missed = 1, callback_state = 'pending', updated = ?2 WHERE rowid = ?1
-- name: deadline_called
UPDATE deadline SET callback_state = ?2, updated = ?3 WHERE rowid = ?1
-- a run that ended in time has no deadline to miss: run, its end
-- name: deadlines_met
DELETE FROM deadline WHERE dag_run = ? AND missed = 0 AND deadline_time >= ?
-- the same, for one that was reckoned when the run had ended already
-- name: deadlines_met_late
DELETE FROM deadline WHERE dag_run = ?1 AND missed = 0 AND EXISTS (SELECT 1 FROM dag_run r WHERE r.id = ?1 AND r.state = 'success' AND r.end_date <= deadline_time)
-- the newest runs of a DAG, for references of a user's own: dag_id, how many
-- name: deadline_history
SELECT id, run_id, run_type, state, logical_date, interval_start, interval_end, run_after, queued_at, start_date, end_date FROM dag_run WHERE dag_id = ?
  ORDER BY run_after DESC, id DESC LIMIT ?
-- name: deadline_run_there
SELECT 1 FROM dag_run WHERE id = ?
-- how many of the last successful runs there are, and how long they took on average: dag_id, at most so many
-- name: deadline_average
SELECT count(*), avg(took) FROM (SELECT end_date - start_date AS took FROM dag_run WHERE dag_id = ? AND state = 'success' AND start_date IS NOT NULL
  AND end_date IS NOT NULL ORDER BY run_after DESC LIMIT ?) AS last_runs

-- ti, options, subject, body, defaults, multiple, params, assignees, now
-- name: hitl_put
INSERT INTO hitl_detail (ti, options, subject, body, defaults, multiple, params, assignees, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (ti) DO UPDATE SET options = excluded.options, subject = excluded.subject, body = excluded.body, defaults = excluded.defaults,
  multiple = excluded.multiple, params = excluded.params, assignees = excluded.assignees, created = excluded.created, responded_at = NULL,
  responded_by = NULL, chosen_options = NULL, params_input = '{}'
-- name: hitl_get
SELECT options, subject, body, defaults, multiple, params, assignees, created, responded_at, responded_by, chosen_options, params_input
FROM hitl_detail WHERE ti = ?
-- name: hitl_exists
SELECT count(*) FROM hitl_detail WHERE ti = ?
-- ti, now, by, chosen, params: only the first answer counts
-- name: hitl_respond
UPDATE hitl_detail SET responded_at = ?2, responded_by = ?3, chosen_options = ?4, params_input = ?5 WHERE ti = ?1 AND responded_at IS NULL

-- one task's instance: run, task, map index (-2: all of them): store_delete_tis runs every one of these
-- name: ti_delete_reschedules
DELETE FROM task_reschedule WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3))
-- name: ti_delete_triggers
DELETE FROM "trigger" WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3))
-- name: ti_delete_notes
DELETE FROM task_note WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3))
-- name: ti_delete_hitl
DELETE FROM hitl_detail WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3))
-- name: ti_delete_hitl_history
DELETE FROM hitl_history WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3))
-- name: ti_delete_xcoms
DELETE FROM xcom WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3)
-- name: ti_delete_map_lengths
DELETE FROM map_length WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3)
-- name: ti_delete_rendered
DELETE FROM rendered_fields WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3)
-- name: ti_delete_task_states
DELETE FROM task_state WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3)
-- name: ti_delete_tries
DELETE FROM task_try WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3)
-- name: ti_delete
DELETE FROM task_instance WHERE dag_run = ?1 AND task_id = ?2 AND (?3 = -2 OR map_index = ?3)

-- all that belongs to one dag run: store_delete_run runs every one of them
-- name: run_delete_reschedules
DELETE FROM task_reschedule WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?)
-- name: run_delete_triggers
DELETE FROM "trigger" WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?)
-- name: run_delete_task_notes
DELETE FROM task_note WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?)
-- name: run_delete_hitl
DELETE FROM hitl_detail WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?)
-- name: run_delete_hitl_history
DELETE FROM hitl_history WHERE ti IN (SELECT id FROM task_instance WHERE dag_run = ?)
-- name: run_delete_xcoms
DELETE FROM xcom WHERE dag_run = ?
-- name: run_delete_map_lengths
DELETE FROM map_length WHERE dag_run = ?
-- name: run_delete_rendered
DELETE FROM rendered_fields WHERE dag_run = ?
-- name: run_delete_task_states
DELETE FROM task_state WHERE dag_run = ?
-- name: run_delete_tries
DELETE FROM task_try WHERE dag_run = ?
-- name: run_delete_tis
DELETE FROM task_instance WHERE dag_run = ?
-- name: run_delete_note
DELETE FROM run_note WHERE dag_run = ?
-- name: run_delete_deadlines
DELETE FROM deadline WHERE dag_run = ?
-- name: run_delete_decisions
DELETE FROM decision WHERE dag_run = ?
-- name: run_delete_asset_events
DELETE FROM dag_run_asset_event WHERE dag_run = ?
-- name: run_delete_partitions
DELETE FROM asset_partition_run WHERE dag_run = ?
-- name: run_delete_backfill
UPDATE backfill_run SET dag_run = NULL WHERE dag_run = ?
-- name: run_delete
DELETE FROM dag_run WHERE id = ?
-- name: run_ids_of_dag
SELECT id FROM dag_run WHERE dag_id = ? ORDER BY id
-- Ended runs older than a time; the newest automatic run of each DAG stays, since schedules go on from it.
-- name: run_old
SELECT id FROM dag_run r WHERE run_after < ?1 AND state IN ('success', 'failed') AND COALESCE(end_date, run_after) < ?1
  AND (logical_date IS NULL OR logical_date IS DISTINCT FROM (SELECT n.logical_date FROM dag_run n WHERE n.dag_id = r.dag_id AND n.logical_date IS NOT NULL
    AND n.run_type IN ('scheduled', 'backfill') ORDER BY n.logical_date DESC LIMIT 1))
ORDER BY run_after LIMIT ?2
