/* ui_calendar: how many runs a day or an hour had, and those that the schedule will bring this year. */
#include "api/handlers.h"
#include "api/table.h"
#include "base/time.h"
#include "core/timetable.h"

#define PLANNED_MAX 2000
#define HOUR ((usec_t)3600 * USEC_SEC)

struct calendar {
	struct call *c;
	usec_t unit;
	const char *column;             /* what the range is about */
	struct where where;
	int64_t n;
	bool any;                       /* the last row: where planning begins */
	struct run_info last;
	usec_t partition_date;
};

static const struct filter by_logical_date[] = { { "logical_date", FILTER_TIMES, "r.logical_date" }, { NULL, FILTER_END } };
static const struct filter by_partition_date[] = { { "partition_date", FILTER_TIMES, "r.partition_date" }, { NULL, FILTER_END } };

static bool range_given(const struct call *c, const char *name)
{
	static const char *const ends[] = { "_gte", "_gt", "_lte", "_lt" };
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (http_query(c->r, arena_printf(&c->r->arena, "%s%s", name, ends[i])))
			return true;
	return false;
}

static usec_t floor_to(usec_t t, usec_t unit)
{
	usec_t rest = t % unit;
	return t - (rest < 0 ? rest + unit : rest);
}

static void write_cell(struct calendar *k, usec_t date, const char *state, int64_t count)
{
	struct json_writer *w = &k->c->w;
	jw_object(w);
	jw_ktime(w, "date", date);
	jw_kstr(w, "state", state);
	jw_kint(w, "count", count);
	jw_end_object(w);
	k->n++;
}

static int write_past(struct calendar *k, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	where_add(&k->where, "COALESCE(r.partition_date, r.logical_date) IS NOT NULL");
	buf_printf(&sql, "SELECT COALESCE(r.partition_date, r.logical_date) / %lld AS cell, r.state, count(*), max(r.interval_start), max(r.interval_end), "
	           "max(r.run_after), max(r.partition_date) FROM dag_run r%s GROUP BY cell, r.state ORDER BY cell, r.state", (long long)k->unit, k->where.text.data);
	int rc = store_query_text(k->c->api->db, sql.data, k->where.values.at, k->where.values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		write_cell(k, row_int(&r, 0) * k->unit, row_text(&r, 1), row_int(&r, 2));
		k->any = true;
		k->last = (struct run_info){ row_time(&r, 3), row_time(&r, 3), row_time(&r, 4), row_time(&r, 5) };
		k->partition_date = row_time(&r, 6);
	}
	return rc;
}

/* ---- planned ---- */

struct bounds { usec_t at[4]; bool given[4]; };

static void read_bounds(struct calendar *k, struct bounds *ret)
{
	static const char *const ends[] = { "_gte", "_gt", "_lte", "_lt" };
	const char *name = k->column + 2;
	for (size_t i = 0; i < 4; i++) {
		const char *s = http_query(k->c->r, arena_printf(&k->c->r->arena, "%s%s", name, ends[i]));
		ret->given[i] = s && time_or_problem(k->c, "[]", s, &ret->at[i]);
	}
}

static bool within(const struct bounds *b, usec_t t)
{
	return !(b->given[0] && t < b->at[0]) && !(b->given[1] && t <= b->at[1]) && !(b->given[2] && t > b->at[2]) && !(b->given[3] && t >= b->at[3]);
}

static bool is_cron(const struct timetable *t)
{
	return strstr(timetable_type(t), "Cron") != NULL;
}

static int year_of(usec_t t)
{
	char text[40];
	int64_t year = 0;
	time_format(t, TIME_ISO_Z, text);
	text[strcspn(text, "-")] = '\0';
	str_to_int64(text, &year);
	return (int)year;
}

/* Airflow counts a cron schedule's own times, other schedules' logical dates */
static void write_planned(struct calendar *k, const struct timetable *t, usec_t earliest, usec_t latest)
{
	struct bounds b;
	struct run_info before = k->last, next;
	usec_t cell = USEC_NONE;
	int64_t count = 0;
	int year = year_of(before.interval_end);
	read_bounds(k, &b);
	for (int i = 0; i < PLANNED_MAX && timetable_next(t, &before, earliest, latest, true, loop_now(), &next) == TIMETABLE_RUN; i++) {
		usec_t at = is_cron(t) ? next.interval_end : next.logical_date;
		if (next.run_after <= before.run_after || year_of(at) != year || (latest != USEC_NONE && at > latest))
			break;
		before = next;
		if (!within(&b, at))
			continue;
		if (floor_to(at, k->unit) != cell && count) {
			write_cell(k, cell, "planned", count);
			count = 0;
		}
		cell = floor_to(at, k->unit);
		count++;
	}
	if (count)
		write_cell(k, cell, "planned", count);
}

static usec_t seconds_column(const struct rows *r, int col)
{
	return row_null(r, col) ? USEC_NONE : (usec_t)(row_double(r, col) * 1e6 + 0.5);
}

/* custom schedules are asked by the scheduler alone: of them nothing is planned here */
static int plan(struct calendar *k, const char *dag_id, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *serialized = NULL;
	struct timetable *t;
	struct val v = v_text(dag_id);
	int rc = store_query_text(k->c->api->db, "SELECT json_extract(v.data, '$.dag.timetable'), json_extract(v.data, '$.dag.timezone'), "
		"json_extract(v.data, '$.dag.start_date'), json_extract(v.data, '$.dag.end_date') FROM dag_version v WHERE v.dag_id = ? "
		"ORDER BY v.version_number DESC LIMIT 1", &v, 1, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	if (!rc)
		return err_set(err, E_NOT_FOUND, "The Dag with ID: `%s` was not found", dag_id);
	if (!k->any || k->last.interval_start == USEC_NONE || k->last.interval_end == USEC_NONE)
		return 0;
	rc = json_read(row_text(&r, 0), row_size(&r, 0), &serialized, err);
	if (rc >= 0)
		rc = timetable_compile(&k->c->r->arena, serialized, row_text(&r, 1) ? row_text(&r, 1) : "UTC", &t, err);
	if (rc >= 0 && timetable_is_periodic(t))
		write_planned(k, t, seconds_column(&r, 2), seconds_column(&r, 3));
	return rc;
}

void get_calendar(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *size = http_query(c->r, "granularity");
	bool partition = range_given(c, "partition_date");
	struct calendar k = { .c = c, .unit = size && streq(size, "hourly") ? HOUR : 24 * HOUR, .column = partition ? "r.partition_date" : "r.logical_date",
		.where = { .a = &c->r->arena } };
	if (size && !choice_has("hourly|daily", size))
		call_problem(c, "literal_error", "[\"query\",\"granularity\"]", "Input should be 'hourly' or 'daily'", json_quoted(&c->r->arena, size),
		             "{\"expected\":\"'hourly' or 'daily'\"}");
	where_add(&k.where, "r.dag_id = ?");
	where_value(&k.where, v_text(dag_id));
	filters_apply(c, partition ? by_partition_date : by_logical_date, &k.where);
	if (call_problems(c)) {
		where_clear(&k.where);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "dag_runs");
	jw_array(w);
	int rc = write_past(&k, &err);
	if (rc >= 0)
		rc = plan(&k, dag_id, &err);
	jw_end_array(w);
	jw_kint(w, "total_entries", k.n);
	jw_end_object(w);
	where_clear(&k.where);
	if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}
