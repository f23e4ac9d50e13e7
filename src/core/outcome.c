/* outcome: what the world says about a try: it started, ended, deferred, was lost. Messages about another try, or about
 * one that is not under way, change nothing. */
#include "core/machine.h"
#include "core/dag_build.h"

#define TRIGGER_FAILED "__fail__"

static struct task_instance *find(const struct core *c, const struct ti_ref *ref)
{
	struct task_instance *ti = core_find_ti(c, &ref->id);
	return ti && ti->try_number == ref->try_number && !ti->run->p->dead ? ti : NULL;
}

static bool under_way(const struct task_instance *ti)
{
	return ti->state == TI_QUEUED || ti->state == TI_RUNNING || ti->state == TI_RESTARTING;
}

static bool given(usec_t t)
{
	return t != USEC_NONE && t != 0;
}

void ti_stop(struct core *c, struct task_instance *ti, const char *why)
{
	if (under_way(ti))
		act_after(c, (struct action){ .kind = ACT_KILL, .ti = ti, .run = ti->run, .text = why });
	if (ti->state == TI_DEFERRED && ti->trigger_id) {
		act_after(c, (struct action){ .kind = ACT_CANCEL_TRIGGER, .ti = ti, .run = ti->run, .number = ti->trigger_id });
		ti->trigger_id = 0;
	}
}

static void clear_next_method(struct task_instance *ti)
{
	text_set(&ti->next_method, NULL);
	text_set(&ti->next_kwargs, NULL);
}

void outcome_started(struct core *c, const struct event *ev)
{
	struct task_instance *ti = find(c, &ev->started.ref);
	if (!ti || (ti->state != TI_QUEUED && ti->state != TI_RUNNING))
		return;
	ti->pid = ev->started.pid;
	text_set(&ti->hostname, ev->started.hostname);
	text_set(&ti->unixname, ev->started.unixname);
	if (ti->state == TI_QUEUED) {
		if (!ti->next_kwargs || ti->start_date == USEC_NONE)
			ti->start_date = given(ev->started.when) ? ev->started.when : c->now;
		if (ti->first_start == USEC_NONE)
			ti->first_start = ti->start_date;
		ti->end_date = USEC_NONE;
	}
	ti_set_state(c, ti, TI_RUNNING);
	why_update(c, ti, WHY_RUNNING, NULL);
	save_ti(c, ti);
}

/* ---- failure ---- */

static void fail_fast(struct core *c, struct task_instance *failed)
{
	struct dag_run *run = failed->run;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		if (i == failed->task || run->dag->tasks[i].is_teardown)
			continue;
		each_ti(rt, ti) {
			if (ti->state == TI_SUCCESS || ti->state == TI_FAILED)
				continue;
			bool running = ti->state == TI_RUNNING;
			ti_stop(c, ti, "another task failed and the DAG has fail_fast set");
			if (running)
				ti_set_state(c, ti, TI_FAILED);
			else
				ti_end(c, ti, TI_SKIPPED, c->now);
		}
	}
}

static void archive(struct core *c, struct task_instance *ti, enum ti_state as)
{
	ti->p->archived_try = ti->try_number;
	act_after(c, (struct action){ .kind = ACT_ARCHIVE_TRY, .ti = ti, .run = ti->run, .code = as, .number = ti->try_number });
}

static void fail(struct core *c, struct task_instance *ti)
{
	act_decision(c, ti->run, ti, WHY_ENDED, "failed, no try is left");
	ti_set_state(c, ti, TI_FAILED);
	if (ti->run->dag->fail_fast)
		fail_fast(c, ti);
}

static void retry_later(struct core *c, struct task_instance *ti, usec_t not_before)
{
	ti->not_before = given(not_before) ? not_before : ti->end_date + retry_delay(ti);
	ti->p->ended_step = c->step;
	archive(c, ti, TI_FAILED);
	act_decision(c, ti->run, ti, WHY_RETRY_DELAY, "failed, is tried again");
	ti_set_state(c, ti, TI_UP_FOR_RETRY);
	why_update(c, ti, WHY_RETRY_DELAY, NULL);
}

/* A try that was cleared while it ran has ended: it starts again at once, with all its retries. */
static void restart(struct core *c, struct task_instance *ti, usec_t when)
{
	ti->end_date = when;
	ti->max_tries = ti->try_number + dag_task_of(ti)->retries;
	ti->not_before = USEC_NONE;
	clear_next_method(ti);
	ti_set_state(c, ti, TI_NONE);
	mark_task(c, ti->run, ti->task);
}

static void failed_try(struct core *c, struct task_instance *ti, usec_t when, bool again, usec_t not_before)
{
	ti->end_date = when;
	clear_next_method(ti);
	if (again)
		retry_later(c, ti, not_before);
	else
		fail(c, ti);
}

/* ---- other ends ---- */

static void ended(struct core *c, struct task_instance *ti, enum ti_state state, usec_t when)
{
	if (ti->start_date == USEC_NONE)
		ti->start_date = when;
	ti->end_date = when;
	clear_next_method(ti);
	ti_set_state(c, ti, state);
}

static void deferred(struct core *c, struct task_instance *ti, const struct event *ev, enum ti_state state)
{
	text_set(&ti->next_method, ev->done.next_method);
	text_set(&ti->next_kwargs, ev->done.next_kwargs);
	ti->trigger_id = ev->done.trigger_id;
	ti->not_before = given(ev->done.trigger_timeout) ? ev->done.trigger_timeout : USEC_NONE;
	ti_set_state(c, ti, state);
	why_update(c, ti, WHY_DEFERRED, NULL);
}

static void rescheduled(struct core *c, struct task_instance *ti, const struct event *ev, usec_t when)
{
	ti->end_date = when;
	ti->not_before = given(ev->done.not_before) ? ev->done.not_before : when;
	ti->reschedules++;
	clear_next_method(ti);
	ti_set_state(c, ti, TI_UP_FOR_RESCHEDULE);
	why_update(c, ti, WHY_RESCHEDULE, NULL);
}

static void callback(struct core *c, struct task_instance *ti, const char *text)
{
	act_after(c, (struct action){ .kind = ACT_TI_CALLBACK, .ti = ti, .run = ti->run, .code = ti->state, .text = act_text(c, text ? text : "") });
}

/* end_from_trigger: a deferred task whose trigger says how it ended, not that it goes on */
static bool ended_by_trigger(const struct task_instance *ti, enum ti_outcome outcome)
{
	return ti->state == TI_DEFERRED && (outcome == OUT_SUCCESS || outcome == OUT_SKIPPED || outcome == OUT_FAIL_NO_RETRY || outcome == OUT_RETRY);
}

void outcome_done(struct core *c, const struct event *ev)
{
	struct task_instance *ti = find(c, &ev->done.ref);
	if (!ti || !(under_way(ti) || ended_by_trigger(ti, ev->done.outcome)))
		return;
	bool by_trigger = ti->state == TI_DEFERRED;
	usec_t when = given(ev->done.when) ? ev->done.when : c->now;
	if (ev->done.rendered_map_index)
		text_set(&ti->rendered_map_index, ev->done.rendered_map_index);
	if (ti->state == TI_RESTARTING) {
		restart(c, ti, when);
		return;
	}
	switch (ev->done.outcome) {
	case OUT_SUCCESS:
		ended(c, ti, TI_SUCCESS, when);
		if (by_trigger)
			callback(c, ti, ev->done.detail);       /* there is no process to call it */
		break;
	case OUT_SKIPPED:
		ended(c, ti, TI_SKIPPED, when);
		break;
	case OUT_FAIL_NO_RETRY:
		failed_try(c, ti, when, false, USEC_NONE);
		if (by_trigger)
			callback(c, ti, ev->done.detail);
		break;
	case OUT_RETRY:
		failed_try(c, ti, when, true, ev->done.not_before);
		if (by_trigger)
			callback(c, ti, ev->done.detail);
		break;
	case OUT_FAILED:
		failed_try(c, ti, when, core_try_should_retry(ti), USEC_NONE);
		break;
	case OUT_NOT_STARTED:
		failed_try(c, ti, when, core_try_should_retry(ti), USEC_NONE);
		callback(c, ti, ev->done.detail);
		break;
	case OUT_DEFERRED:
		deferred(c, ti, ev, TI_DEFERRED);
		break;
	case OUT_AWAITING_INPUT:
		deferred(c, ti, ev, TI_AWAITING_INPUT);
		break;
	case OUT_RESCHEDULE:
		rescheduled(c, ti, ev, when);
		break;
	}
}

static void lose(struct core *c, struct task_instance *ti, const char *detail)
{
	if (ti->state == TI_RESTARTING) {
		restart(c, ti, c->now);
		return;
	}
	failed_try(c, ti, c->now, core_try_should_retry(ti), USEC_NONE);
	callback(c, ti, detail);
}

void outcome_lost(struct core *c, const struct event *ev)
{
	struct task_instance *ti = find(c, &ev->done.ref);
	if (ti && under_way(ti))
		lose(c, ti, ev->done.detail);
}

static void queued_too_long(struct core *c, struct task_instance *ti)
{
	ti_stop(c, ti, "it was queued for longer than task_queued_timeout");
	lose(c, ti, "it was queued for longer than task_queued_timeout");
}

/* ---- deferral ---- */

/* Airflow ends the wait at the earlier of its own timeout and execution_timeout. */
static usec_t start_timeout(const struct dag_task *k, usec_t now)
{
	const json_t *given_timeout = jg(k->start_trigger, "timeout");
	usec_t at = k->execution_timeout == USEC_NONE ? USEC_NONE : now + k->execution_timeout;
	if (json_is_number(given_timeout)) {
		usec_t own = now + usec_from_seconds(json_number_value(given_timeout));
		at = at == USEC_NONE || own < at ? own : at;
	}
	return at;
}

void outcome_start_deferred(struct core *c, struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	json_t *kwargs = json_unwrap(jg(k->start_trigger, "next_kwargs"));
	struct buf text = {0};
	struct json_writer w;
	jw_init(&w, &text);
	if (json_is_object(kwargs))
		jw_json(&w, kwargs);
	text_set(&ti->next_method, jg_str(k->start_trigger, "next_method", "execute_complete"));
	text_set(&ti->next_kwargs, text.data ? text.data : "{}");
	buf_clear(&text);
	ti->start_date = c->now;
	ti->end_date = USEC_NONE;
	ti->not_before = start_timeout(k, c->now);
	act_now(c, (struct action){ .kind = ACT_START_TRIGGER, .ti = ti, .run = ti->run });
	ti_set_state(c, ti, TI_DEFERRED);
	why_update(c, ti, WHY_DEFERRED, NULL);
}

static void resume(struct core *c, struct task_instance *ti)
{
	ti->trigger_id = 0;
	ti->not_before = USEC_NONE;
	ti->scheduled_at = c->now;
	ti_set_state(c, ti, TI_SCHEDULED);
	mark_ti(c, ti);                     /* what is upstream may have decided otherwise while it was deferred */
}

void outcome_fired(struct core *c, const struct event *ev)
{
	struct task_instance *ti = find(c, &ev->fired.ref);
	if (!ti || (ti->state != TI_DEFERRED && ti->state != TI_AWAITING_INPUT))
		return;
	if (ev->fired.failed)
		text_set(&ti->next_method, TRIGGER_FAILED);
	text_set(&ti->next_kwargs, ev->fired.next_kwargs);
	resume(c, ti);
}

static void trigger_timeout(struct core *c, struct task_instance *ti)
{
	ti_stop(c, ti, "its trigger timed out");
	text_set(&ti->next_method, TRIGGER_FAILED);
	text_set(&ti->next_kwargs, "{\"error\":\"Trigger timeout\"}");
	resume(c, ti);
}

void outcome_overdue(struct core *c, struct task_instance *ti)
{
	if (ti->state == TI_DEFERRED)
		trigger_timeout(c, ti);
	else
		queued_too_long(c, ti);
}

/* ---- skipping ---- */

static void remember_skips(struct task_instance *ti, const struct event *ev)
{
	const struct dag *d = ti->run->dag;
	ti->p->skips = xrealloc_array(ti->p->skips, (size_t)ti->p->n_skips + ev->skip.n, sizeof *ti->p->skips);
	for (uint32_t i = 0; i < ev->skip.n; i++) {
		uint32_t task = dag_task_index(d, ev->skip.task_ids[i]);
		if (task != NO_INDEX)
			ti->p->skips[ti->p->n_skips++] = (struct ti_skip){ task, ev->skip.map_indices ? ev->skip.map_indices[i] : -1 };
	}
}

static struct task_instance *instance(const struct dag_run *run, const struct ti_skip *s)
{
	const struct run_task *rt = &run->p->tasks[s->task];
	if (s->map_index < 0)
		return rt->one;
	return (uint32_t)s->map_index < rt->n_mapped ? rt->mapped[s->map_index] : NULL;
}

static void skip(struct core *c, struct task_instance *ti)
{
	if (!ti || ti->state == TI_RUNNING || ti->state == TI_SUCCESS || ti->state == TI_FAILED || ti->state == TI_SKIPPED)
		return;
	ti_stop(c, ti, "a task upstream decided to skip it");
	ti->start_date = ti->end_date = c->now;
	act_decision(c, ti->run, ti, WHY_TRIGGER_RULE, "skipped by a task upstream");
	ti_set_state(c, ti, TI_SKIPPED);
	why_update(c, ti, WHY_ENDED, "skipped by a task upstream");   /* Airflow gives such a one no duration: lists look at this text */
}

/* only what has not run yet is skipped; the decision is remembered for later clears of the skipped tasks */
void outcome_skip_downstream(struct core *c, const struct event *ev, bool apply)
{
	struct task_instance *ti = find(c, &ev->skip.ref);
	if (!ti)
		return;
	uint32_t before = ti->p->n_skips;
	remember_skips(ti, ev);
	for (uint32_t i = before; apply && i < ti->p->n_skips; i++)
		skip(c, instance(ti->run, &ti->p->skips[i]));
}
