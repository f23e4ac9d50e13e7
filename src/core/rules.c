/* rules: what a trigger rule says to the states upstream. Pure. First whether the states decide the task without
 * running it, then whether it may run; as Airflow 3.3's trigger rules do. */
#include "core/machine.h"

#define SET(s) ((struct ruling){ VERDICT_SET, (s) })
#define RUN_IF(condition) ((struct ruling){ (condition) ? VERDICT_RUN : VERDICT_WAIT, TI_NONE })

struct sums { uint32_t total, success, skipped, failed, upstream_failed, removed, done; bool all_done, any_failed; };

static struct sums sum_up(const struct counts *n)
{
	struct sums s = { .total = n->total, .success = n->success, .skipped = n->skipped, .failed = n->failed,
		.upstream_failed = n->upstream_failed, .removed = n->removed, .done = counts_done(n) };
	s.all_done = s.done >= s.total;
	s.any_failed = s.failed || s.upstream_failed;
	return s;
}

/* Python's integers may go below zero where these counts meet rows that are missing */
static int64_t left(const struct sums *s, uint32_t a, uint32_t b, uint32_t d)
{
	return (int64_t)s->total - a - b - d;
}

static struct ruling all_success(const struct sums *s, int map_index)
{
	if (s->any_failed)
		return SET(TI_UPSTREAM_FAILED);
	if (s->skipped)
		return SET(TI_SKIPPED);
	if (s->removed && s->success && map_index > -1 && (uint32_t)map_index >= s->success)
		return SET(TI_REMOVED);
	return RUN_IF(left(s, s->success, s->removed, 0) <= 0);
}

static struct ruling all_failed(const struct sums *s)
{
	if (s->success || s->skipped)
		return SET(TI_SKIPPED);
	return RUN_IF(left(s, s->failed, s->upstream_failed, s->removed) <= 0);
}

static struct ruling one_success(const struct sums *s)
{
	if (s->all_done && s->done == s->skipped)
		return SET(TI_SKIPPED);
	if (s->all_done && !s->success)
		return SET(TI_UPSTREAM_FAILED);
	return RUN_IF(s->success > 0);
}

static struct ruling one_failed(const struct sums *s)
{
	if (s->all_done && !s->any_failed)
		return SET(TI_SKIPPED);
	return RUN_IF(s->any_failed);
}

static struct ruling one_done(const struct sums *s)
{
	if (s->all_done && !s->failed && !s->success)
		return SET(TI_SKIPPED);
	return RUN_IF(s->success + s->failed > 0);
}

static struct ruling none_failed(const struct sums *s)
{
	if (s->any_failed)
		return SET(TI_UPSTREAM_FAILED);
	return RUN_IF(left(s, s->success, s->skipped, s->removed) <= 0);
}

static struct ruling none_failed_min_one_success(const struct sums *s)
{
	if (s->any_failed)
		return SET(TI_UPSTREAM_FAILED);
	if (s->skipped == s->total)
		return SET(TI_SKIPPED);
	if (s->all_done && !s->success)
		return SET(TI_UPSTREAM_FAILED);
	return RUN_IF(left(s, s->success, s->skipped, s->removed) <= 0 && s->success > 0);
}

static struct ruling all_skipped(const struct sums *s)
{
	if (s->success || s->any_failed)
		return SET(TI_SKIPPED);
	return RUN_IF(left(s, s->skipped, 0, 0) <= 0);
}

/* skipped tasks do not count as done here: one is enough to skip */
static struct ruling all_done_min_one_success(const struct sums *s)
{
	if (s->skipped)
		return SET(TI_SKIPPED);
	if (s->success + s->failed + s->upstream_failed + s->removed >= s->total && !s->success)
		return SET(TI_UPSTREAM_FAILED);
	return RUN_IF((int64_t)s->success + s->failed + s->upstream_failed >= (int64_t)s->total - s->removed && s->success);
}

/* the rule of teardowns: all done, and at least one of the setups ran */
static struct ruling all_done_setup_success(const struct sums *s, const struct rule_input *in)
{
	if (s->all_done && in->setups && in->setups_skipped >= in->setups)
		return SET(TI_SKIPPED);
	if (s->all_done && in->setups && !in->setups_success)
		return SET(TI_UPSTREAM_FAILED);
	return RUN_IF(s->all_done);
}

struct ruling rule_decide(const struct rule_input *in)
{
	struct sums s = sum_up(&in->up);
	switch (in->rule) {
	case RULE_ALWAYS: return RUN_IF(true);
	case RULE_ALL_SUCCESS: return all_success(&s, in->map_index);
	case RULE_ALL_FAILED: return all_failed(&s);
	case RULE_ALL_DONE: return RUN_IF(s.all_done);
	case RULE_ALL_DONE_MIN_ONE_SUCCESS: return all_done_min_one_success(&s);
	case RULE_ALL_DONE_SETUP_SUCCESS: return all_done_setup_success(&s, in);
	case RULE_ONE_SUCCESS: return one_success(&s);
	case RULE_ONE_FAILED: return one_failed(&s);
	case RULE_ONE_DONE: return one_done(&s);
	case RULE_NONE_FAILED: return none_failed(&s);
	case RULE_NONE_SKIPPED: return s.skipped ? SET(TI_SKIPPED) : RUN_IF(s.all_done);
	case RULE_NONE_FAILED_MIN_ONE_SUCCESS: return none_failed_min_one_success(&s);
	case RULE_ALL_SKIPPED: return all_skipped(&s);
	case TRIGGER_RULE_COUNT: break;
	}
	return RUN_IF(false);
}
