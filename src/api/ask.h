/* ask: questions that only the user's Python environment answers (docs/ARCHITECTURE.md, Python host): providers, plugins,
 * connection forms, connection tests. A Python host of this process's own, a child of the supervisor, started with the first
 * question and ended when none came for a while. Answers that hold for the environment are kept for the life of this process,
 * as Airflow's API server keeps them. */
#pragma once
#include "api/call.h"

struct asks;
struct asks *asks_new(struct api *api);
void asks_free(struct asks *a);     /* whoever still waits is told; NULL is fine */

/* result: the answer's object, borrowed; NULL with `error`: a text for a person */
typedef void (*ask_fn)(void *arg, const json_t *result, const char *error);
/* question: {"what": ..., ...}, taken over. fn is called once, perhaps before this returns (a kept answer).
 * keep: the answer holds for the environment */
void ask_python(struct asks *a, json_t *question, bool keep, ask_fn fn, void *arg);

/* the same for a request: `then` answers it */
typedef void (*asked_fn)(struct call *c, const json_t *result, const char *error);
void call_ask(struct call *c, json_t *question, bool keep, asked_fn then);
