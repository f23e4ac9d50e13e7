/* ui_deps: what DAGs have to do with each other: the `dag_dependencies` of their serialized forms, assets looked up. */
#pragma once
#include "api/call.h"

struct dep { const char *dag, *source, *target, *label, *type, *node; };   /* node: how the graph names it */
struct deps { VEC(struct dep) v; };
/* of all DAGs that may be read, by dag id; texts in the request's arena */
int deps_read(struct call *c, struct deps *ret, struct err *err);
