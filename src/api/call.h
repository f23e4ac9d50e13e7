/* call: one request being answered, and what every handler uses. Inside this room only. */
#pragma once
#include "api/api.h"
#include "api/metrics.h"
#include "processor/mask.h"
#include "api/roles.h"
#include "base/json.h"
#include "config/config.h"
#include "http/http.h"
#include "loop/loop.h"
#include "store/store.h"

#define MAX_PATH_PARAMS 6
struct call;
struct list_spec;
struct body_spec;
typedef void (*handler_fn)(struct call *c);

/* a row of routes.def */
struct route {
	const char *name;               /* Airflow's operation: also the event in the audit log */
	enum http_method method;
	const char *template;           /* "/api/v2/dags/{dag_id}"; "{key:path}" takes the rest, slashes too */
	enum resource resource;
	bool change;                    /* needs the role to change, is written to the audit log when it succeeded */
	handler_fn handler;
	const struct list_spec *list;   /* for api_list and api_one; else NULL */
	const struct body_spec *body;   /* read and checked before the handler runs; else NULL */
};

/* stored: of the table `users`, with FAB's permissions; else of the simple auth manager.
 * grants: what roles give beyond the built-in ones, permit.c's text; NULL for none. All in the request's arena */
struct user { const char *name; enum role role; bool anonymous, stored; const char *grants; };

struct call {
	struct api *api;
	struct http_request *r;
	const struct route *route;
	struct http_pair params[MAX_PATH_PARAMS];   /* of the path, by template name */
	size_t n_params;
	struct user user;
	json_t *body;                   /* owned; freed with the call */
	struct buf problems;            /* entries of a 422, comma separated */
	int refused;                    /* a status that ends the call before its problems are told; 0: none */
	const char *refusal;
	const char *refusal_reason;     /* the detail is an object then: {reason, message} */
	struct json_writer w;           /* over r->out */
	bool timely;                    /* the answer depends on the time: it is not kept (kept.h) */
	void (*then)(struct call *c, int code, const char *text, const json_t *result);   /* call_command's */
	void *state;                    /* the handler's own between two answers of the scheduler; in the request's arena */
};

/* everything the role holds; server.c */
struct api {
	struct web *web;
	struct graphs *graphs;
	const struct api_options *o;
	const struct config *cfg;
	struct loop *loop;
	struct store *db;
	struct http_server *http;
	struct token_keys *token_keys;
	struct auth *auth;
	struct commands *commands;
	struct asks *asks;
	struct web_apps *web_apps;
	struct connection_test *connection_tests;   /* connection_tests.c */
	struct workers *workers;
	struct fernet *fernet;
	struct audits *audits;
	struct kept *kept;
	struct origins *origins;
	struct metrics metrics;
	struct login *logins;           /* being checked now (login.c) */
	struct answers *answers;        /* of the Execution API, as the next one */
	struct task_tokens *task_tokens;
	struct beats *task_beats;
	struct mask mask;
	struct config_list mask_words;
	struct map file_tokens;         /* "bundle\nrelative path" -> token */
	int64_t page_limit, page_limit_max;
	usec_t started;
	int64_t job_id;
	char unixname[64];              /* who this process runs as */
	struct source *beat;
	unsigned beats;
};

/* ---- path and query ---- */
const char *call_param(const struct call *c, const char *name);              /* asserts that the template has it */
struct val;

/* ---- answers; each ends the call ---- */
struct json_writer *call_json(struct call *c);             /* starts the body in r->out */
void call_reply(struct call *c, int status);               /* sends what call_json wrote */
void call_empty(struct call *c, int status);
void call_fail(struct call *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);   /* {"detail": text} */
void call_fail_err(struct call *c, const struct err *e);   /* status from the error table */
void call_unique(struct call *c, const char *what);        /* 409 as Airflow's unique constraint handler words it */
/* Accept: JSON (also of whoever takes anything), or text/plain; false: answered with a 406 */
bool call_accepts(struct call *c, bool *ret_text);
/* later answers: the call is on the stack of the handler; call_keep copies it to the request's arena */
struct call *call_keep(struct call *c);
void call_release(struct call *c);                         /* body and problems */

/* ---- 422: pydantic's list of problems ---- */
/* loc: JSON array text; input: JSON text; ctx: JSON object text or NULL */
void call_problem(struct call *c, const char *type, const char *loc, const char *msg, const char *input, const char *ctx);
/* an error that FastAPI would raise at once instead of collecting: the first one wins */
void call_refuse(struct call *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool call_problems(struct call *c);                        /* answers the refusal or a 422 when there is one: true */
void call_problems_twice(struct call *c);                  /* where Airflow reads a body twice, its problems are told twice */
void enum_problem(struct call *c, const char *loc, const char *choices, const char *input);   /* choices: "a|b|c" */
bool choice_has(const char *choices, const char *value);
char *json_quoted(struct arena *a, const char *s);         /* a JSON string literal */
char *json_text(struct arena *a, const json_t *v);
char *loc_of(struct arena *a, const char *where, const char *name);   /* ["query","limit"] */

/* typed query parameters; a wrong value becomes a problem and false */
bool query_int(struct call *c, const char *name, int64_t least, int64_t *inout);
bool query_bool(struct call *c, const char *name, bool *inout);
bool path_int(struct call *c, const char *name, int64_t least, int64_t *ret);
bool word_bool(const char *s, bool *ret);                 /* pydantic's words */
size_t query_list(const struct call *c, const char *name, const char **at, size_t room);   /* repeated values */

/* ---- existence checks that answer as Airflow does: false when the call has been answered ---- */
bool need_dag(struct call *c, const char *dag_id);
bool need_run(struct call *c, const char *dag_id, const char *run_id, int64_t *ret_run);

/* ---- audit (audit.c) ---- */
struct audits *audits_new(struct api *api);
void audits_free(struct audits *a);                        /* writes what waits; NULL is fine */
void audit(struct call *c);                                /* one row for a change that succeeded, written after the answer */
