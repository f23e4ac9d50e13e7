/* serialized: a DAG's stored JSON (Airflow's format 3) as the API shows its parts. Pure. */
#pragma once
#include "base/json.h"
json_t *serialized_plain(const json_t *v);                   /* {"__type", "__var"} unwrapped, at every depth; new reference */
const json_t *serialized_task(const json_t *element);        /* of dag.tasks: the task's own object, borrowed */
void serialized_time(struct json_writer *w, const json_t *v);        /* seconds since 1970 or an encoded datetime */
void serialized_duration(struct json_writer *w, const json_t *v);    /* ISO 8601 as pydantic writes it; null when absent */
void serialized_timedelta(struct json_writer *w, const json_t *v);   /* {"__type": "TimeDelta", days, seconds, microseconds} */
void serialized_params(struct json_writer *w, const json_t *params); /* {name: {value, schema, description, source}} */
char *clean_doc(const char *s);                              /* inspect.cleandoc; malloc'd, NULL stays NULL */
void iso_duration(usec_t span, struct buf *out);
