/* Between requests.c (dispatch, how a try ends) and answers_*.c (what a task may read and write). */
#pragma once
#include "engine/internal.h"

struct asking_child { struct engine *e; struct child *child; struct task_instance *ti; const json_t *q; json_t *error; bool once, absent; };   /* ti NULL: a host, or a run that is gone; error: for the error slot instead of a general one, new reference; once: this request cannot come twice; absent: set when what was asked for is not there though the body does not say so */
/* 0: *ret is the answer's body (new reference; NULL: empty answer). <0: err goes into the answer's error slot. */
typedef int (*request_fn)(struct asking_child *a, json_t **ret, struct err *err);
struct request_entry { const char *type; request_fn fn; bool needs_try; };
const struct request_entry *request_answer_find(const char *type);
const struct request_entry *request_find(const char *type);            /* those and what requests.c itself does; NULL */
extern const struct request_entry answers_xcom[], answers_runs[], answers_assets[], answers_people[];   /* each ends with type NULL */
json_t *body_ok(bool ok);
usec_t own_logical(const struct asking_child *a);      /* the asking run's logical date, else run_after, else now */
int run_db_id(struct asking_child *a, int64_t *ret, struct err *err);                  /* of q's dag_id and run_id; E_NOT_FOUND */
