/* What the files of the kit share. */
#pragma once
#include "core_kit.h"

/* what the store held before the open batch, and what is to be started once it is committed */
struct kit_before {
	VEC(struct kit_run) runs;
	VEC(struct kit_ti) tis;
	VEC(struct kit_dag) states;
	VEC(struct kit_queued) queue;
	VEC(struct kit_backfill) backfills;
	VEC(char *) spawns;
};
struct dag *kit_version(void *arg, const struct uuid *id, struct err *err);       /* arg: the kit; borrowed */
void kit_trace(const struct actions *acts, usec_t at, int64_t step);
void kit_trace_run(const struct dag_run *run);
void kit_put_times(struct buf *out, const struct task_instance *ti);
struct kit_ti *kit_add_ti(struct kit *k, struct kit_run *run, const struct uuid *id, const char *task_id);
void kit_find_anew(struct kit *k);
void kit_copy_text(const char **slot);
void kit_copy_ti(struct task_instance *to, const struct task_instance *from);
void kit_free_ti(struct task_instance *ti);
void kit_free_run(struct kit_run *r);
const char *kit_token(const struct task_instance *ti, char ret[64]);
void kit_spawned(struct kit *k, const char *token);
void kit_consume(struct kit *k, const char *dag_id);                              /* a run took the DAG's queued assets */
void kit_tell_backfill(struct kit *k, int64_t id);
void kit_tell_assets(struct kit *k);
