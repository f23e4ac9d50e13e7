/* execution: the Execution API, base /execution/: what workers say and ask about the task instance they run. A table of its own
 * (execution.def), since a route here has versions and token scopes instead of roles. Questions are answered from the store by the
 * engine's own code (engine/answers.h); what changes a task instance is a command to the scheduler, answered when it is durable. */
#pragma once
#include "api/handlers.h"
#include "api/task_token.h"

enum exec_who { WHO_ANYBODY, WHO_TASK, WHO_SELF, WHO_SELF_OR_QUEUED, WHO_QUEUED };   /* SELF, QUEUED: the token's subject is in the path */
struct exec_route {
	const char *name;
	enum http_method method;
	const char *template;           /* below /execution */
	enum exec_who who;
	const char *since, *until;      /* first version that has it, first that has it not; NULL: all */
	const struct body_spec *body;
	handler_fn handler;
};

/* c->state of every call here */
struct asker {
	struct task_claims claims;
	char id[37];                    /* claims.ti as text */
	const char *version;            /* of the API, as the client gets it */
	const char *wanted;             /* /state: what the task instance is to become */
};
static inline struct asker *asker_of(const struct call *c) { return c->state; }
static inline bool before_version(const struct call *c, const char *v) { return strcmp(asker_of(c)->version, v) < 0; }

#define EXEC_NEWEST "2026-06-30"
const char *exec_version_at(size_t i);           /* those there are, the newest first; then "unversioned", then NULL */
bool exec_version_named(const char *version);    /* is it one of them? NULL is not */
bool execution_request(struct call *c);          /* false: the path is not below /execution/ */

/* ---- answers; each ends the call ---- */
void exec_json(struct call *c, int status, json_t *body);                                  /* takes body over */
void exec_message(struct call *c, int status, const char *text);                           /* {"message": text} */
void exec_refuse(struct call *c, int status, json_t *detail);                              /* {"detail": detail}; takes it over */
void exec_missing(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);                 /* 404, reason not_found */
void exec_no_ti(struct call *c);
/* a question of the supervisor channel; NULL when the call has been answered (an error, or `missing`'s 404) */
json_t *exec_ask(struct call *c, json_t *question, bool *ret_absent);                      /* takes question over */
bool exec_is_error(const json_t *body);                                                    /* an ErrorResponse body */
/* a request that changes something: then(c, code, text, {"body", "error"}) */
void exec_request(struct call *c, json_t *body, then_fn then);                             /* takes body over */
void exec_changed(struct call *c, int code, const char *text, const json_t *result);       /* the usual then: 204 */
bool exec_failed(struct call *c, int code, const char *text);                              /* true: it has been answered */

/* ---- query parameters ---- */
bool exec_needed(struct call *c, const char *name, const char **ret);                      /* absent: a problem */
json_t *exec_texts(struct call *c, const char *name);                                      /* JSON array, NULL when absent */
json_t *exec_times(struct call *c, const char *name);
json_t *exec_time(struct call *c, const char *name);                                       /* JSON text, NULL when absent */

void exec_send_token(struct call *c);            /* another token of scope execution goes with the answer */

/* the row that a request about a task instance is checked against */
struct ti_now { char *state, *hostname, *dag_id, *run_id, *task_id; int try_number, pid, map_index; int64_t run; };
int exec_ti_now(struct call *c, struct ti_now *ret, struct err *err);    /* in the request's arena; E_NOT_FOUND */
bool exec_try_over(const struct call *c, const struct ti_now *now);      /* the token is for an earlier try */

json_t *exec_run_fields(json_t *run, const char *version);               /* a DagRun as this version has it; changes and returns it */
json_t *exec_old_kwargs(const json_t *next_kwargs);                       /* new reference: as versions before 2026-04-06 write them */
const struct body_spec *exec_state_body(const json_t *body);              /* what a change of state must look like, by its state */
extern const struct body_spec ti_run_body, ti_heartbeat_body, ti_skip_body, exec_variable_body, exec_trigger_body, task_store_body, asset_store_body,
	hitl_body, hitl_answer_body;

#define EXEC(name, method, template, who, since, until, body, handler) void handler(struct call *c);
#include "api/execution.def"
#undef EXEC
