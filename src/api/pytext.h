/* pytext: JSON values as Python writes them, for texts that Airflow's answers carry. Pure. */
#pragma once
#include "base/json.h"
void python_json(const json_t *v, struct buf *out);      /* json.dumps(v) */
void python_repr(const json_t *v, struct buf *out);      /* repr(v); NULL is None */
void python_str(const json_t *v, struct buf *out);       /* str(v): a text as it is, all else its repr */
const char *python_type(const json_t *v);                /* type(v).__name__ */
