/* task_token: the identity of a task instance at the Execution API. A JWT as Airflow's: sub is the task instance, scope is `workload`
 * (waits in a queue, good for starting only) or `execution`. Ours say in `try` which try they are for, since the id of an instance
 * stays from try to try; a token without it, made by somebody who knows the secret, counts for the try under way. */
#pragma once
#include "base/json.h"
#include "config/config.h"
#include "store/store.h"

struct task_tokens;
struct task_claims { struct uuid ti; int try_number; bool workload; usec_t issued, expires; };   /* try_number 0: it does not say */

struct token_keys;
struct task_tokens *task_tokens_new(const struct config *cfg, struct token_keys *keys);   /* keys: borrowed */
void task_tokens_free(struct task_tokens *t);    /* NULL is fine */
char *task_token(const struct task_tokens *t, const struct uuid *ti, int try_number, bool workload, usec_t now);   /* malloc'd */
/* E_DENIED: err says why. A scope that we do not know is E_DENIED too */
int task_token_open(const struct task_tokens *t, const char *token, usec_t now, struct task_claims *ret, struct err *err);
bool task_token_ages(const struct task_claims *c, usec_t now);   /* a fifth of its life is left, or half a minute: time for another */
/* The workload of a queued try as executors hand it out; `row` of SQL_try_waiting. New reference. */
json_t *task_workload(const struct task_tokens *t, const struct config *cfg, const struct rows *row, usec_t now, struct err *err);
