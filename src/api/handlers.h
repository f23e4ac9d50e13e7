/* handlers: what routes.def names, and what the files of resources share. */
#pragma once
#include "api/commands.h"
#include "api/table.h"

/* one declaration a handler and a list_spec, from the table itself */
#define ROUTE(name, method, template, resource, change, handler, list, body) void handler(struct call *c);
#include "api/routes.def"
#undef ROUTE

extern const struct list_spec dags_list, dag_one, dag_runs_list, dag_run_one, dag_run_new, task_instances_list, mapped_list, tries_list, xcoms_list, variables_list,
	connections_list, pools_list, import_errors_list, event_logs_list, jobs_list, dag_versions_list, dag_warnings_list, dag_tags_list,
	hitl_list, xcom_native, assets_list, asset_aliases_list, asset_events_list, backfills_list;
extern const struct body_spec dag_patch_body, trigger_body, run_patch_body, run_clear_body, ti_patch_body, ti_clear_body, variable_body,
	variable_patch_body, connection_body, connection_patch_body, pool_body, pool_patch_body, runs_batch_body, tis_batch_body, xcom_create_body,
	xcom_update_body, bulk_body, runs_clear_body, clear_partitions_body, connection_test_body, login_body, hitl_response_body, backfill_body;
extern const struct body_spec asset_event_body, materialize_body, asset_state_body, task_state_body, task_state_patch_body;
extern const struct list_spec ui_dags_list, ui_backfills_list, deadlines_list;
extern const struct body_spec ui_token_body, fab_user_body, fab_user_patch_body, fab_role_body;
#define NONE NULL

/* ---- shared by resources ---- */
extern const struct field version_fields[];         /* DagVersionResponse over v (dag_version) and d (dag) */
extern const struct field dag_head_fields[], dag_tail_fields[];   /* DAGResponse up to owners, and its computed end; over d */
extern const struct field run_light_fields[];       /* DAGRunLightResponse over r (dag_run) */
typedef int (*fields_fn)(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col);   /* fields_write, fields_write_known */
/* into an array, the newest first */
int write_light_runs(struct call *c, struct json_writer *w, const char *dag_id, int64_t limit, fields_fn write, struct err *err);
json_t *ui_own_plugin(const struct call *c);           /* our pages as a plugin's; new reference */
bool need_dag_named(struct call *c, const char *dag_id);   /* with the UI API's words */
void write_known_run_versions(struct call *c, struct json_writer *w, const struct rows *r, int col);   /* without members that are NULL */
void write_run_versions(struct call *c, struct json_writer *w, const struct rows *r, int col);   /* over run id, version, created version, bundle version */
void write_open_questions(struct call *c, struct json_writer *w, const struct rows *r, int col);   /* HITL details of the DAG in the column */
void file_tokens_clear(struct map *tokens);
char *make_file_token(struct call *c, const char *bundle, const char *rel);   /* malloc'd */
void write_file_token(struct call *c, struct json_writer *w, const struct rows *r, int col);

/* asks the scheduler; then is called with a call that outlives the handler and must answer it. args is taken over */
typedef void (*then_fn)(struct call *c, int code, const char *text, const json_t *result);
void call_command(struct call *c, const char *kind, json_t *args, then_fn then);
json_t *run_clear_args(struct call *c, const char *dag_id, const char *run_id);   /* of dag_run.clear, from a body that says which */
void call_command_failed(struct call *c, int code, const char *text);   /* the usual answer to code < 0 */


/* ---- who asks (server.c, login.c) ---- */
void call_go(struct call *c);                       /* permission, body, handler */
void api_request(struct api *api, struct http_request *r);   /* a request, from its beginning */
/* Authorization: Basic, where [api] auth_backends lets it: true when the call goes on later, after the password was checked, or
 * has been answered */
bool login_basic(struct call *c);
/* the page for people; message NULL for none, next NULL for "/" */
void login_page(struct call *c, int status, const char *message, const char *next);
bool safe_next(const struct call *c, const char *next);   /* on this server; NULL is not */

void connection_tests_free(struct api *api);

/* ---- pages of ours ---- */
#define PAGE_STYLE "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}main{max-width:52rem;margin:auto}" \
	"label{display:block;margin:.5rem 0}input{font:inherit;padding:.3rem;width:20rem;display:block}button{font:inherit;padding:.3rem 1rem;margin-top:.5rem}" \
	"table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0}.bad{color:#b00}code{background:#eee;padding:0 .2rem}" \
	"@media(prefers-color-scheme:dark){body{color:#ddd;background:#151515}code{background:#333}.bad{color:#f77}a{color:#8bf}}"
void html_text(struct buf *out, const char *s);     /* escaped */
void api_note(const struct api *api, const char *what, const struct err *e);   /* a line in the role's log */
