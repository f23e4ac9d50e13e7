/* The runs of a kit once more, from their logs. */
#include "core_kit.h"
#include "core_kit_internal.h"
#include "core/replay.h"

struct replayed { const struct kit *k; const struct kit_run *run; const struct dag_run *again; struct buf *out; size_t n; };

void kit_put_times(struct buf *out, const struct task_instance *ti)
{
	const usec_t at[] = { ti->scheduled_at, ti->queued_at, ti->start_date, ti->end_date, ti->not_before };
	buf_printf(out, "%s, try %d of %d", ti_state_name(ti->state), ti->try_number, ti->max_tries);
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		buf_printf(out, " %lld", (long long)(at[i] == USEC_NONE ? -1 : at[i]));
}

static void put_difference(struct buf *out, const char *name, const struct task_instance *row, const struct task_instance *again)
{
	buf_printf(out, "%s[%d] is ", name, row->map_index);
	kit_put_times(out, row);
	buf_printf(out, "; replayed: ");
	kit_put_times(out, again);
	buf_addc(out, '\n');
}

static void compare_ti(void *arg, struct task_instance *ti)
{
	struct replayed *x = arg;
	const char *name = x->again->dag->tasks[ti->task].task_id;
	x->n += ti->state != TI_REMOVED;
	for (const struct kit_ti *t = kit_first_ti(x->k, x->run); t; t = kit_next_ti(x->k, t)) {
		const struct task_instance *a = &t->row;
		if (t->gone || a->map_index != ti->map_index || !streq(t->task_id, name))
			continue;
		if (a->state != ti->state || a->try_number != ti->try_number || a->max_tries != ti->max_tries || a->scheduled_at != ti->scheduled_at ||
		    a->queued_at != ti->queued_at || a->start_date != ti->start_date || a->end_date != ti->end_date || a->not_before != ti->not_before)
			put_difference(x->out, name, a, ti);
		return;
	}
	buf_printf(x->out, "%s[%d] is replayed, but is not there\n", name, ti->map_index);
}

/* rows of tasks that left the DAG stay, as removed ones */
static size_t rows_of_run(const struct kit *k, const struct kit_run *run)
{
	size_t n = 0;
	for (const struct kit_ti *t = kit_first_ti(k, run); t; t = kit_next_ti(k, t))
		n += !t->gone && t->row.state != TI_REMOVED;
	return n;
}

static void trace_replay(void *arg, const struct replay *r, const struct actions *acts)
{
	const struct kit *k = arg;
	if (!k->trace)
		return;
	printf("replay step %llu: %s\n", (unsigned long long)replay_steps(r), replay_words(r));
	kit_trace(acts, replay_now(r), (int64_t)replay_steps(r));
	if (replay_run(r))
		kit_trace_run(replay_run(r));
}

bool kit_replay(struct kit *k, const struct kit_run *run, struct buf *out)
{
	struct replay_hooks hooks = { k, kit_version, trace_replay };
	struct replay *r = replay_new(&hooks);
	struct err err = {0};
	size_t before = out->len;
	if (replay_feed(r, run->log.data, run->log.len, &err) < 0) {
		buf_printf(out, "%s (%s)\n", err_text(&err), replay_words(r));
	} else if (!replay_run(r)) {
		buf_printf(out, "the log is empty\n");
	} else {
		struct replayed x = { k, run, replay_run(r), out, 0 };
		for (uint32_t t = 0; t < x.again->dag->n_tasks; t++)
			core_task_tis(x.again, t, compare_ti, &x);
		if (x.again->state != run->row.state || x.again->start_date != run->row.start_date || x.again->end_date != run->row.end_date)
			buf_printf(out, "the run is %s, replayed %s\n", run_state_name(run->row.state), run_state_name(x.again->state));
		size_t rows = rows_of_run(k, run);
		if (rows != x.n)
			buf_printf(out, "%zu instances, replayed %zu\n", rows, x.n);
	}
	err_clear(&err);
	replay_free(r);
	return out->len == before;
}
