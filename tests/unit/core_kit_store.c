/* The kit's store beyond rows of runs: backfills, queued assets, and batches that are committed late or not at all. */
#include "core_kit.h"
#include "core_kit_internal.h"

/* ---- backfills ---- */

void kit_backfill(struct kit *k, int64_t id, const char *dag_id, int max_active_runs, bool paused)
{
	struct kit_backfill *b = NULL;
	for (size_t i = 0; i < k->backfills.n; i++)
		if (k->backfills.at[i].id == id)
			b = &k->backfills.at[i];
	if (!b) {
		vec_push(&k->backfills, ((struct kit_backfill){ .id = id }));
		b = &k->backfills.at[k->backfills.n - 1];
		snprintf(b->dag_id, sizeof b->dag_id, "%s", dag_id);
	}
	b->max_active_runs = max_active_runs;
	b->paused = paused;
	kit_tell_backfill(k, id);
}

void kit_tell_backfill(struct kit *k, int64_t id)
{
	for (size_t i = 0; i < k->backfills.n; i++) {
		const struct kit_backfill *b = &k->backfills.at[i];
		struct event ev = { .kind = EV_BACKFILL, .backfill = { b->dag_id, b->id, b->max_active_runs, b->paused } };
		if (b->id == id)
			kit_step(k, &ev);
	}
}

/* ---- queued assets ---- */

size_t kit_waits_for(const struct dag *d, const char *asset)
{
	size_t i, n = 0;
	const json_t *one, *condition = d->has_asset_schedule ? d->asset_condition : NULL, *var = jg(condition, "__var");
	json_array_foreach (jg(var ? var : condition, "objects"), i, one)
		n += !asset || streq(jg_str(jg(one, "__var") ? jg(one, "__var") : one, "name", ""), asset);
	return n;
}

void kit_asset(struct kit *k, const char *asset)
{
	for (size_t i = 0; i < k->dags.n; i++) {
		bool there = false;
		const char *dag_id = k->dags.at[i]->dag_id;
		for (size_t j = 0; j < k->queue.n; j++)
			there = there || (streq(k->queue.at[j].dag_id, dag_id) && streq(k->queue.at[j].asset, asset));
		if (there || !kit_waits_for(k->dags.at[i], asset))
			continue;
		vec_push(&k->queue, ((struct kit_queued){ .dag_id = xstrdup(dag_id) }));
		snprintf(k->queue.at[k->queue.n - 1].asset, sizeof k->queue.at[0].asset, "%s", asset);
	}
	struct event ev = { .kind = EV_ASSET, .asset = { .name = asset, .uri = asset } };
	kit_step(k, &ev);
}

void kit_consume(struct kit *k, const char *dag_id)
{
	size_t there = 0, wanted = 0;
	for (size_t i = 0; i < k->queue.n; i++)
		there += streq(k->queue.at[i].dag_id, dag_id);
	for (size_t i = 0; i < k->dags.n; i++)
		wanted += streq(k->dags.at[i]->dag_id, dag_id) ? kit_waits_for(k->dags.at[i], NULL) : 0;
	k->early_asset_runs += there < wanted;
	for (size_t i = k->queue.n; i-- > 0; )
		if (streq(k->queue.at[i].dag_id, dag_id)) {
			free(k->queue.at[i].dag_id);
			k->queue.at[i] = k->queue.at[--k->queue.n];
		}
}

void kit_tell_assets(struct kit *k)
{
	for (size_t i = 0; i < k->queue.n; i++) {
		struct event ev = { .kind = EV_ASSET, .asset = { .name = k->queue.at[i].asset, .uri = k->queue.at[i].asset, .dag_id = k->queue.at[i].dag_id } };
		kit_step(k, &ev);
	}
}

/* ---- batches ---- */

static void copy_run(struct kit_run *to, const struct kit_run *from)
{
	const char **const texts[] = { &to->row.conf, &to->row.note, &to->row.triggered_by, &to->row.triggering_user, &to->row.partition_key,
		&to->row.bundle_version, &to->row.why_detail };
	*to = *from;
	to->dag_id = xstrdup(from->dag_id);
	to->run_id = xstrdup(from->run_id);
	to->row.run_id = to->run_id;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		kit_copy_text(texts[i]);
	to->log = (struct buf){0};
	buf_add(&to->log, from->log.data ? from->log.data : "", from->log.len);
}

static void copy_ti(struct kit_ti *to, const struct kit_ti *from)
{
	*to = *from;
	kit_copy_ti(&to->row, &from->row);
	to->task_id = xstrdup(from->task_id);
	to->skips = from->n_skips ? xrealloc_array(NULL, from->n_skips, sizeof *to->skips) : NULL;
	to->skip_maps = from->n_skips ? xrealloc_array(NULL, from->n_skips, sizeof *to->skip_maps) : NULL;
	for (uint32_t i = 0; i < from->n_skips; i++) {
		to->skips[i] = xstrdup(from->skips[i]);
		to->skip_maps[i] = from->skip_maps[i];
	}
}

static void free_run(struct kit_run *r)
{
	kit_free_run(r);
	free(r->dag_id);
	free(r->run_id);
	buf_clear(&r->log);
}

static void free_ti(struct kit_ti *t)
{
	kit_free_ti(&t->row);
	free(t->task_id);
	for (uint32_t j = 0; j < t->n_skips; j++)
		free(t->skips[j]);
	free(t->skips);
	free(t->skip_maps);
}

void kit_begin(struct kit *k)
{
	struct kit_before *b = k->before = xcalloc(1, sizeof *b);
	for (size_t i = 0; i < k->runs.n; i++) {
		vec_push(&b->runs, (struct kit_run){0});
		copy_run(&b->runs.at[i], &k->runs.at[i]);
	}
	for (size_t i = 0; i < k->tis.n; i++) {
		vec_push(&b->tis, (struct kit_ti){0});
		copy_ti(&b->tis.at[i], &k->tis.at[i]);
	}
	for (size_t i = 0; i < k->states.n; i++) {
		vec_push(&b->states, k->states.at[i]);
		b->states.at[i].dag_id = xstrdup(k->states.at[i].dag_id);
	}
	for (size_t i = 0; i < k->queue.n; i++) {
		vec_push(&b->queue, k->queue.at[i]);
		b->queue.at[i].dag_id = xstrdup(k->queue.at[i].dag_id);
	}
	for (size_t i = 0; i < k->backfills.n; i++)
		vec_push(&b->backfills, k->backfills.at[i]);
	k->spawned.n = 0;
}

#define SWAP(a, b) do { typeof(a) old = (a); memcpy(&(a), &(b), sizeof old); memcpy(&(b), &old, sizeof old); } while (0)

static void free_before(struct kit_before *b)
{
	for (size_t i = 0; i < b->runs.n; i++)
		free_run(&b->runs.at[i]);
	for (size_t i = 0; i < b->tis.n; i++)
		free_ti(&b->tis.at[i]);
	for (size_t i = 0; i < b->states.n; i++)
		free(b->states.at[i].dag_id);
	for (size_t i = 0; i < b->queue.n; i++)
		free(b->queue.at[i].dag_id);
	for (size_t i = 0; i < b->spawns.n; i++)
		free(b->spawns.at[i]);
	vec_clear(&b->runs);
	vec_clear(&b->tis);
	vec_clear(&b->states);
	vec_clear(&b->queue);
	vec_clear(&b->backfills);
	vec_clear(&b->spawns);
	free(b);
}

/* As the engine does it: what is not queued any more, or for another try, is not started. */
void kit_commit(struct kit *k)
{
	struct kit_before *b = k->before;
	size_t to = 0;
	k->before = NULL;
	for (size_t i = 0; i < b->spawns.n; i++) {
		const struct uuid id = k->spawned.at[i];
		const struct task_instance *ti = core_find_ti(k->core, &id);
		char token[64];
		if (!ti || ti->state != TI_QUEUED || !streq(kit_token(ti, token), b->spawns.at[i]))
			continue;
		kit_spawned(k, b->spawns.at[i]);
		k->spawned.at[to++] = id;
	}
	k->spawned.n = to;
	free_before(b);
}

void kit_rollback(struct kit *k)
{
	struct kit_before *b = k->before;
	k->before = NULL;
	SWAP(k->runs, b->runs);
	SWAP(k->tis, b->tis);
	kit_find_anew(k);
	SWAP(k->states, b->states);
	SWAP(k->queue, b->queue);
	SWAP(k->backfills, b->backfills);
	free_before(b);
	kit_crash(k);
}
