/* run_wait: a stream of a run's states, one JSON line each, until it has ended; the last line has its results. */
#include "api/task_instances.h"
#include "api/permit.h"
#include "api/pytext.h"
#include "tables/tables.h"

struct waiting { struct call *c; struct source *timer; usec_t interval, next; bool results; };   /* next: when the next line is due */

static void wait_done(void *arg)
{
	struct waiting *w = arg;
	source_free(w->timer);
	call_release(w->c);
	free(w);
}

static void wait_tick(void *arg)
{
	struct waiting *w = arg;
	http_wake(w->c->r);
}

/* the entries of one task under its name: the value, or the list of those of its copies */
static void put_result(json_t *results, const char *task_id, int64_t map_index, json_t *value)
{
	json_t *list = json_object_get(results, task_id);
	if (map_index < 0 && !list) {
		json_object_set_new(results, task_id, value);
		return;
	}
	if (!json_is_array(list)) {
		json_t *first = list ? json_pack("[O]", list) : json_array();
		json_object_set_new(results, task_id, first);
		list = first;
	}
	json_array_append_new(list, value);
}

/* those of the tasks that were asked for, or those that the DAG's author named */
static int read_results(struct call *c, json_t *results, struct err *err)
{
	const char *tasks[100];
	size_t n = query_list(c, "result", tasks, ARRAY_LEN(tasks));
	struct where w = { .a = &c->r->arena };
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(json_decrefp) json_t *named = json_array();
	CLEANUP(rows_close) struct rows r = {0};
	for (size_t i = 0; i < n; i++)
		json_array_append_new(named, json_string(tasks[i]));
	where_add(&w, "r.dag_id = ? AND r.run_id = ? AND x.key = 'return_value'");
	where_value(&w, v_text(call_param(c, "dag_id")));
	where_value(&w, v_text(call_param(c, "dag_run_id")));
	if (n)
		where_texts(&w, "x.task_id", named);
	else
		where_add(&w, "x.dag_result = 1");
	buf_printf(&sql, "SELECT x.task_id, x.map_index, x.value FROM xcom x JOIN dag_run r ON r.id = x.dag_run%s ORDER BY x.task_id, x.map_index", w.text.data);
	int rc = store_query_text(c->api->db, sql.data, w.values.at, w.values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		json_t *value = NULL;
		if (!row_text(&r, 2) || json_read(row_text(&r, 2), row_size(&r, 2), &value, NULL) < 0)
			value = json_null();
		put_result(results, row_text(&r, 0), row_int(&r, 1), value);
	}
	where_clear(&w);
	return rc < 0 ? rc : 0;
}

static int write_line(struct waiting *w, const char *state, bool ended, struct buf *out)
{
	CLEANUP(json_decrefp) json_t *line = json_pack("{s:s}", "state", state);
	CLEANUP(json_decrefp) json_t *results = json_object();
	CLEANUP(err_clear) struct err err = {0};
	int rc = ended && w->results ? read_results(w->c, results, &err) : 0;
	if (rc < 0) {
		api_note(w->c->api, "reading the results of a run", &err);
		return rc;
	}
	if (json_object_size(results))
		json_object_set(line, "results", results);
	python_json(line, out);
	buf_addc(out, '\n');
	return 0;
}

static enum http_more wait_pull(void *arg, struct buf *out)
{
	struct waiting *w = arg;
	CLEANUP(freep) char *state = NULL;
	enum run_state s = RUN_QUEUED;
	usec_t now = loop_monotonic();
	if (now < w->next) {            /* asked again because the last line has been sent */
		timer_in(w->timer, w->next - now);
		return HTTP_WAIT;
	}
	int rc = store_get_text(w->c->api->db, SQL_run_state, &state, NULL, v_text(call_param(w->c, "dag_id")), v_text(call_param(w->c, "dag_run_id")));
	if (rc < 0 || !state || run_state_from(state, &s) < 0)
		return HTTP_BREAK;
	bool ended = run_state_terminal(s);
	if (write_line(w, state, ended, out) < 0)
		return HTTP_BREAK;
	w->next = now + w->interval;
	timer_in(w->timer, w->interval);
	return ended ? HTTP_END : HTTP_WAIT;
}

/* how long between two looks; false: a problem was added */
static bool read_interval(struct call *c, usec_t *ret)
{
	double interval = 0;
	const char *text = http_query(c->r, "interval");
	if (!text)
		call_problem(c, "missing", "[\"query\",\"interval\"]", "Field required", "null", NULL);
	else if (str_to_double(text, &interval) < 0)
		call_problem(c, "float_parsing", "[\"query\",\"interval\"]", "Input should be a valid number, unable to parse string as a number",
		             json_quoted(&c->r->arena, text), NULL);
	else if (!(interval > 0))
		call_problem(c, "greater_than", "[\"query\",\"interval\"]", "Input should be greater than 0", json_quoted(&c->r->arena, text), "{\"gt\":0.0}");
	/* a day is as good as for ever, and no client needs it a thousand times a second */
	*ret = interval > 86400 ? 86400 * USEC_SEC : interval < 0.01 ? USEC_SEC / 100 : (usec_t)(interval * 1e6);
	return !call_problems(c);
}

void wait_dag_run(struct call *c)
{
	usec_t interval;
	int64_t run;
	bool results = may(c, RES_XCOM, READ);
	if (!read_interval(c, &interval))
		return;
	if (!results && http_query(c->r, "result")) {
		call_fail(c, 403, "User is not authorized to read XCom data for this Dag");
		return;
	}
	if (!need_run(c, call_param(c, "dag_id"), call_param(c, "dag_run_id"), &run))
		return;
	struct waiting *w = xcalloc(1, sizeof *w);
	*w = (struct waiting){ .c = call_keep(c), .timer = loop_timer(c->api->loop, wait_tick, w), .interval = interval, .results = results };
	http_stream(w->c->r, 200, "application/x-ndjson", wait_pull, wait_done, w);
}
