/* ui_grid: the grid's columns (runs) and squares (what became of each task in each run). */
#include "api/handlers.h"
#include "api/ui_graph.h"
#include "tables/tables.h"

/* ---- runs ---- */

static void write_duration(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	usec_t start = row_time(r, col), end = row_time(r, col + 1);
	(void)c;
	if (start == USEC_NONE)
		jw_double(w, 0);
	else
		jw_double(w, (double)((end == USEC_NONE ? loop_now() : end) - start) / 1e6);
}

static void user_contains(struct call *c, struct where *w, const char *value)
{
	(void)c;
	if (!value || !*value)
		return;
	where_add(w, "r.triggering_user LIKE ?");
	where_value(w, v_text(arena_printf(w->a, "%%%s%%", value)));
}

static void user_begins(struct call *c, struct where *w, const char *value)
{
	(void)c;
	if (!value || !*value)
		return;
	where_add(w, "substr(r.triggering_user, 1, length(?)) = ?");
	where_value(w, v_text(value));
	where_value(w, v_text(value));
}

static const struct filter grid_filters[] = {
	{ "run_after", FILTER_TIMES, "r.run_after" },
	{ "state", FILTER_STATE, "r.state", "queued|running|success|failed", .label = "state" },
	{ "run_type", FILTER_STATE, "r.run_type", "backfill|scheduled|manual|operator_triggered|asset_triggered|asset_materialization", .label = "run type" },
	{ "triggering_user", FILTER_CALL, .fn = user_contains }, { "triggering_user_prefix", FILTER_CALL, .fn = user_begins }, { NULL, FILTER_END }
};
static const struct order grid_orders[] = {
	{ "run_after", "r.run_after" }, { "logical_date", "r.logical_date", true }, { "start_date", "r.start_date", true }, { "end_date", "r.end_date", true },
	{ "interval_end", "r.interval_end", true }, { NULL, NULL }
};
static const struct list_spec grid_spec = { .orders = grid_orders, .tie = "r.id" };

int ui_runs(struct call *c, struct ui_runs *ret)
{
	static const char *const usual[] = { "interval_end", "logical_date" };
	const char *by[12];
	struct ui_runs q = { .where = { .a = &c->r->arena } };
	where_add(&q.where, "r.dag_id = ?");
	where_value(&q.where, v_text(call_param(c, "dag_id")));
	list_page(c, &q.page);
	filters_apply(c, grid_filters, &q.where);
	size_t n = query_list(c, "order_by", by, ARRAY_LEN(by));
	if (call_problems(c) || !list_order(c, &grid_spec, n ? by : usual, n ? n : ARRAY_LEN(usual), &q.order)) {
		ui_runs_clear(&q);
		return UI_ANSWERED;
	}
	*ret = q;
	return 0;
}

void ui_runs_clear(struct ui_runs *q)
{
	where_clear(&q->where);
	buf_clear(&q->order);
}

static const struct field grid_run_fields[] = {
	TEXT("dag_id", "r.dag_id"), TEXT("run_id", "r.run_id"), TIME("queued_at", "r.queued_at"), TIME("start_date", "r.start_date"), TIME("end_date", "r.end_date"),
	TIME("run_after", "r.run_after"), TEXT("state", "r.state"), TEXT("run_type", "r.run_type"),
	COMPUTED("dag_versions", 4, "r.id, r.version, r.created_version, r.bundle_version", write_known_run_versions),
	BOOL("has_missed_deadline", "EXISTS (SELECT 1 FROM deadline x WHERE x.dag_run = r.id AND x.missed)"),
	BOOL("has_note", "EXISTS (SELECT 1 FROM run_note n WHERE n.dag_run = r.id AND n.content IS NOT NULL)"),
	COMPUTED("duration", 2, "r.start_date, r.end_date", write_duration), END
};

/* null members are left out, as Airflow leaves them out here */
static int write_grid_runs(struct call *c, struct ui_runs *q, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	fields_sql(grid_run_fields, &columns);
	buf_printf(&sql, "SELECT %s FROM dag_run r%s%s LIMIT ? OFFSET ?", columns.data, q->where.text.data, q->order.data);
	where_value(&q->where, v_int(q->page.limit));
	where_value(&q->where, v_int(q->page.offset));
	int rc = store_query_text(c->api->db, sql.data, q->where.values.at, q->where.values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		jw_object(&c->w);
		fields_write_known(c, &c->w, grid_run_fields, &r, 0);
		jw_end_object(&c->w);
	}
	return rc;
}

void get_grid_runs(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const struct graph *g;
	struct ui_runs q = {0};
	if (ui_runs(c, &q) < 0)
		return;
	/* without an order the DAG's timetable decides, so it must be there */
	int rc = http_query(c->r, "order_by") ? 0 : graphs_get(c->api, call_param(c, "dag_id"), 0, &g, &err);
	jw_array(call_json(c));
	if (rc >= 0)
		rc = write_grid_runs(c, &q, &err);
	jw_end_array(&c->w);
	ui_runs_clear(&q);
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "Dag with id %s was not found", call_param(c, "dag_id"));
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

/* ---- squares ---- */

/* what a square shows: of all instances of a task, of all tasks of a group */
struct sum { uint32_t n[TI_STATE_COUNT]; bool any, note; usec_t start, end; int64_t version; };
static const struct sum nothing = { .start = USEC_NONE, .end = USEC_NONE };

/* the worst first */
static const enum ti_state worst[] = { TI_FAILED, TI_UPSTREAM_FAILED, TI_UP_FOR_RETRY, TI_UP_FOR_RESCHEDULE, TI_RUNNING, TI_RESTARTING, TI_DEFERRED,
	TI_AWAITING_INPUT, TI_QUEUED, TI_SCHEDULED, TI_NONE, TI_SUCCESS, TI_SKIPPED, TI_REMOVED };

static void sum_times(struct sum *s, usec_t start, usec_t end)
{
	if (start != USEC_NONE && (s->start == USEC_NONE || start < s->start))
		s->start = start;
	if (end != USEC_NONE && (s->end == USEC_NONE || end > s->end))
		s->end = end;
}

static void sum_add(struct sum *s, const struct sum *other)
{
	for (size_t i = 0; i < TI_STATE_COUNT; i++)
		s->n[i] += other->n[i];
	s->any = s->any || other->any;
	s->note = s->note || other->note;
	s->version = other->version > s->version ? other->version : s->version;
	sum_times(s, other->start, other->end);
}

static void write_sum(struct json_writer *w, const struct sum *s, bool counts)
{
	const char *state = NULL;
	for (size_t i = 0; s->any && !state && i < ARRAY_LEN(worst); i++)
		if (s->n[worst[i]])
			state = ti_state_name(worst[i]);
	jw_kstr(w, "state", state && *state ? state : NULL);
	jw_key(w, "child_states");
	if (counts) {
		jw_object(w);
		for (size_t i = 0; i < TI_STATE_COUNT; i++)
			if (s->n[i])
				jw_kint(w, i == TI_NONE ? "none" : ti_state_name((enum ti_state)i), s->n[i]);
		jw_end_object(w);
	} else {
		jw_null(w);
	}
	jw_ktime(w, "min_start_date", s->start);
	jw_ktime(w, "max_end_date", s->end);
	jw_key(w, "dag_version_number");
	if (s->version)
		jw_int(w, s->version);
	else
		jw_null(w);
	jw_kbool(w, "has_note", s->note);
}

struct squares {
	struct call *c;
	const char *dag_id;
	const char **runs; size_t n_runs, at;
	bool alphabetical;
	/* of the run at work */
	const struct graph *g;
	struct arena arena;
	struct json_writer w;
	struct sum *sums;               /* a node */
	VEC(struct extra { char *id; struct sum sum; }) extras;   /* tasks that the version has not */
	struct { struct uuid id; int64_t number; } last;          /* version number read last */
};

static void write_square(struct squares *s, const char *id, const char *display, const struct sum *sum, bool counts)
{
	jw_object(&s->w);
	jw_kstr(&s->w, "task_id", id);
	jw_kstr(&s->w, "task_display_name", display);
	write_sum(&s->w, sum, counts);
	jw_end_object(&s->w);
}

static void write_squares(struct squares *s, uint32_t at, struct sum *ret)
{
	const struct graph_node *n = &s->g->nodes[at];
	struct sum sum = s->sums[at];
	if (n->group) {
		struct ids order = graph_children(s->g, &s->arena, NULL, at, s->alphabetical);
		sum = nothing;
		for (uint32_t i = 0; i < order.n; i++) {
			struct sum child;
			write_squares(s, order.at[i], &child);
			sum_add(&sum, &child);
		}
	} else if (n->mapped && !sum.any) {
		sum.any = true;
		sum.n[TI_NONE] = 1;
	}
	*ret = sum;
	if (at && !(!n->group && map_get(&s->g->groups, n->id)))
		write_square(s, n->id, n->group ? n->id : n->display, &sum, n->group || n->mapped);
}

static int64_t number_of(struct squares *s, const struct rows *r, int col)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows v = {0};
	struct uuid id;
	if (row_null(r, col))
		return 0;
	row_uuid(r, col, &id);
	if (uuid_eq(&id, &s->last.id))
		return s->last.number;
	struct val value = v_uuid(&id);
	if (store_query_text(s->c->api->db, "SELECT version_number FROM dag_version WHERE id = ?", &value, 1, &v, &err) < 0 || rows_next(&v, &err) <= 0)
		return 0;
	s->last.id = id;
	s->last.number = row_int(&v, 0);
	return s->last.number;
}

static struct sum *sum_of(struct squares *s, const char *task_id)
{
	uint32_t at = graph_task(s->g, task_id);
	if (at != UINT32_MAX)
		return &s->sums[at];
	if (!s->extras.n || !streq(s->extras.at[s->extras.n - 1].id, task_id))
		vec_push(&s->extras, ((struct extra){ arena_strdup(&s->arena, task_id), nothing }));
	return &s->extras.at[s->extras.n - 1].sum;
}

static int graph_for(struct squares *s, const struct rows *r, int col, struct err *err)
{
	struct uuid id;
	int rc = E_NOT_FOUND;
	row_uuid(r, col, &id);
	if (!row_null(r, col))
		rc = graphs_version(s->c->api, &id, &s->g, err);
	if (rc == E_NOT_FOUND)
		rc = graphs_get(s->c->api, s->dag_id, 0, &s->g, err);
	if (rc < 0)
		return rc;
	s->sums = arena_alloc(&s->arena, s->g->n * sizeof *s->sums);
	for (uint32_t i = 0; i < s->g->n; i++)
		s->sums[i] = nothing;
	return 0;
}

/* columns: task, state, start, end, version, note */
static void take(struct squares *s, struct sum *sum, const struct rows *r)
{
	enum ti_state state = TI_NONE;
	int64_t number = number_of(s, r, 4);
	ti_state_from(row_text(r, 1), &state);
	sum->n[state]++;
	sum->any = true;
	sum->note = sum->note || row_bool(r, 5);
	sum->version = number > sum->version ? number : sum->version;
	sum_times(sum, row_time(r, 2), row_time(r, 3));
}

static int sum_run(struct squares *s, int64_t run, bool notes, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_int(run);
	int rc = store_query_text(s->c->api->db, notes
		? "SELECT t.task_id, t.state, t.start_date, t.end_date, t.version, EXISTS (SELECT 1 FROM task_note n WHERE n.ti = t.id AND n.content IS NOT NULL) "
		  "FROM task_instance t WHERE t.dag_run = ? ORDER BY t.task_id"
		: "SELECT t.task_id, t.state, t.start_date, t.end_date, t.version, 0 FROM task_instance t WHERE t.dag_run = ? ORDER BY t.task_id", &v, 1, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		if (!s->g && (rc = graph_for(s, &r, 4, err)) < 0)
			break;
		take(s, sum_of(s, row_text(&r, 0)), &r);
	}
	return rc;
}

static int any_notes(struct store *db, bool *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(db, "SELECT EXISTS (SELECT 1 FROM task_note)", NULL, 0, &r, err);
	if (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		*ret = row_bool(&r, 0);
	return rc;
}

static void write_run(struct squares *s, const char *run_id, struct buf *out)
{
	struct sum all;
	jw_init(&s->w, out);
	jw_object(&s->w);
	jw_kstr(&s->w, "run_id", run_id);
	jw_kstr(&s->w, "dag_id", s->dag_id);
	jw_key(&s->w, "task_instances");
	jw_array(&s->w);
	write_squares(s, 0, &all);
	for (size_t i = 0; i < s->extras.n; i++)
		write_square(s, s->extras.at[i].id, s->extras.at[i].id, &s->extras.at[i].sum, false);
	jw_end_array(&s->w);
	jw_end_object(&s->w);
	buf_addc(out, '\n');
}

static int next_run(struct squares *s, const char *run_id, struct buf *out, struct err *err)
{
	int64_t run = 0;
	bool notes = false;
	s->g = NULL;
	s->extras.n = 0;
	int rc = store_get_int(s->c->api->db, SQL_run_id_of, 0, &run, err, v_text(s->dag_id), v_text(run_id));
	if (rc >= 0 && run && (rc = any_notes(s->c->api->db, &notes, err)) >= 0)
		rc = sum_run(s, run, notes, err);
	if (rc >= 0 && s->g)
		write_run(s, run_id, out);
	arena_clear(&s->arena);
	return rc;
}

/* one run a block, so that nobody waits for a page of large runs */
static enum http_more pull_squares(void *arg, struct buf *out)
{
	struct squares *s = arg;
	CLEANUP(err_clear) struct err err = {0};
	if (s->at == s->n_runs)
		return HTTP_END;
	if (next_run(s, s->runs[s->at++], out, &err) >= 0)
		return HTTP_MORE;
	api_note(s->c->api, "reading a run for the grid", &err);
	return HTTP_BREAK;
}

static void squares_done(void *arg)
{
	struct squares *s = arg;
	vec_clear(&s->extras);
	arena_clear(&s->arena);
	call_release(s->c);
}

void get_grid_ti_summaries_stream(struct call *c)
{
	struct squares *s = arena_alloc(&c->r->arena, sizeof *s);
	s->runs = arena_alloc(&c->r->arena, (c->r->query.n + 1) * sizeof *s->runs);
	s->n_runs = query_list(c, "run_ids", s->runs, c->r->query.n);
	s->dag_id = call_param(c, "dag_id");
	s->alphabetical = streq(config_str(c->api->cfg, OPT_api_grid_view_sorting_order), "hierarchical_alphabetical");
	s->c = call_keep(c);
	http_stream(c->r, 200, "application/x-ndjson", pull_squares, squares_done, s);
}
