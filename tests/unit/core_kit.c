/* core_kit: see the header. The store is two arrays of rows that SAVE actions overwrite; a crash loses the core and
 * keeps the rows. */
#include "core_kit.h"
#include "core_kit_internal.h"
#include "base/time.h"

/* ---- DAGs from lines ---- */

static json_t *value_of(const char *text)
{
	double d;
	int64_t i;
	if (streq(text, "true") || streq(text, "false"))
		return json_boolean(streq(text, "true"));
	if (str_to_int64(text, &i) == 0)
		return json_integer(i);
	if (str_to_double(text, &d) == 0)
		return json_real(d);
	return json_string(text);
}

static double seconds_of(const char *iso)
{
	usec_t t;
	int r = time_parse(iso, &t);
	assert(r == 0);
	return (double)t / 1e6;
}

static json_t *literal(int64_t n)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(i));
	return list;
}

static json_t *expand_input(const char *key, const char *value)
{
	int64_t n = 0;
	json_t *arg;
	if (streq(key, "map")) {
		int r = str_to_int64(value, &n);
		assert(r == 0);
		arg = literal(n);
	} else {
		arg = json_pack("{s:s, s:{s:s, s:s}}", "__type", "xcomref", "__var", "task_id", value, "key", "return_value");
	}
	return json_pack("{s:s, s:{s:s, s:{s:o}}}", "type", "dict-of-lists", "value", "__type", "dict", "__var", "x", arg);
}

struct reader { json_t *dag, *tasks, *by_id, *groups; };

static json_t *children_of(struct reader *r, const char *group)
{
	json_t *g = group ? json_object_get(r->groups, group) : json_object_get(r->dag, "task_group");
	assert(g);
	return json_object_get(g, "children");
}

static void set_cron(json_t *dag, const char *kind, const char *value)
{
	char *expr = str_replace_all(value, "_", " ");
	json_object_set_new(dag, "timetable", json_pack("{s:s, s:{s:s, s:s, s:f, s:b}}", "__type", kind, "__var", "expression", expr, "timezone", "UTC",
	                                                "interval", 0.0, "run_immediately", 0));
	free(expr);
}

/* a,b: when both were updated */
static void set_assets(json_t *dag, const char *value)
{
	json_t *objects = json_array();
	char *list = xstrdup(value), *save = NULL;
	for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save))
		json_array_append_new(objects, json_pack("{s:s, s:s, s:s, s:s, s:{}}", "__type", "asset", "name", name, "uri", name, "group", "asset", "extra"));
	free(list);
	json_object_set_new(dag, "timetable", json_pack("{s:s, s:{s:{s:s, s:o}}}", "__type", "airflow.timetables.simple.AssetTriggeredTimetable", "__var",
	                                                "asset_condition", "__type", "asset_all", "objects", objects));
}

static void dag_option(struct reader *r, const char *key, const char *value)
{
	if (streq(key, "start") || streq(key, "end"))
		json_object_set_new(r->dag, streq(key, "start") ? "start_date" : "end_date", json_real(seconds_of(value)));
	else if (streq(key, "tz"))             /* after its cron or interval */
		json_object_set_new(json_object_get(json_object_get(r->dag, "timetable"), "__var"), "timezone", json_string(value));
	else if (streq(key, "cron"))
		set_cron(r->dag, "airflow.timetables.trigger.CronTriggerTimetable", value);
	else if (streq(key, "interval"))
		set_cron(r->dag, "airflow.timetables.interval.CronDataIntervalTimetable", value);
	else if (streq(key, "assets"))
		set_assets(r->dag, value);
	else if (streq(key, "timetable"))
		json_object_set_new(r->dag, "timetable", json_pack("{s:s, s:{}}", "__type", value, "__var"));
	else if (streq(key, "catchup"))
		json_object_set_new(r->dag, "catchup", json_boolean(streq(value, "1")));
	else
		json_object_set_new(r->dag, key, value_of(value));
}

static void task_option(struct reader *r, json_t *t, const char *key, const char *value)
{
	static const struct { const char *key, *field; } names[] = { { "rule", "trigger_rule" }, { "slots", "pool_slots" }, { "weight", "priority_weight" },
		{ "past", "depends_on_past" }, { "setup", "is_setup" }, { "teardown", "is_teardown" }, { "empty", "_is_empty" },
		{ "branch", "_can_skip_downstream" }, { "per_dag", "max_active_tis_per_dag" }, { "per_run", "max_active_tis_per_dagrun" } };
	const char *id = json_string_value(json_object_get(t, "task_id"));
	if (streq(key, "up")) {
		char *list = xstrdup(value), *save = NULL;
		for (char *up = strtok_r(list, ",", &save); up; up = strtok_r(NULL, ",", &save)) {
			assert(json_object_get(r->by_id, up));
			json_array_append_new(json_object_get(json_object_get(r->by_id, up), "downstream_task_ids"), json_string(id));
		}
		free(list);
	} else if (streq(key, "map") || streq(key, "mapover")) {
		json_object_set_new(t, "_is_mapped", json_true());
		json_object_set_new(t, "_expand_input_attr", json_string("expand_input"));
		json_object_set_new(t, "expand_input", expand_input(key, value));
		json_object_set_new(t, "partial_kwargs", json_object());
	} else if (streq(key, "mapalso")) {                  /* after its map: one more argument, so that there is a product */
		int64_t n = 0;
		int bad = str_to_int64(value, &n);
		assert(!bad);
		json_object_set_new(json_object_get(json_object_get(json_object_get(t, "expand_input"), "value"), "__var"), n % 2 ? "y" : "z", literal(n));
	} else if (streq(key, "start") || streq(key, "end")) {
		json_object_set_new(t, streq(key, "start") ? "start_date" : "end_date", json_real(seconds_of(value)));
	} else if (!streq(key, "group")) {
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (streq(key, names[i].key))
				key = names[i].field;
		json_object_set_new(t, key, value_of(value));
	}
}

static json_t *new_node(struct reader *r, const char *kind, const char *id, const char *group)
{
	if (streq(kind, "task")) {
		json_t *t = json_pack("{s:s, s:s, s:s, s:[]}", "task_id", id, "task_type", "BashOperator", "_task_module", "m", "downstream_task_ids");
		json_array_append_new(r->tasks, json_pack("{s:s, s:O}", "__type", "operator", "__var", t));
		json_object_set_new(r->by_id, id, t);
		json_object_set_new(children_of(r, group), id, json_pack("[s, s]", "operator", id));
		return t;
	}
	json_t *g = json_pack("{s:s, s:b, s:{}}", "_group_id", id, "is_mapped", 0, "children");
	json_object_set(r->groups, id, g);
	json_object_set_new(children_of(r, group), id, json_pack("[s, o]", "taskgroup", g));
	return g;
}

static void read_line(struct reader *r, char *line)
{
	char *save = NULL, *kind = strtok_r(line, " ", &save), *id = strtok_r(NULL, " ", &save);
	if (!kind || !id)
		return;
	VEC(char *) words = {0};
	const char *group = NULL;
	for (char *w = strtok_r(NULL, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		vec_push(&words, w);
		if (str_starts(w, "group=") || str_starts(w, "in="))
			group = strchr(w, '=') + 1;
	}
	json_t *node = NULL;
	if (streq(kind, "dag"))
		json_object_set_new(r->dag, "dag_id", json_string(id));
	else
		node = new_node(r, kind, id, group);
	for (size_t i = 0; i < words.n; i++) {
		char *eq = strchr(words.at[i], '=');
		assert(eq);
		*eq = '\0';
		if (!node) {
			dag_option(r, words.at[i], eq + 1);
		} else if (streq(kind, "task")) {
			task_option(r, node, words.at[i], eq + 1);
		} else if (!streq(words.at[i], "in")) {
			json_object_set_new(node, "is_mapped", json_true());
			json_object_set_new(node, "expand_input", expand_input(words.at[i], eq + 1));
		}
	}
	vec_clear(&words);
}

json_t *kit_dag_json(const char *text)
{
	struct reader r = { .tasks = json_array(), .by_id = json_object(), .groups = json_object() };
	r.dag = json_pack("{s:s, s:{s:s, s:{}}, s:{s:n, s:{}}, s:[], s:s, s:b}", "dag_id", "d", "timetable", "__type",
	                  "airflow.timetables.simple.NullTimetable", "__var", "task_group", "_group_id", "children", "params", "timezone", "UTC", "catchup", 0);
	json_object_set(r.dag, "tasks", r.tasks);
	char *copy = xstrdup(text), *save = NULL;
	for (char *line = strtok_r(copy, "\n;", &save); line; line = strtok_r(NULL, "\n;", &save)) {
		while (*line == ' ' || *line == '\t')
			line++;
		read_line(&r, line);
	}
	free(copy);
	json_decref(r.tasks);
	json_decref(r.by_id);
	json_decref(r.groups);
	return json_pack("{s:i, s:o}", "__version", 3, "dag", r.dag);
}

struct dag *kit_dag(const char *text)
{
	static uint32_t version;
	struct dag *d;
	struct err err = {0};
	struct dag_meta meta = { .version_number = 1 };
	version++;
	memset(meta.version_id.b, 1, sizeof meta.version_id.b);
	memcpy(meta.version_id.b, &version, sizeof version);
	json_t *data = kit_dag_json(text);
	if (dag_compile(data, NULL, &meta, &d, &err) < 0) {
		fprintf(stderr, "%s\n", err_text(&err));
		abort();
	}
	return d;
}

/* ---- the store ---- */

void kit_copy_text(const char **slot)
{
	*slot = xstrdup(*slot);
}

void kit_free_ti(struct task_instance *ti)
{
	const char **const texts[] = { &ti->pool, &ti->hostname, &ti->unixname, &ti->rendered_map_index, &ti->next_method, &ti->next_kwargs, &ti->why_detail };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		freep(texts[i]);
}

void kit_copy_ti(struct task_instance *to, const struct task_instance *from)
{
	*to = *from;
	const char **const texts[] = { &to->pool, &to->hostname, &to->unixname, &to->rendered_map_index, &to->next_method, &to->next_kwargs, &to->why_detail };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		kit_copy_text(texts[i]);
	to->p = NULL;
	to->run = NULL;
}

struct kit_run *kit_run_row(struct kit *k, int64_t id)
{
	for (size_t i = k->runs.n; i-- > 0; )
		if (k->runs.at[i].row.id == id && !k->runs.at[i].gone)
			return &k->runs.at[i];
	return NULL;
}

static void take_text_of(const char **slot, const char *text)
{
	if (streq(*slot, text))
		return;
	freep(slot);
	*slot = xstrdup(text);
}

/* as kit_copy_ti, over a row that is there: few texts change */
static void take_ti(struct task_instance *to, const struct task_instance *from)
{
	struct task_instance old = *to;
	*to = *from;
	const char **const texts[] = { &to->pool, &to->hostname, &to->unixname, &to->rendered_map_index, &to->next_method, &to->next_kwargs, &to->why_detail };
	const char *const kept[] = { old.pool, old.hostname, old.unixname, old.rendered_map_index, old.next_method, old.next_kwargs, old.why_detail };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *text = *texts[i];
		*texts[i] = kept[i];
		take_text_of(texts[i], text);
	}
	to->p = NULL;
	to->run = NULL;
}

/* as the store's unique key has it: one whose task had left the DAG gives way to the one that is there again */
static void make_room(struct kit *k, const struct kit_run *run, const struct task_instance *ti)
{
	for (struct kit_ti *t = kit_first_ti(k, run); t; t = kit_next_ti(k, t)) {
		if (t->gone || t->row.map_index != ti->map_index || !streq(t->task_id, ti->run->dag->tasks[ti->task].task_id))
			continue;
		assert(t->row.state == TI_REMOVED);
		t->gone = true;
	}
}

static void save_ti_row(struct kit *k, struct task_instance *ti)
{
	struct kit_ti *row = kit_ti_row(k, &ti->id);
	struct kit_run *run = row && row->row.map_index == ti->map_index ? NULL : kit_run_row(k, ti->run->id);
	assert(ti->is_new == !row);
	if (run)
		make_room(k, run, ti);
	if (!row)
		row = kit_add_ti(k, run, &ti->id, ti->run->dag->tasks[ti->task].task_id);
	take_ti(&row->row, ti);
	ti->is_new = false;
}

void kit_free_run(struct kit_run *r)
{
	const char **const texts[] = { &r->row.conf, &r->row.note, &r->row.triggered_by, &r->row.triggering_user, &r->row.partition_key, &r->row.why_detail };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		freep(texts[i]);
}

static void save_run_row(struct kit *k, struct dag_run *run)
{
	struct kit_run *row = kit_run_row(k, run->id);
	if (!row) {
		assert(run->is_new);
		vec_push(&k->runs, ((struct kit_run){ .dag_id = xstrdup(dag_state_id(run->owner)), .run_id = xstrdup(run->run_id) }));
		row = &k->runs.at[k->runs.n - 1];
	} else {
		assert(!run->is_new);
	}
	kit_free_run(row);
	row->row = *run;
	row->row.run_id = row->run_id;
	row->row.p = NULL;
	row->row.dag = NULL;
	row->row.owner = NULL;
	const char **const texts[] = { &row->row.conf, &row->row.note, &row->row.triggered_by, &row->row.triggering_user, &row->row.partition_key, &row->row.why_detail };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		kit_copy_text(texts[i]);
	row->version = run->dag->version_id;
	run->is_new = false;
}

static void delete_run_row(struct kit *k, int64_t id)
{
	struct kit_run *row = kit_run_row(k, id);
	assert(row);
	row->gone = true;
	for (struct kit_ti *t = kit_first_ti(k, row); t; t = kit_next_ti(k, t))
		t->gone = true;
}

static void save_dag_row(struct kit *k, struct dag_state *d)
{
	struct kit_dag *row = NULL;
	for (size_t i = 0; i < k->states.n; i++)
		if (streq(k->states.at[i].dag_id, dag_state_id(d)))
			row = &k->states.at[i];
	if (!row) {
		vec_push(&k->states, ((struct kit_dag){ .dag_id = xstrdup(dag_state_id(d)) }));
		row = &k->states.at[k->states.n - 1];
	}
	row->paused = dag_state_paused(d);
	dag_state_next(d, &row->next);
}

/* ---- actions ---- */

const char *kit_token(const struct task_instance *ti, char ret[64])
{
	char id[37];
	uuid_format(&ti->id, id);
	snprintf(ret, 64, "%s/%d/%d/%s", id, ti->try_number, ti->reschedules, ti->next_method ? ti->next_method : "");
	return ret;
}

static void spawn(struct kit *k, const struct task_instance *ti)
{
	char token[64];
	kit_token(ti, token);
	if (k->before)
		vec_push(&k->before->spawns, xstrdup(token));
	else
		kit_spawned(k, token);
	vec_push(&k->spawned, ti->id);
}

void kit_spawned(struct kit *k, const char *token)
{
	k->spawns++;
	if (map_put(&k->tries, token, k))
		k->double_starts++;
}

static void forget_length(struct kit *k, const struct task_instance *ti)
{
	struct kit_ti *row = kit_ti_row(k, &ti->id);
	if (row)
		row->length = -1;
}

static void take_text(struct kit *k, const char *text)
{
	snprintf(k->last_text, sizeof k->last_text, "%s", text ? text : "");
}

static void perform(struct kit *k, const struct action *a)
{
	struct uuid id;
	struct kit_ti *row;
	switch (a->kind) {
	case ACT_SAVE_RUN: save_run_row(k, a->run); break;
	case ACT_SAVE_TI: save_ti_row(k, a->ti); k->decisions++; break;
	case ACT_SAVE_DAG: save_dag_row(k, a->dag); break;
	case ACT_ARCHIVE_TRY:
		row = kit_ti_row(k, &a->ti->id);
		k->archives++;
		k->wrong_archives += !row || row->row.try_number != a->number;      /* what is copied is the row as it is now */
		break;
	case ACT_FORGET_XCOMS: forget_length(k, a->ti); break;
	case ACT_DELETE_RUN: delete_run_row(k, a->number); break;
	case ACT_SPAWN: spawn(k, a->ti); break;
	case ACT_KILL: k->kills++; break;
	case ACT_START_TRIGGER: a->ti->trigger_id = ++k->triggers; break;
	case ACT_BACKFILL_IDLE: k->idle_backfill = a->number; k->idle_backfills++; break;
	case ACT_RUN_EVENT: take_text(k, a->text); break;
	case ACT_CALLBACK: case ACT_TI_CALLBACK: k->callbacks++; take_text(k, a->text); break;
	case ACT_REMOVE_TI: case ACT_DELETE_TI:
		if (uuid_parse(a->text, &id) == 0 && (row = kit_ti_row(k, &id))) {
			row->row.state = TI_REMOVED;
			row->row.why = WHY_NONE;
			row->gone = a->kind == ACT_DELETE_TI;
		}
		break;
	case ACT_REPLY:
		k->replies++;
		k->last_reply = a->code;
		k->last_run = a->run;
		take_text(k, a->text);
		break;
	case ACT_LOG_RUN: buf_add(&kit_run_row(k, a->run->id)->log, a->text, (size_t)a->number); break;
	case ACT_INPUT_DUE: k->inputs_due++; break;
	case ACT_ASK_WEIGHT: vec_push(&k->weighed, ((struct ti_ref){ a->ti->id, a->ti->try_number })); break;
	case ACT_ASK_TIMETABLE: vec_push(&k->asked, xstrdup(dag_state_id(a->dag))); break;
	case ACT_ASSET_RUN: kit_consume(k, dag_state_id(a->dag)); break;
	case ACT_CANCEL_TRIGGER: case ACT_DECISION:
		break;
	}
}

static void trace_ti(void *arg, struct task_instance *ti)
{
	struct buf *out = arg;
	buf_printf(out, "  %s[%d] ", ti->run->dag->tasks[ti->task].task_id, ti->map_index);
	kit_put_times(out, ti);
	buf_addc(out, '\n');
}

/* what the digest of its log is of */
void kit_trace_run(const struct dag_run *run)
{
	struct buf out = {0};
	for (uint32_t t = 0; t < run->dag->n_tasks; t++)
		core_task_tis(run, t, trace_ti, &out);
	printf("%s is %s, cleared %d times, from %lld to %lld, queued %lld\n%s", run->run_id, run_state_name(run->state), run->clear_number, (long long)run->start_date,
	       (long long)run->end_date, (long long)run->queued_at, out.data ? out.data : "");
	buf_clear(&out);
}

void kit_trace(const struct actions *acts, usec_t at, int64_t step)
{
	for (size_t i = 0; i < acts->n; i++) {
		const struct action *a = &acts->at[i];
		char now[40];
		time_format(at, TIME_ISO_Z, now);
		if (a->ti)
			printf("%s #%lld %d %s %s[%d] %s try %d %s\n", now, (long long)step, a->kind, a->ti->run->run_id, a->ti->run->dag->tasks[a->ti->task].task_id,
			       a->ti->map_index, ti_state_name(a->ti->state), a->ti->try_number, a->text ? a->text : "");
		else
			printf("%s #%lld %d %s %s\n", now, (long long)step, a->kind, a->run ? a->run->run_id : "", a->text && a->kind != ACT_LOG_RUN ? a->text : "");
		if (a->kind == ACT_LOG_RUN)
			kit_trace_run(a->run);
	}
}

/* a process that succeeds has pushed its return value */
static void note_pushed(struct kit *k, const struct event *ev)
{
	const struct task_instance *ti = core_find_ti(k->core, &ev->done.ref.id);
	struct kit_ti *row = ti && ti->state == TI_SUCCESS && ti->try_number == ev->done.ref.try_number ? kit_ti_row(k, &ti->id) : NULL;
	if (row)
		row->pushed_try = ti->try_number;
}

void kit_step(struct kit *k, struct event *ev)
{
	ev->now = k->now;
	k->steps++;
	if (!k->before)
		k->spawned.n = 0;
	actions_reset(&k->acts);
	core_step(k->core, ev, &k->acts);
	if (k->trace) {
		printf("event %d\n", ev->kind);
		kit_trace(&k->acts, k->now, k->steps);
	}
	for (size_t i = 0; i < k->acts.n && !k->lose_step; i++)
		perform(k, &k->acts.at[i]);
	if (ev->kind == EV_TI_DONE && ev->done.outcome == OUT_SUCCESS && !k->lose_step)
		note_pushed(k, ev);
}

/* ---- life ---- */

void kit_init(struct kit *k, usec_t now)
{
	*k = (struct kit){ .now = now, .cfg = { .parallelism = 32, .max_active_runs_default = 16, .max_active_tasks_default = 16, .seed = 1, .log_runs = true } };
	kit_pool(k, "default_pool", 128);
}

static void feed_pools(struct kit *k)
{
	for (size_t i = 0; i < k->pools.n; i++) {
		struct event ev = { .kind = EV_POOL, .pool = { k->pools.at[i].name, k->pools.at[i].slots, k->pools.at[i].include_deferred } };
		kit_step(k, &ev);
	}
}

static const struct kit_run *last_automated(const struct kit *k, const char *dag_id)
{
	const struct kit_run *last = NULL;
	for (size_t i = 0; i < k->runs.n; i++) {
		const struct kit_run *r = &k->runs.at[i];
		if (streq(r->dag_id, dag_id) && r->row.logical_date != USEC_NONE && (r->row.type == RUN_SCHEDULED || r->row.type == RUN_BACKFILL) &&
		    (!last || r->row.logical_date > last->row.logical_date))
			last = r;
	}
	return last;
}

static void feed_dags(struct kit *k)
{
	for (size_t i = 0; i < k->dags.n; i++) {
		struct event ev = { .kind = EV_DAG, .dag = k->dags.at[i] };
		kit_step(k, &ev);
		struct event st = { .kind = EV_DAG_STATE, .dag_state = { .dag_id = k->dags.at[i]->dag_id, .next_after = USEC_NONE } };
		for (size_t j = 0; j < k->states.n; j++)
			if (streq(k->states.at[j].dag_id, k->dags.at[i]->dag_id)) {
				st.dag_state.paused = k->states.at[j].paused;
				st.dag_state.next_logical = k->states.at[j].next.logical_date;
				st.dag_state.next_start = k->states.at[j].next.interval_start;
				st.dag_state.next_end = k->states.at[j].next.interval_end;
				st.dag_state.next_after = k->states.at[j].next.run_after;
			}
		const struct kit_run *last = last_automated(k, k->dags.at[i]->dag_id);
		if (last) {
			st.dag_state.has_last = true;
			st.dag_state.last = (struct run_info){ last->row.logical_date, last->row.interval_start, last->row.interval_end, last->row.run_after };
		}
		kit_step(k, &st);
	}
}

static struct dag *dag_named(const struct kit *k, const char *dag_id)
{
	for (size_t i = k->dags.n; i-- > 0; )
		if (streq(k->dags.at[i]->dag_id, dag_id))
			return k->dags.at[i];
	return NULL;
}

/* ended runs come back only for DAGs with depends_on_past (the last ones) and where dates could clash */
static bool is_restored(const struct kit *k, const struct kit_run *r)
{
	const struct dag *d = dag_named(k, r->dag_id);
	if (!run_state_terminal(r->row.state))
		return true;
	return d && (d->has_depends_on_past || d->max_consecutive_failed_dag_runs);
}

struct dag *kit_version(void *arg, const struct uuid *id, struct err *err)
{
	const struct kit *k = arg;
	for (size_t i = 0; i < k->dags.n; i++)
		if (uuid_eq(&k->dags.at[i]->version_id, id))
			return k->dags.at[i];
	for (size_t i = 0; i < k->versions.n; i++)
		if (uuid_eq(&k->versions.at[i]->version_id, id))
			return k->versions.at[i];
	err_set(err, E_NOT_FOUND, "a version that was never there");
	return NULL;
}

static void feed_version(struct kit *k, const struct uuid *id)
{
	struct event ev = { .kind = EV_RESTORE_DAG_VERSION, .dag = kit_version(k, id, NULL) };
	if (ev.dag)
		kit_step(k, &ev);
}

void kit_load(struct kit *k, struct kit_run *r)
{
	feed_version(k, &r->version);
	if (r->row.backfill_id)
		kit_tell_backfill(k, r->row.backfill_id);
	struct event ev = { .kind = EV_RESTORE_RUN, .run = { r->dag_id, r->version, &r->row } };
	kit_step(k, &ev);
	for (const struct kit_ti *t = kit_first_ti(k, r); t; t = kit_next_ti(k, t)) {
		if (t->gone)
			continue;
		struct event te = { .kind = EV_RESTORE_TI, .ti = { r->dag_id, r->run_id, t->task_id, &t->row } };
		kit_step(k, &te);
		if (t->length >= 0) {
			struct event le = { .kind = EV_RESTORE_MAP_LENGTH, .length = { { t->row.id, t->row.try_number }, "return_value", t->length } };
			kit_step(k, &le);
		}
		if (t->row.state == TI_SUCCESS && t->pushed_try != t->row.try_number) {
			struct event no = { .kind = EV_RESTORE_MAP_LENGTH, .length = { { t->row.id, t->row.try_number }, "return_value", -1 } };
			kit_step(k, &no);
		}
		if (t->n_skips && t->skips_try == t->row.try_number) {
			struct event se = { .kind = EV_RESTORE_SKIPS, .skip = { { t->row.id, t->row.try_number }, (const char *const *)t->skips, t->skip_maps, t->n_skips } };
			kit_step(k, &se);
		}
	}
}

static void feed_rows(struct kit *k)
{
	for (size_t i = 0; i < k->runs.n; i++)
		if (!k->runs.at[i].gone && is_restored(k, &k->runs.at[i]))
			kit_load(k, &k->runs.at[i]);
	kit_tell_assets(k);
}

void kit_start(struct kit *k)
{
	int64_t next = 1;
	for (size_t i = 0; i < k->runs.n; i++)
		next = k->runs.at[i].row.id >= next ? k->runs.at[i].row.id + 1 : next;
	k->cfg.next_run_db_id = next;
	k->cfg.seed += 77;
	k->core = core_new(&k->cfg);
	for (size_t i = 0; i < k->asked.n; i++)
		free(k->asked.at[i]);
	k->asked.n = 0;                      /* whoever was asked answers nobody now */
	feed_pools(k);
	feed_dags(k);
	for (size_t i = 0; i < k->backfills.n; i++)
		kit_tell_backfill(k, k->backfills.at[i].id);      /* also those that have no run yet: the engine says it with the command that makes the first */
	feed_rows(k);
	struct event ev = { .kind = EV_START };
	kit_step(k, &ev);
}

void kit_crash(struct kit *k)
{
	core_free(k->core);
	actions_reset(&k->acts);
	k->last_run = NULL;
	kit_start(k);
}

void kit_clear(struct kit *k)
{
	core_free(k->core);
	actions_clear(&k->acts);
	for (size_t i = 0; i < k->dags.n; i++)
		dag_unref(k->dags.at[i]);
	for (size_t i = 0; i < k->tis.n; i++) {
		kit_free_ti(&k->tis.at[i].row);
		free(k->tis.at[i].task_id);
		for (uint32_t j = 0; j < k->tis.at[i].n_skips; j++)
			free(k->tis.at[i].skips[j]);
		free(k->tis.at[i].skips);
		free(k->tis.at[i].skip_maps);
	}
	for (size_t i = 0; i < k->runs.n; i++) {
		kit_free_run(&k->runs.at[i]);
		free(k->runs.at[i].dag_id);
		free(k->runs.at[i].run_id);
		buf_clear(&k->runs.at[i].log);
	}
	for (size_t i = 0; i < k->states.n; i++)
		free(k->states.at[i].dag_id);
	for (size_t i = 0; i < k->versions.n; i++)
		dag_unref(k->versions.at[i]);
	vec_clear(&k->versions);
	vec_clear(&k->dags);
	vec_clear(&k->tis);
	vec_clear(&k->runs);
	vec_clear(&k->states);
	vec_clear(&k->pools);
	vec_clear(&k->spawned);
	vec_clear(&k->weighed);
	vec_clear(&k->backfills);
	for (size_t i = 0; i < k->queue.n; i++)
		free(k->queue.at[i].dag_id);
	vec_clear(&k->queue);
	for (size_t i = 0; i < k->asked.n; i++)
		free(k->asked.at[i]);
	vec_clear(&k->asked);
	map_clear(&k->tries);
	free(k->slots);
}

void kit_add(struct kit *k, struct dag *d)
{
	for (size_t i = 0; i < k->dags.n; i++)
		if (streq(k->dags.at[i]->dag_id, d->dag_id)) {
			struct event ev = { .kind = EV_DAG, .dag = d };
			vec_push(&k->versions, k->dags.at[i]);
			k->dags.at[i] = d;
			kit_step(k, &ev);
			return;
		}
	vec_push(&k->dags, d);
	if (!k->core)
		return;
	struct event ev = { .kind = EV_DAG, .dag = d };
	kit_step(k, &ev);
}

void kit_pool(struct kit *k, const char *name, int slots)
{
	struct kit_pool *p = NULL;
	for (size_t i = 0; i < k->pools.n; i++)
		if (streq(k->pools.at[i].name, name))
			p = &k->pools.at[i];
	if (!p) {
		vec_push(&k->pools, (struct kit_pool){0});
		p = &k->pools.at[k->pools.n - 1];
		snprintf(p->name, sizeof p->name, "%s", name);
	}
	p->slots = slots;
	if (k->core) {
		struct event ev = { .kind = EV_POOL, .pool = { p->name, slots, p->include_deferred } };
		kit_step(k, &ev);
	}
}

/* ---- events ---- */

void kit_time(struct kit *k, usec_t now)
{
	struct event ev = { .kind = EV_TIME };
	k->now = now;
	kit_step(k, &ev);
}

struct dag_run *kit_trigger(struct kit *k, const char *dag_id, const char *run_id, usec_t logical_date)
{
	struct event ev = { .kind = EV_TRIGGER, .cookie = 7, .trigger = { .dag_id = dag_id, .run_id = run_id, .type = RUN_MANUAL, .logical_date = logical_date,
		.interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = USEC_NONE } };
	kit_step(k, &ev);
	return k->last_reply == 0 ? k->last_run : NULL;
}

struct found { struct task_instance *ti; int map_index; };

static void pick(void *arg, struct task_instance *ti)
{
	struct found *f = arg;
	if (ti->map_index == f->map_index)
		f->ti = ti;
}

struct task_instance *kit_ti(struct kit *k, const char *dag_id, const char *run_id, const char *task_id, int map_index)
{
	struct dag_run *run = core_find_run(k->core, dag_id, run_id);
	struct found f = { .map_index = map_index };
	uint32_t task = run ? dag_task_index(run->dag, task_id) : NO_INDEX;
	if (task == NO_INDEX)
		return NULL;
	core_task_tis(run, task, pick, &f);
	return f.ti;
}

void kit_started(struct kit *k, const struct task_instance *ti)
{
	struct event ev = { .kind = EV_TI_STARTED, .started = { { ti->id, ti->try_number }, 4711, "host", "user" } };
	kit_step(k, &ev);
}

void kit_done(struct kit *k, const struct task_instance *ti, enum ti_outcome outcome)
{
	struct event ev = { .kind = EV_TI_DONE, .done = { .ref = { ti->id, ti->try_number }, .outcome = outcome, .when = k->now, .not_before = USEC_NONE,
		.trigger_timeout = USEC_NONE } };
	kit_step(k, &ev);
}

void kit_finish(struct kit *k, const char *run_id, const char *task_id, int map_index, enum ti_outcome outcome)
{
	struct task_instance *ti = kit_ti(k, k->dags.at[0]->dag_id, run_id, task_id, map_index);
	if (!ti || ti->state != TI_QUEUED) {
		fprintf(stderr, "%s[%d] is not queued but %s\n", task_id, map_index, ti ? ti_state_name(ti->state) : "absent");
		abort();
	}
	kit_started(k, ti);
	kit_done(k, ti, outcome);
}

void kit_length(struct kit *k, const struct task_instance *ti, int64_t length)
{
	struct event ev = { .kind = EV_MAP_LENGTH, .length = { { ti->id, ti->try_number }, "return_value", length } };
	struct kit_ti *row = kit_ti_row(k, &ti->id);
	assert(row);
	row->length = length;
	kit_step(k, &ev);
}

void kit_skip(struct kit *k, const struct task_instance *ti, const char *const *task_ids, const int *map_indices, uint32_t n)
{
	struct kit_ti *row = kit_ti_row(k, &ti->id);
	assert(row);
	for (uint32_t i = 0; i < row->n_skips; i++)
		free(row->skips[i]);
	row->skips = xrealloc_array(row->skips, n, sizeof *row->skips);
	row->skip_maps = xrealloc_array(row->skip_maps, n, sizeof *row->skip_maps);
	for (uint32_t i = 0; i < n; i++) {
		row->skips[i] = xstrdup(task_ids[i]);
		row->skip_maps[i] = map_indices ? map_indices[i] : -1;
	}
	row->n_skips = n;
	row->skips_try = ti->try_number;
	struct event ev = { .kind = EV_SKIP_DOWNSTREAM, .skip = { { ti->id, ti->try_number }, (const char *const *)row->skips, map_indices, n } };
	kit_step(k, &ev);
}

/* ---- reading the rows ---- */

static struct kit_run *find_run_row(struct kit *k, const char *dag_id, const char *run_id)
{
	for (size_t i = k->runs.n; i-- > 0; )
		if (streq(k->runs.at[i].dag_id, dag_id) && streq(k->runs.at[i].run_id, run_id) && !k->runs.at[i].gone)
			return &k->runs.at[i];
	return NULL;
}

void kit_bring_back(struct kit *k, const char *dag_id, const char *run_id)
{
	struct kit_run *r = find_run_row(k, dag_id, run_id);
	if (r && !core_find_run(k->core, dag_id, run_id))
		kit_load(k, r);
}

const char *kit_run_state(struct kit *k, const char *dag_id, const char *run_id)
{
	struct kit_run *r = find_run_row(k, dag_id, run_id);
	return r ? run_state_name(r->row.state) : "absent";
}

const char *kit_state(struct kit *k, const char *dag_id, const char *run_id, const char *task_id, int map_index)
{
	struct kit_run *r = find_run_row(k, dag_id, run_id);
	for (size_t i = 0; r && i < k->tis.n; i++) {
		struct kit_ti *t = &k->tis.at[i];
		if (t->run == r->row.id && !t->gone && streq(t->task_id, task_id) && t->row.map_index == map_index)
			return ti_state_name(t->row.state);
	}
	return "absent";
}

static int by_name(const void *a, const void *b)
{
	const struct kit_ti *const *x = a, *const *y = b;
	int r = strcmp((*x)->task_id, (*y)->task_id);
	return r ? r : (*x)->row.map_index - (*y)->row.map_index;
}

char *kit_states(struct kit *k, const char *dag_id, const char *run_id)
{
	struct kit_run *r = find_run_row(k, dag_id, run_id);
	VEC(struct kit_ti *) list = {0};
	struct buf out = {0};
	for (size_t i = 0; r && i < k->tis.n; i++)
		if (k->tis.at[i].run == r->row.id && !k->tis.at[i].gone)
			vec_push(&list, &k->tis.at[i]);
	if (list.n)
		qsort(list.at, list.n, sizeof *list.at, by_name);
	for (size_t i = 0; i < list.n; i++) {
		buf_printf(&out, "%s%s", i ? " " : "", list.at[i]->task_id);
		if (list.at[i]->row.map_index >= 0)
			buf_printf(&out, "[%d]", list.at[i]->row.map_index);
		buf_printf(&out, ":%s", ti_state_name(list.at[i]->row.state));
	}
	vec_clear(&list);
	return buf_steal(&out);
}
