/* dags: generated DAGs. */
#include "sim.h"

/* when worlds begin: New Year, and a few hours before the clocks of the zones below change, both ways */
const struct beginning beginnings[] = {
	{ 1767225600, "2025-12-31T2" },                 /* 2026-01-01 00:00Z */
	{ 1772942400, "2026-03-07T2" },                 /* 2026-03-08 04:00Z: America/New_York springs forward at 07:00Z */
	{ 1793505600, "2026-10-31T2" },                 /* 2026-11-01 04:00Z: it falls back at 06:00Z */
	{ 1774742400, "2026-03-28T2" },                 /* 2026-03-29 00:00Z: Europe/Berlin springs forward at 01:00Z */
};
const int n_beginnings = ARRAY_LEN(beginnings);
static const char *const zones[] = { "UTC", "America/New_York", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata" };

static const char *const rules[] = { "all_success", "all_failed", "all_done", "all_done_min_one_success", "all_done_setup_success", "one_success",
	"one_failed", "one_done", "none_failed", "none_skipped", "always", "none_failed_min_one_success", "all_skipped" };

static void write_upstream(struct world *w, struct buf *out, int i, const bool *usable)
{
	int n = 0;
	for (int up = i - 1; up >= 0; up--)
		if (usable[up] && chance(&w->r, 28) && n < 4)
			buf_printf(out, "%st%d", n++ ? "," : " up=", up);
}

static void write_task(struct world *w, struct buf *out, int i, int groups, const bool *usable, bool *is_map, bool *in_group)
{
	struct random *r = &w->r;
	buf_printf(out, "\ntask t%d", i);
	int group = groups && chance(r, 50) ? below(r, groups) : -1;
	write_upstream(w, out, i, usable);
	if (group >= 0)
		buf_printf(out, " group=g%d", group);
	in_group[i] = group >= 0;
	is_map[i] = group < 0 && chance(r, 15);
	int source = i ? below(r, i) : 0;
	if (is_map[i] && i && chance(r, 60) && usable[source] && !in_group[source])
		buf_printf(out, " mapover=t%d up=t%d", source, source);
	else if (is_map[i])
		buf_printf(out, " map=%d", below(r, 4));
	if (is_map[i] && chance(r, 25))
		buf_printf(out, " mapalso=%d", 1 + below(r, 2));
	if (chance(r, 35))
		buf_printf(out, " rule=%s", rules[below(r, (int)ARRAY_LEN(rules))]);
	if (chance(r, 30)) {
		int delay = below(r, 3) * 60, retries = below(r, 3);
		buf_printf(out, " retries=%d retry_delay=%d", retries, delay);
	}
	if (chance(r, 30)) {
		int slots = 1 + below(r, 2), pool = below(r, 2);
		buf_printf(out, " pool=p%d slots=%d", pool, slots);
	}
	if (chance(r, 30))
		buf_printf(out, " weight=%d", below(r, 10));
	if (chance(r, 4))
		buf_printf(out, " weight_rule=somebody.Rule");
	if (chance(r, 4))
		buf_printf(out, " on_failure_fail_dagrun=true");
	if (chance(r, 10))
		buf_printf(out, " per_run=1");
	if (chance(r, 10))
		buf_printf(out, " per_dag=%d", 1 + below(r, 2));
	if (chance(r, 8))
		buf_printf(out, " past=true");
	if (chance(r, 4))
		buf_printf(out, " wait_for_downstream=true past=true");
	if (chance(r, 6))
		buf_printf(out, " setup=true");
	else if (chance(r, 8))
		buf_printf(out, " teardown=true rule=all_done_setup_success");
	if (w->branches && chance(r, 15))
		buf_printf(out, " branch=true");
	if (chance(r, 10))
		buf_printf(out, " empty=true");
}

static void write_schedule(struct world *w, struct buf *out)
{
	static const char *const crons[] = { "0_*_*_*_*", "*/30_*_*_*_*", "30_1-3_*_*_*", "0_*/2_*_*_*" };
	struct random *r = &w->r;
	static const char *const rare[] = { "0_21_*_*_*", "30_2_*_*_*", "0_0_1_*_*", "15_6_*_*_1" };
	if (chance(r, 12)) {
		buf_printf(out, chance(r, 50) ? " assets=x" : " assets=x,y");
		return;
	}
	if (chance(r, 6)) {
		buf_printf(out, " timetable=somebody.Own");
		return;
	}
	const char *when = w->years ? rare[below(r, (int)ARRAY_LEN(rare))] : crons[below(r, (int)ARRAY_LEN(crons))];
	const char *kind = chance(r, 50) ? "cron" : "interval";
	buf_printf(out, " catchup=%d %s=%s", below(r, 2), kind, when);
	buf_printf(out, " tz=%s start=", zones[below(r, (int)ARRAY_LEN(zones))]);
	buf_printf(out, "%s%d:00:00", beginnings[w->beginning].before, below(r, 4));
}

char *write_dag(struct world *w, int number)
{
	struct random *r = &w->r;
	struct buf out = {0};
	bool usable[16], is_map[16] = {0}, in_group[16] = {0};
	memset(usable, true, sizeof usable);
	buf_printf(&out, "dag d%d", number);
	w->n.dags++;
	if (chance(r, 60)) {
		w->n.schedules++;
		write_schedule(w, &out);
	}
	int max_tasks = 1 + below(r, 5), max_runs = 1 + below(r, 4);
	buf_printf(&out, " max_active_runs=%d max_active_tasks=%d", max_runs, max_tasks);
	if (chance(r, 10))
		buf_printf(&out, " dagrun_timeout=%d", 3600 * (1 + below(r, 4)));
	if (chance(r, 8))
		buf_printf(&out, " fail_fast=true");
	if (chance(r, 6))
		buf_printf(&out, " max_consecutive_failed_dag_runs=%d", 1 + below(r, 3));
	if (chance(r, 10))
		buf_printf(&out, " has_on_failure_callback=true has_on_success_callback=true");
	int groups = chance(r, 35) ? 1 + below(r, 2) : 0, n = 1 + below(r, w->years ? 4 : 11), source = 0;
	if (groups)
		buf_printf(&out, "\ntask t%d", source);
	for (int g = 0; g < groups; g++) {
		if (chance(r, 60))
			buf_printf(&out, "\ngroup g%d map=%d", g, below(r, 4));
		else if (chance(r, 60))
			buf_printf(&out, "\ngroup g%d mapover=t0", g);
		else
			buf_printf(&out, "\ngroup g%d", g);
	}
	for (int i = groups ? 1 : 0; i < n; i++)
		write_task(w, &out, i, groups, usable, is_map, in_group);
	return buf_steal(&out);
}

void add_dag(struct world *w, int number)
{
	char *text = write_dag(w, number);
	vec_push(&w->texts, text);
	kit_add(&w->k, kit_dag(text));
}
