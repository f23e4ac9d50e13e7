/* task_instances: what the files about task instances share. Inside this room only. */
#pragma once
#include "api/handlers.h"
#include "api/selection.h"

/* counting and finding need what filters name */
#define TI_COUNT_FROM "task_instance t JOIN dag_run r ON r.id = t.dag_run"
#define TI_COUNT_ALL TI_COUNT_FROM " LEFT JOIN dag_version v ON v.id = t.version LEFT JOIN dag_version_task k ON k.version = t.version AND k.task_id = t.task_id"

bool call_has(const struct call *c, const char *param);            /* a path parameter */
/* from the path or, where the path has none, the query; -1 when absent, false (and a problem) when it is no number */
bool call_map_index(struct call *c, int64_t *ret);
