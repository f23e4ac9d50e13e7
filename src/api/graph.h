/* graph: a DAG version as a picture of it needs it: groups, tasks, edges, in the order Airflow shows them. Made once from the
 * serialized DAG and kept for a few versions (graphs), because pages ask every few seconds. Pure but for that cache. */
#pragma once
#include "api/call.h"

struct ids { uint32_t *at; uint32_t n; };
struct graph_node {
	const char *id, *label, *display, *op, *tooltip, *doc_md;   /* label: without the group's prefix; display: as the task instance is called */
	uint32_t parent;                /* the root is its own */
	bool group, mapped, setup, teardown, prefixes;
	struct ids children;            /* by id */
	struct ids up, down;            /* tasks; of a group those directly before and after it */
	struct ids up_groups, down_groups;
};
struct graph {
	struct arena arena;
	struct graph_node *nodes; uint32_t n;       /* 0: the root group */
	struct map tasks, groups;       /* id -> index + 1 */
	json_t *edge_info;              /* source -> target -> {"label"}; may be NULL */
	struct uuid version;
	int64_t updated, number;
	uint64_t used;
};

int graph_make(json_t *dag, struct graph **ret, struct err *err);   /* the object under "dag" */
void graph_free(struct graph *g);                                 /* NULL is fine */
uint32_t graph_task(const struct graph *g, const char *id);       /* UINT32_MAX: none */

/* shown: a flag a node, NULL for all. Children of a group, upstream first; `alphabetical`: groups, then tasks, by id */
struct ids graph_children(const struct graph *g, struct arena *a, const bool *shown, uint32_t group, bool alphabetical);

/* what is left when only some tasks are looked at: those whose id has `root` in it and their relatives. depth < 0: any */
struct graph_focus { const char *root; bool upstream, downstream; int64_t depth; };
bool *graph_focused(const struct graph *g, struct arena *a, const struct graph_focus *f);

struct graph_edge { const char *source, *target; bool setup_teardown; const char *label; };
struct graph_edges { struct graph_edge *at; size_t n; };
/* sorted; groups that depend on each other meet in join nodes (NAME.upstream_join_id, NAME.downstream_join_id) */
struct graph_edges graph_edges(const struct graph *g, struct arena *a, const bool *shown);

/* ---- kept ones ---- */
struct graphs;
struct graphs *graphs_new(void);
void graphs_free(struct graphs *s);         /* NULL is fine */
/* number 0: the newest of the DAG. Borrowed until the next call that makes one. E_NOT_FOUND */
int graphs_get(struct api *api, const char *dag_id, int64_t number, const struct graph **ret, struct err *err);
int graphs_version(struct api *api, const struct uuid *version, const struct graph **ret, struct err *err);
