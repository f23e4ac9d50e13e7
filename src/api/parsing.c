/* parsing: a DAG file that is to be parsed now. The DAG processor does it when it gets to it; nobody waits here. */
#include "api/handlers.h"

/* the file that a token was made for: those of the DAGs there are tell, since only a DAG's answer hands tokens out */
static int file_of_token(struct call *c, const char *token, json_t **ret_args, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(c->api->db, "SELECT DISTINCT bundle_name, relative_fileloc FROM dag WHERE relative_fileloc IS NOT NULL", NULL, 0, &r, err);
	*ret_args = NULL;
	while (rc >= 0 && !*ret_args && (rc = rows_next(&r, err)) > 0) {
		CLEANUP(freep) char *own = make_file_token(c, row_text(&r, 0), row_text(&r, 1));
		if (streq(own, token))
			*ret_args = json_pack("{s:s,s:s}", "bundle", row_text(&r, 0), "rel", row_text(&r, 1));
	}
	return rc < 0 ? rc : 0;
}

void reparse_dag_file(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *args = NULL;
	CLEANUP(freep) char *wake = xasprintf("%s/.updraft/dag-processor.wake", config_home(c->api->cfg));
	int rc = file_of_token(c, call_param(c, "file_token"), &args, &err);
	if (rc == 0 && !args) {
		call_fail(c, 404, "File not found");
		return;
	}
	CLEANUP(freep) char *text = args ? json_dumps(args, JSON_COMPACT) : NULL;
	if (rc == 0)
		rc = store_insert(c->api->db, SQL_command_add, &(int64_t){0}, &err, v_text("dag-processor"), v_text("dag_file.parse"), v_text(text), v_null(),
		                  v_text(c->user.name), v_time(loop_now()));
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	wake_send(wake);
	jw_null(call_json(c));
	call_reply(c, 201);
}
