/* ui_graph: what the UI's graph and grid answers share. */
#pragma once
#include "api/graph.h"
#include "api/table.h"

bool ui_focus(struct call *c, struct graph_focus *ret);      /* root, include_upstream, include_downstream, depth; problems go to the call */

/* the runs of a grid page: of the path's DAG, filtered and in order. UI_ANSWERED: a wrong parameter has been answered */
#define UI_ANSWERED (-1000)
struct ui_runs { struct where where; struct buf order; struct page page; };
int ui_runs(struct call *c, struct ui_runs *ret);
void ui_runs_clear(struct ui_runs *q);

/* what lies outside of a DAG: other DAGs, assets. Array elements, comma separated */
struct ui_outside { struct buf nodes, edges; };
int ui_outside(struct call *c, const char *dag_id, const struct graph *g, const char *first, const char *last, struct ui_outside *ret, struct err *err);
void ui_write_node(struct json_writer *w, const char *id, const char *label, const char *type, const char *gate);
void ui_write_edge(struct json_writer *w, const struct graph_edge *e, const bool *source_asset);
