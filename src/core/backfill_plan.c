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

static void reverse(struct run_infos *l)
{
	for (size_t i = 0, k = l->at.n; i + 1 < k; i++) {
		struct run_info t = l->at.at[i];
		l->at.at[i] = l->at.at[--k];
		l->at.at[k] = t;
	}
}

int backfill_runs(const struct dag *dag, const struct backfill_request *rq, usec_t now, struct run_infos *ret, struct err *err)
{
	struct run_info last = {0}, next;
	bool any = false;
	for (;;) {
		enum timetable_answer a = timetable_next(dag->timetable, any ? &last : NULL, rq->from, rq->to, true, now, &next);
		if (a == TIMETABLE_ASK)
			return err_set(err, E_UNSUPPORTED, "%s has a timetable of its own (%s): backfills of such DAGs are not supported yet", dag->dag_id,
			               timetable_type(dag->timetable));
		/* an interval that has not ended is no past; later ones end later */
		if (a == TIMETABLE_NONE || next.interval_end >= now || (any && next.logical_date <= last.logical_date))
			break;
		if (ret->at.n == BACKFILL_MOST_RUNS)
			return err_set(err, E_LIMIT, "a backfill may have %d runs at most: choose dates that lie closer together", BACKFILL_MOST_RUNS);
		vec_push(&ret->at, next);
		last = next;
		any = true;
	}
	if (rq->backwards)
		reverse(ret);
	return 0;
}

const char *backfill_keeps(enum run_state there, enum reprocess r)
{
	if (!run_state_terminal(there))
		return "in flight";
	if (r == REPROCESS_NONE || (r == REPROCESS_FAILED && there != RUN_FAILED))
		return "already exists";
	return NULL;
}
