/* timetable_next: when the next run is due. The rules are those of Airflow 3.3's timetables, each named where it starts. */
#include "core/timetable_impl.h"

struct restriction { usec_t earliest, latest; bool catchup; usec_t now; };

static usec_t later(usec_t a, usec_t b)
{
	return a > b ? a : b;           /* USEC_NONE is the smallest value: absent gives way */
}

static struct run_info interval(usec_t start, usec_t end)
{
	return (struct run_info){ .logical_date = start, .interval_start = start, .interval_end = end, .run_after = end };
}

/* ---- a grid of moments: cron in its zone, or a span ---- */

struct grid { const struct cron_rule *cron; const struct span *delta; };

static usec_t grid_next(const struct grid *g, usec_t t)
{
	return g->cron ? cron_next(&g->cron->cron, g->cron->tz, t) : span_add(g->delta, t, 1);
}

static usec_t grid_prev(const struct grid *g, usec_t t)
{
	return g->cron ? cron_prev(&g->cron->cron, g->cron->tz, t) : span_add(g->delta, t, -1);
}

/* a span has no grid of its own: every moment is on it */
static usec_t align_next(const struct grid *g, usec_t t)
{
	if (!g->cron)
		return t;
	usec_t next = grid_next(g, t);
	return next == USEC_NONE || grid_prev(g, next) != t ? next : t;
}

static usec_t align_prev(const struct grid *g, usec_t t)
{
	if (!g->cron)
		return t;
	usec_t prev = grid_prev(g, t);
	return prev == USEC_NONE || grid_next(g, prev) != t ? prev : t;
}

static struct grid grid_of(const struct timetable *t, uint32_t i)
{
	return t->n_crons ? (struct grid){ .cron = &t->crons[i] } : (struct grid){ .delta = &t->delta };
}

/* ---- data interval kinds: a run comes at the end of its interval ---- */

static usec_t skip_to_latest_cron(const struct grid *g, const struct restriction *r)
{
	usec_t last = grid_prev(g, r->now), next = grid_next(g, last);
	usec_t start = next == r->now ? last : grid_prev(g, last);
	return r->earliest == USEC_NONE ? start : later(start, align_next(g, r->earliest));
}

/* down to the epoch grid; for months and years, to the grid that starts at `anchor` */
static usec_t round_down(const struct span *s, usec_t t, usec_t anchor)
{
	if (span_has_months(s)) {
		for (usec_t next; (next = span_add(s, anchor, 1)) <= t && next > anchor; )
			anchor = next;
		return anchor;
	}
	usec_t step = span_rough(s);
	if (step <= 0)
		return t;
	usec_t rest = t % step;
	return t - (rest < 0 ? rest + step : rest);
}

static usec_t skip_to_latest_delta(const struct grid *g, const struct restriction *r)
{
	usec_t start = grid_prev(g, round_down(g->delta, r->now, r->earliest == USEC_NONE ? r->now : r->earliest));
	return later(start, r->earliest);
}

static enum timetable_answer next_interval(const struct timetable *t, const struct run_info *last, const struct restriction *r, struct run_info *ret)
{
	struct grid g = grid_of(t, 0);
	usec_t earliest = r->earliest;
	if (!r->catchup)
		earliest = g.cron ? skip_to_latest_cron(&g, r) : skip_to_latest_delta(&g, r);
	else if (earliest != USEC_NONE)
		earliest = align_next(&g, earliest);
	usec_t start = earliest;
	if (last) {
		start = later(align_prev(&g, last->interval_end), earliest);
		/* a changed schedule may fall back onto the last run: one step forward is enough */
		if (start <= last->interval_start)
			start = grid_next(&g, start);
		if (start <= last->interval_start)
			return TIMETABLE_NONE;
	}
	if (start == USEC_NONE || (r->latest != USEC_NONE && start > r->latest))
		return TIMETABLE_NONE;
	usec_t end = grid_next(&g, start);
	if (end == USEC_NONE)
		return TIMETABLE_NONE;
	*ret = interval(start, end);
	return TIMETABLE_RUN;
}

/* ---- trigger kinds: a run comes at the moment itself ---- */

static usec_t first_trigger(const struct timetable *t, const struct grid *g, usec_t now)
{
	usec_t past = align_prev(g, now);
	if (!g->cron || t->immediately == RUN_AT_ONCE)
		return past;
	usec_t next = align_next(g, now), within = t->immediately_within;
	if (t->immediately == RUN_BY_GAP)
		within = later((next - past + 5) / 10, 300 * USEC_SEC);
	return now - past <= within ? past : next;
}

static enum timetable_answer next_trigger(const struct timetable *t, uint32_t i, const struct run_info *last, const struct restriction *r,
                                          struct run_info *ret)
{
	struct grid g = grid_of(t, i);
	usec_t at = r->catchup ? USEC_NONE : align_prev(&g, r->now);
	if (last)
		at = later(at, grid_next(&g, last->interval_end));
	else if (r->earliest == USEC_NONE)
		at = later(at, first_trigger(t, &g, r->now));
	if (r->earliest != USEC_NONE && (!r->catchup || !last))
		at = later(at, align_next(&g, r->earliest));
	if (at == USEC_NONE || (r->latest != USEC_NONE && r->latest < at))
		return TIMETABLE_NONE;
	*ret = interval(span_add(&t->interval, at, -1), at);
	return TIMETABLE_RUN;
}

/* several crons: the one that is next; without catchup the latest that is past, else the first to come */
static enum timetable_answer next_of_many(const struct timetable *t, const struct run_info *last, const struct restriction *r, struct run_info *ret)
{
	enum timetable_answer answer = TIMETABLE_NONE;
	usec_t best = 0;
	for (uint32_t i = 0; i < t->n_crons; i++) {
		struct run_info one;
		if (next_trigger(t, i, last, r, &one) != TIMETABLE_RUN)
			continue;
		usec_t key = !r->catchup && one.logical_date <= r->now ? -one.logical_date : one.logical_date;
		if (answer == TIMETABLE_NONE || key < best) {
			answer = TIMETABLE_RUN;
			best = key;
			*ret = one;
		}
	}
	return answer;
}

/* ---- the rest ---- */

static enum timetable_answer next_event(const struct timetable *t, const struct run_info *last, const struct restriction *r, struct run_info *ret)
{
	usec_t earliest = r->catchup ? r->earliest : later(r->earliest, r->now);
	for (uint32_t i = 0; i < t->n_events; i++) {
		usec_t at = t->events[i];
		if ((earliest != USEC_NONE && at < earliest) || (last && at <= last->interval_end))
			continue;
		if (r->latest != USEC_NONE && at > r->latest)
			return TIMETABLE_NONE;
		*ret = interval(at, at);
		return TIMETABLE_RUN;
	}
	return TIMETABLE_NONE;
}

static enum timetable_answer next_once(const struct run_info *last, const struct restriction *r, struct run_info *ret)
{
	usec_t at = r->earliest == USEC_NONE ? r->now : r->earliest;
	if (last || (r->latest != USEC_NONE && at > r->latest))
		return TIMETABLE_NONE;
	*ret = interval(at, at);
	return TIMETABLE_RUN;
}

static enum timetable_answer next_continuous(const struct run_info *last, const struct restriction *r, struct run_info *ret)
{
	usec_t start = r->earliest == USEC_NONE ? r->now : r->earliest, end = later(start, r->now);
	if (last && last->interval_end > r->now) {
		end = start + (last->interval_end - last->interval_start);
	} else if (last) {
		start = last->interval_end;
		end = r->now;
	}
	if (r->latest != USEC_NONE && end > r->latest)
		return TIMETABLE_NONE;
	*ret = interval(start, end);
	return TIMETABLE_RUN;
}

/* ---- partitions ---- */

/* as a cron trigger, but it goes on from the last run's own moment, and its runs have neither date nor interval */
static enum timetable_answer next_partition(const struct timetable *t, const struct run_info *last, const struct restriction *r, struct run_info *ret)
{
	struct run_info from = last ? interval(last->run_after, last->run_after) : (struct run_info){0}, one;
	if (next_trigger(t, 0, last ? &from : NULL, r, &one) != TIMETABLE_RUN)
		return TIMETABLE_NONE;
	*ret = (struct run_info){ .logical_date = USEC_NONE, .interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = one.run_after };
	return TIMETABLE_RUN;
}

void timetable_partition_key(const struct timetable *t, usec_t date, struct buf *ret_key)
{
	struct civil c;
	tz_to_civil(t->crons[0].tz, date, &c);
	time_strftime(t->key_format, &c, ret_key);       /* the codes were checked when it was compiled */
}

usec_t timetable_partition_bound(const struct timetable *t, usec_t bound)
{
	struct civil c;
	usec_to_civil(bound, &c);
	return tz_from_civil(t->crons[0].tz, &c, 0);
}

usec_t timetable_partition_from(const struct timetable *t, usec_t from)
{
	struct grid g = grid_of(t, 0);
	return align_next(&g, from);
}

usec_t timetable_partition_after(const struct timetable *t, usec_t date)
{
	struct grid g = grid_of(t, 0);
	return grid_next(&g, date);
}

void timetable_partition(const struct timetable *t, usec_t run_after, usec_t *ret_date, struct buf *ret_key)
{
	struct grid g = grid_of(t, 0);
	for (int i = 0; i < t->run_offset; i++)
		run_after = grid_next(&g, run_after);
	for (int i = 0; i > t->run_offset; i--)
		run_after = grid_prev(&g, run_after);
	*ret_date = run_after;
	timetable_partition_key(t, run_after, ret_key);
}

int timetable_partition_date(const struct timetable *t, const char *key, usec_t *ret_date, struct err *err)
{
	struct civil c;
	*ret_date = USEC_NONE;
	if (t->kind != TT_CRON_PARTITION)
		return 0;
	if (time_strptime(t->key_format, key, &c) < 0)
		return err_set(err, E_INVALID, "Partition key '%s' does not match the timetable's key_format '%s': time data '%s' does not match format '%s'", key,
		               t->key_format, key, t->key_format);
	*ret_date = tz_from_civil(t->crons[0].tz, &c, 0);
	return 0;
}

enum timetable_answer timetable_next(const struct timetable *t, const struct run_info *last, usec_t earliest, usec_t latest,
                                     bool catchup, usec_t now, struct run_info *ret)
{
	struct restriction r = { .earliest = earliest, .latest = latest, .catchup = catchup, .now = now };
	switch (t->kind) {
	case TT_NULL: case TT_ASSET: case TT_PARTITIONED_ASSET: case TT_KIND_COUNT:
		return TIMETABLE_NONE;
	case TT_CRON_PARTITION:
		return next_partition(t, last, &r, ret);
	case TT_ONCE:
		return next_once(last, &r, ret);
	case TT_CONTINUOUS:
		return next_continuous(last, &r, ret);
	case TT_CRON_INTERVAL: case TT_DELTA_INTERVAL:
		return next_interval(t, last, &r, ret);
	case TT_CRON_TRIGGER: case TT_DELTA_TRIGGER:
		return next_trigger(t, 0, last, &r, ret);
	case TT_MULTIPLE_CRON:
		return next_of_many(t, last, &r, ret);
	case TT_EVENTS:
		return next_event(t, last, &r, ret);
	case TT_ASSET_OR_TIME:
		return timetable_next(t->inner, last, earliest, latest, catchup, now, ret);
	case TT_CUSTOM:
		return TIMETABLE_ASK;
	}
	return TIMETABLE_NONE;
}

/* ---- manual runs ---- */

static usec_t manual_event(const struct timetable *t, usec_t run_after)
{
	if (!t->restrict_to_events || !t->n_events)
		return run_after;
	usec_t at = t->events[0];
	for (uint32_t i = 0; i < t->n_events && t->events[i] <= run_after; i++)
		at = t->events[i];
	return at;
}

enum timetable_answer timetable_manual(const struct timetable *t, usec_t run_after, usec_t *ret_start, usec_t *ret_end)
{
	struct grid g = grid_of(t, 0);
	usec_t start = run_after, end = run_after;
	switch (t->kind) {
	case TT_CRON_INTERVAL:
		end = align_prev(&g, run_after);
		start = grid_prev(&g, end);
		break;
	case TT_DELTA_INTERVAL:
		start = grid_prev(&g, run_after);
		break;
	case TT_CRON_TRIGGER: case TT_DELTA_TRIGGER: case TT_MULTIPLE_CRON:
		start = span_add(&t->interval, run_after, -1);
		break;
	case TT_EVENTS:
		start = end = manual_event(t, run_after);
		break;
	case TT_ASSET_OR_TIME:
		return timetable_manual(t->inner, run_after, ret_start, ret_end);
	case TT_CUSTOM:
		return TIMETABLE_ASK;
	case TT_NULL: case TT_ONCE: case TT_CONTINUOUS: case TT_ASSET: case TT_CRON_PARTITION: case TT_PARTITIONED_ASSET: case TT_KIND_COUNT:
		break;
	}
	*ret_start = start;
	*ret_end = end;
	return TIMETABLE_RUN;
}
