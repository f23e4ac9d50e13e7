/* assets: runs that start when the assets of a DAG's condition have been updated. */
#include "core/machine.h"

static const json_t *var_of(const json_t *node)
{
	const json_t *var = jg(node, "__var");
	return var ? var : node;
}

static bool names(const json_t *node, const char *name, const char *uri, const char *alias)
{
	const json_t *v = var_of(node);
	const char *type = jg_str(node, "__type", ""), *n = jg_str(v, "name", NULL), *u = jg_str(v, "uri", NULL);
	if (streq(type, "asset_alias"))
		return alias && streq(n, alias);
	if (streq(type, "asset"))
		return u ? streq(u, uri) && (!n || streq(n, name)) : streq(n, name);
	return streq(type, "asset_ref") && ((n && streq(n, name)) || (u && streq(u, uri)));
}

static bool mentions(const json_t *node, const struct event *ev, int depth)
{
	const json_t *objects = jg(var_of(node), "objects");
	if (!objects || depth > 100)
		return names(node, ev->asset.name, ev->asset.uri, ev->asset.alias);
	for (size_t i = 0; i < json_array_size(objects); i++)
		if (mentions(json_array_get(objects, i), ev, depth + 1))
			return true;
	return false;
}

static bool holds(const json_t *node, const struct dag_state *d, int depth)
{
	const json_t *objects = jg(var_of(node), "objects");
	if (objects && depth <= 100) {
		bool all = streq(jg_str(node, "__type", ""), "asset_all");
		for (size_t i = 0; i < json_array_size(objects); i++)
			if (holds(json_array_get(objects, i), d, depth + 1) != all)
				return !all;
		return all;
	}
	for (size_t i = 0; i < d->assets.n; i++)
		if (names(node, d->assets.at[i].name, d->assets.at[i].uri, d->assets.at[i].alias))
			return true;
	return false;
}

static bool same(const struct asset_seen *a, const struct event *ev)
{
	return streq(a->name, ev->asset.name) && streq(a->uri, ev->asset.uri);
}

static void note(struct dag_state *d, const struct event *ev)
{
	for (size_t i = 0; i < d->assets.n; i++)
		if (same(&d->assets.at[i], ev) && (!ev->asset.alias || streq(d->assets.at[i].alias, ev->asset.alias))) {
			d->assets.at[i].at = ev->now;
			return;
		}
	struct asset_seen seen = { xstrdup(ev->asset.name), xstrdup(ev->asset.uri), xstrdup(ev->asset.alias), ev->now };
	vec_push(&d->assets, seen);
}

void assets_event(struct core *c, const struct event *ev)
{
	map_each(&c->dags, e) {
		struct dag_state *d = e->value;
		if (ev->asset.dag_id && !streq(ev->asset.dag_id, d->dag_id))
			continue;
		if (!d->dag || d->gone || !d->dag->has_asset_schedule || !mentions(d->dag->asset_condition, ev, 0))
			continue;
		note(d, ev);
		if (!ev->asset.more)
			mark_dag(c, d);
	}
}

void assets_told(struct core *c)
{
	map_each(&c->dags, e) {
		struct dag_state *d = e->value;
		if (d->assets.n)
			mark_dag(c, d);
	}
}

static void drop(struct dag_state *d, size_t i)
{
	free(d->assets.at[i].name);
	free(d->assets.at[i].uri);
	free(d->assets.at[i].alias);
	d->assets.at[i] = d->assets.at[--d->assets.n];
}

void assets_unqueued(struct core *c, const struct event *ev)
{
	struct dag_state *d = map_get(&c->dags, ev->asset.dag_id);
	for (size_t i = d ? d->assets.n : 0; i-- > 0; )
		if (same(&d->assets.at[i], ev))
			drop(d, i);
}

void assets_forget(struct dag_state *d)
{
	while (d->assets.n)
		drop(d, d->assets.n - 1);
}

void assets_drain(struct core *c, struct dag_state *d)
{
	int limit = dag_max_active_runs(c, d);
	if (!c->started || !d->dag || !d->assets.n || d->paused || d->pausing || d->stale || !d->dag->has_asset_schedule)
		return;
	if ((limit && d->n_queued + d->n_running >= (uint32_t)limit) || !holds(d->dag->asset_condition, d, 0))
		return;
	usec_t latest = d->assets.at[0].at;
	for (size_t i = 1; i < d->assets.n; i++)
		latest = d->assets.at[i].at > latest ? d->assets.at[i].at : latest;
	char run_id[128], random[9];
	random_text8(c, random);
	run_id_format(RUN_ASSET_TRIGGERED, USEC_NONE, latest, random, run_id, sizeof run_id);
	struct trigger_request rq = { .dag_id = d->dag_id, .run_id = run_id, .type = RUN_ASSET_TRIGGERED, .logical_date = USEC_NONE,
		.interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = latest, .triggered_by = "asset" };
	struct dag_run *run = run_create(c, d, &rq, c->now);
	assets_forget(d);
	act_after(c, (struct action){ .kind = ACT_ASSET_RUN, .run = run, .dag = d });
}
