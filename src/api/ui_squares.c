/* ui_squares: what became of each task in each run of the grid's page. A page of a large DAG is half a million squares, so what is the
 * same in each run (order, names) is made once, and the rest is written without a detour. */
#include "api/handlers.h"
#include "api/ui_graph.h"
#include "base/time.h"
#include "tables/tables.h"

/* what a square shows: of all instances of a task, of all tasks of a group */
struct sum { uint32_t n[TI_STATE_COUNT]; bool any, note; usec_t start, end; int64_t version; };
static const struct sum nothing = { .start = USEC_NONE, .end = USEC_NONE };

/* the worst first */
static const enum ti_state worst[] = { TI_FAILED, TI_UPSTREAM_FAILED, TI_UP_FOR_RETRY, TI_UP_FOR_RESCHEDULE, TI_RUNNING, TI_RESTARTING, TI_DEFERRED,
	TI_AWAITING_INPUT, TI_QUEUED, TI_SCHEDULED, TI_NONE, TI_SUCCESS, TI_SKIPPED, TI_REMOVED };

/* One square of each run. head: its JSON up to the state. parent: the group's node */
struct square { uint32_t node, parent; bool written, group, mapped; size_t head, nhead; };

/* The squares of a version in the order in which they are written: children, then their group. Good for one state of the version */
struct plan {
	struct uuid version;
	int64_t updated;
	bool made;
	VEC(struct square) squares;
	struct buf heads;
	VEC(uint32_t) rows;             /* the node of each row of the run before: the next run's rows are most likely of the same tasks */
};

struct squares {
	struct call *c;
	const char *dag_id;
	const char **runs; size_t n_runs, at;
	bool alphabetical;
	struct plan plan;
	/* of the run at work */
	const struct graph *g;
	struct arena arena;
	struct sum *sums;               /* a node */
	size_t row;
	VEC(struct extra { char *id; struct sum sum; }) extras;   /* tasks that the version has not */
	/* what was read or written last, which most often comes again */
	struct { struct uuid id; int64_t number; } last;
	struct { char name[24]; size_t n; enum ti_state state; } last_state;
	struct { int64_t day; char text[24]; size_t n; } last_day;   /* "2026-01-02T" */
};

/* ---- sums ---- */

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

/* ---- writing ---- */

#define USEC_DAY (86400 * USEC_SEC)
#define PUT(b, literal) put(b, literal, sizeof(literal) - 1)

static void put(struct buf *b, const char *s, size_t n)
{
	memcpy(b->data + b->len, s, n);
	b->len += n;
}

static void put_digits(struct buf *b, int64_t v, int digits)
{
	for (int i = digits - 1; i >= 0; i--, v /= 10)
		b->data[b->len + (size_t)i] = (char)('0' + v % 10);
	b->len += (size_t)digits;
}

static void put_count(struct buf *b, uint64_t v)
{
	int digits = 1;
	for (uint64_t rest = v; rest >= 10; rest /= 10)
		digits++;
	put_digits(b, (int64_t)v, digits);
}

/* as TIME_ISO_Z; the times of a run are of one day or two */
static void put_time(struct squares *s, struct buf *b, usec_t t)
{
	if (t == USEC_NONE) {
		PUT(b, "null");
		return;
	}
	int64_t day = t / USEC_DAY - (t % USEC_DAY < 0), rest = t - day * USEC_DAY;
	if (!s->last_day.n || s->last_day.day != day) {
		char text[40];
		time_format(day * USEC_DAY, TIME_ISO_Z, text);
		s->last_day.n = strcspn(text, "T") + 1;
		s->last_day.day = day;
		memcpy(s->last_day.text, text, s->last_day.n);
	}
	PUT(b, "\"");
	put(b, s->last_day.text, s->last_day.n);
	int64_t second = rest / USEC_SEC, fraction = rest % USEC_SEC;
	put_digits(b, second / 3600, 2);
	PUT(b, ":");
	put_digits(b, second / 60 % 60, 2);
	PUT(b, ":");
	put_digits(b, second % 60, 2);
	if (fraction) {
		PUT(b, ".");
		put_digits(b, fraction, 6);
	}
	PUT(b, "Z\"");
}

static const char *worst_of(const struct sum *sum)
{
	for (size_t i = 0; sum->any && i < ARRAY_LEN(worst); i++)
		if (sum->n[worst[i]])
			return ti_state_name(worst[i]);
	return "";
}

static void put_state(struct buf *b, const char *name)
{
	PUT(b, "\"");
	put(b, name, strlen(name));
	PUT(b, "\"");
}

static void put_counts(struct buf *b, const struct sum *sum)
{
	bool any = false;
	PUT(b, "{");
	for (size_t i = 0; i < TI_STATE_COUNT; i++) {
		if (!sum->n[i])
			continue;
		if (any)
			PUT(b, ",");
		any = true;
		put_state(b, i == TI_NONE ? "none" : ti_state_name((enum ti_state)i));
		PUT(b, ":");
		put_count(b, sum->n[i]);
	}
	PUT(b, "}");
}

#define LONGEST_REST ((size_t)1024)      /* of a square behind its head: all counts, two times, a number */

static void put_rest(struct squares *s, struct buf *b, const struct sum *sum, bool counts)
{
	const char *state = worst_of(sum);
	PUT(b, ",\"state\":");
	if (*state)
		put_state(b, state);
	else
		PUT(b, "null");
	PUT(b, ",\"child_states\":");
	if (counts)
		put_counts(b, sum);
	else
		PUT(b, "null");
	PUT(b, ",\"min_start_date\":");
	put_time(s, b, sum->start);
	PUT(b, ",\"max_end_date\":");
	put_time(s, b, sum->end);
	PUT(b, ",\"dag_version_number\":");
	if (sum->version)
		put_count(b, (uint64_t)sum->version);
	else
		PUT(b, "null");
	if (sum->note)
		PUT(b, ",\"has_note\":true}");
	else
		PUT(b, ",\"has_note\":false}");
}

static void write_square(struct squares *s, struct buf *out, bool *inout_comma, const char *head, size_t n, const struct sum *sum, bool counts)
{
	buf_reserve(out, n + 1 + LONGEST_REST);
	if (*inout_comma)
		PUT(out, ",");
	*inout_comma = true;
	put(out, head, n);
	put_rest(s, out, sum, counts);
	out->data[out->len] = '\0';
}

/* ---- the plan ---- */

static void add_head(struct buf *out, const char *id, const char *display)
{
	struct json_writer w;
	jw_init(&w, out);
	jw_object(&w);
	jw_kstr(&w, "task_id", id);
	jw_kstr(&w, "task_display_name", display);
}

static void plan_node(struct squares *s, uint32_t at, uint32_t parent)
{
	const struct graph_node *n = &s->g->nodes[at];
	struct plan *p = &s->plan;
	if (n->group) {
		struct ids order = graph_children(s->g, &s->arena, NULL, at, s->alphabetical);
		for (uint32_t i = 0; i < order.n; i++)
			plan_node(s, order.at[i], at);
	}
	struct square q = { .node = at, .parent = parent, .group = n->group, .mapped = n->mapped, .head = p->heads.len };
	q.written = at && !(!n->group && map_get(&s->g->groups, n->id));
	if (q.written)
		add_head(&p->heads, n->id, n->group ? n->id : n->display);
	q.nhead = p->heads.len - q.head;
	vec_push(&p->squares, q);
}

static void plan_for(struct squares *s)
{
	struct plan *p = &s->plan;
	if (p->made && uuid_eq(&p->version, &s->g->version) && p->updated == s->g->updated)
		return;
	p->squares.n = p->rows.n = 0;
	buf_reset(&p->heads);
	p->version = s->g->version;
	p->updated = s->g->updated;
	p->made = true;
	plan_node(s, 0, 0);
}

static void plan_clear(struct plan *p)
{
	vec_clear(&p->squares);
	vec_clear(&p->rows);
	buf_clear(&p->heads);
}

/* ---- reading a run ---- */

static int64_t number_of(struct squares *s, const struct rows *r, int col)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows v = {0};
	struct val id = row_val(r, col);
	if (id.kind != VAL_BLOB || id.n != sizeof s->last.id)
		return 0;
	if (!memcmp(id.p, &s->last.id, sizeof s->last.id))
		return s->last.number;
	struct uuid version;
	memcpy(&version, id.p, sizeof version);
	struct val value = v_uuid(&version);
	if (store_query_text(s->c->api->db, "SELECT version_number FROM dag_version WHERE id = ?", &value, 1, &v, &err) < 0 || rows_next(&v, &err) <= 0)
		return 0;
	s->last.id = version;
	s->last.number = row_int(&v, 0);
	return s->last.number;
}

static uint32_t node_of(struct squares *s, const char *task_id)
{
	struct plan *p = &s->plan;
	size_t row = s->row++;
	if (row < p->rows.n && p->rows.at[row] != UINT32_MAX && streq(s->g->nodes[p->rows.at[row]].id, task_id))
		return p->rows.at[row];
	uint32_t at = graph_task(s->g, task_id);
	if (row < p->rows.n)
		p->rows.at[row] = at;
	else
		vec_push(&p->rows, at);
	return at;
}

static struct sum *sum_of(struct squares *s, const char *task_id)
{
	uint32_t at = node_of(s, task_id);
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
	plan_for(s);
	s->sums = arena_alloc(&s->arena, s->g->n * sizeof *s->sums);
	for (uint32_t i = 0; i < s->g->n; i++)
		s->sums[i] = nothing;
	return 0;
}

static enum ti_state state_of(struct squares *s, const struct rows *r, int col)
{
	struct val v = row_val(r, col);
	enum ti_state state = TI_NONE;
	if (v.kind != VAL_TEXT)
		return TI_NONE;
	if (v.n == s->last_state.n && !memcmp(v.p, s->last_state.name, v.n))
		return s->last_state.state;
	ti_state_from(v.p, &state);
	if (v.n < sizeof s->last_state.name) {
		memcpy(s->last_state.name, v.p, v.n);
		s->last_state.n = v.n;
		s->last_state.state = state;
	}
	return state;
}

/* columns: task, state, start, end, version, note */
static void take(struct squares *s, struct sum *sum, const struct rows *r)
{
	int64_t number = number_of(s, r, 4);
	sum->n[state_of(s, r, 1)]++;
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

/* ---- a run's line ---- */

static void write_planned(struct squares *s, struct buf *out, bool *inout_comma)
{
	const struct plan *p = &s->plan;
	for (size_t i = 0; i < p->squares.n; i++) {
		const struct square *q = &p->squares.at[i];
		struct sum *sum = &s->sums[q->node];
		if (!q->group && q->mapped && !sum->any) {
			sum->any = true;
			sum->n[TI_NONE] = 1;
		}
		if (q->parent != q->node)
			sum_add(&s->sums[q->parent], sum);
		if (q->written)
			write_square(s, out, inout_comma, p->heads.data + q->head, q->nhead, sum, q->group || q->mapped);
	}
}

static void write_run(struct squares *s, const char *run_id, struct buf *out)
{
	struct json_writer w;
	bool comma = false;
	jw_init(&w, out);
	jw_object(&w);
	jw_kstr(&w, "run_id", run_id);
	jw_kstr(&w, "dag_id", s->dag_id);
	jw_key(&w, "task_instances");
	jw_array(&w);
	write_planned(s, out, &comma);
	for (size_t i = 0; i < s->extras.n; i++) {
		CLEANUP(buf_clear) struct buf head = {0};
		add_head(&head, s->extras.at[i].id, s->extras.at[i].id);
		write_square(s, out, &comma, head.data, head.len, &s->extras.at[i].sum, false);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	buf_addc(out, '\n');
}

static int next_run(struct squares *s, const char *run_id, struct buf *out, struct err *err)
{
	int64_t run = 0;
	bool notes = false;
	s->g = NULL;
	s->extras.n = s->row = 0;
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
	plan_clear(&s->plan);
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
