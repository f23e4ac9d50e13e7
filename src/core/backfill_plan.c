#include "core/backfill.h"
#include "base/time.h"
#include "core/params.h"

static const char *const names[] = { [REPROCESS_NONE] = "none", [REPROCESS_FAILED] = "failed", [REPROCESS_COMPLETED] = "completed" };

const char *reprocess_name(enum reprocess r)
{
	return names[r];
}

int reprocess_from(const char *name, enum reprocess *ret)
{
	for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
		if (streq(names[i], name)) {
			*ret = (enum reprocess)i;
			return 0;
		}
	return E_NOT_FOUND;
}

static bool backfills_allowed(const struct dag *dag)
{
	for (size_t i = 0; dag->allowed_run_types && i < json_array_size(dag->allowed_run_types); i++)
		if (streq(json_string_value(json_array_get(dag->allowed_run_types, i)), run_type_name(RUN_BACKFILL)))
			return true;
	return !dag->allowed_run_types;
}

static int check_dates(const struct backfill_request *rq, usec_t now, struct err *err)
{
	char from[40], to[40];
	time_format(rq->from, TIME_ISO_OFFSET, from);
	time_format(rq->to, TIME_ISO_OFFSET, to);
	if (rq->from > rq->to)
		return err_set(err, E_INVALID, "from_date (%s) must not be after to_date (%s).", from, to);
	if (rq->from >= now)
		return err_set(err, E_INVALID, "Backfill cannot be executed for future dates.");
	return 0;
}

static int check_past(const struct dag *dag, const struct backfill_request *rq, struct err *err)
{
	if (!dag->has_depends_on_past)
		return 0;
	if (rq->backwards)
		return err_set(err, E_INVALID, "Backfill cannot be run in reverse when the Dag has tasks where depends_on_past=True.");
	if (rq->reprocess == REPROCESS_NONE)
		return err_set(err, E_INVALID, "Dag has tasks for which depends_on_past=True. You must set reprocess behavior to reprocess completed or "
		               "reprocess failed.");
	return 0;
}

int backfill_dag_allows(const struct dag *dag, struct err *err)
{
	if (!backfills_allowed(dag))
		return err_set(err, E_BAD_REQUEST, "Dag with dag_id: '%s' does not allow backfill runs", dag->dag_id);
	if (!timetable_is_periodic(dag->timetable))
		return err_set(err, E_INVALID, "%s has a non-periodic schedule that does not support backfills", dag->dag_id);
	return 0;
}

int backfill_check(const struct dag *dag, const struct backfill_request *rq, usec_t now, struct err *err)
{
	int r = check_dates(rq, now, err);
	if (r == 0)
		r = check_past(dag, rq, err);
	if (r == 0 && rq->conf && params_check(dag->params, rq->conf, err) < 0)
		r = E_INVALID;
	return r;
}

void run_infos_clear(struct run_infos *l)
{
	vec_clear(&l->at);
	arena_clear(&l->texts);
}

static void reverse(struct run_infos *l)
{
	for (size_t i = 0, k = l->at.n; i + 1 < k; i++) {
		struct planned_run t = l->at.at[i];
		l->at.at[i] = l->at.at[--k];
		l->at.at[k] = t;
	}
}

static int too_many(struct err *err)
{
	return err_set(err, E_LIMIT, "a backfill may have %d runs at most: choose dates that lie closer together", BACKFILL_MOST_RUNS);
}

/* of a cron's partitions: those whose moments lie between the dates, read as hours of the timetable's zone */
static int partitions_between(const struct dag *dag, const struct backfill_request *rq, struct run_infos *ret, struct err *err)
{
	struct buf key = {0};
	usec_t to = timetable_partition_bound(dag->timetable, rq->to), date = timetable_partition_from(dag->timetable, timetable_partition_bound(dag->timetable, rq->from));
	int r = 0;
	for (; r == 0 && date != USEC_NONE && date <= to; date = timetable_partition_after(dag->timetable, date)) {
		struct planned_run one = { .at = { USEC_NONE, USEC_NONE, USEC_NONE, date }, .partition_date = date };
		buf_reset(&key);
		timetable_partition_key(dag->timetable, date, &key);
		one.partition_key = arena_strdup(&ret->texts, key.data ? key.data : "");
		if (ret->at.n == BACKFILL_MOST_RUNS)
			r = too_many(err);
		else
			vec_push(&ret->at, one);
	}
	buf_clear(&key);
	return r;
}

static int dates_between(const struct dag *dag, const struct backfill_request *rq, usec_t now, struct run_infos *ret, struct err *err)
{
	struct run_info last = {0}, next;
	bool any = false;
	for (;;) {
		enum timetable_answer a = timetable_next(dag->timetable, any ? &last : NULL, rq->from, rq->to, true, now, &next);
		if (a == TIMETABLE_ASK)
			return err_set(err, E_UNSUPPORTED, "%s has a timetable of its own (%s): only a running scheduler can ask it for the runs", dag->dag_id,
			               timetable_type(dag->timetable));
		/* an interval that has not ended is no past; later ones end later */
		if (a == TIMETABLE_NONE || next.interval_end >= now || (any && next.logical_date <= last.logical_date))
			return 0;
		if (ret->at.n == BACKFILL_MOST_RUNS)
			return too_many(err);
		struct planned_run one = { .at = next, .partition_date = USEC_NONE };
		vec_push(&ret->at, one);
		last = next;
		any = true;
	}
}

int backfill_runs(const struct dag *dag, const struct backfill_request *rq, usec_t now, struct run_infos *ret, struct err *err)
{
	int r = timetable_kind(dag->timetable) == TT_CRON_PARTITION ? partitions_between(dag, rq, ret, err) : dates_between(dag, rq, now, ret, err);
	if (r == 0 && rq->backwards)
		reverse(ret);
	return r;
}

const char *backfill_keeps(enum run_state there, enum reprocess r)
{
	if (!run_state_terminal(there))
		return "in flight";
	if (r == REPROCESS_NONE || (r == REPROCESS_FAILED && there != RUN_FAILED))
		return "already exists";
	return NULL;
}
