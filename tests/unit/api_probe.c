/* api_probe: the api-server role alone, for tests/scenario/test_api.py and benchmarks.
 *   api_probe migrate          makes the database of AIRFLOW_HOME
 *   api_probe serve            prints "port N", serves until SIGTERM; the inbox is applied by a few statements that stand in
 *                              for the scheduler: enough to see that commands arrive, are answered and refused
 *   api_probe silent           the same without anybody to apply the inbox */
#include "api/api.h"
#include "base/crypto.h"
#include "base/json.h"
#include "config/config.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "store/store.h"
#include <stdio.h>
#include <unistd.h>

static int refuse(struct err *err, int code, const char *text)
{
	return err_set(err, code, "%s", text);
}

static int do_trigger(struct store *db, const json_t *a, struct buf *result, struct err *err)
{
	const char *dag_id = jg_str(a, "dag_id", ""), *given = jg_str(a, "dag_run_id", NULL);
	usec_t now = loop_now();
	int64_t there = 0, id = 0;
	CLEANUP(freep) char *run_id = given ? xstrdup(given) : xasprintf("manual__%lld", (long long)now);
	CLEANUP(freep) char *conf = json_dumps(jg(a, "conf") ? jg(a, "conf") : json_object(), JSON_COMPACT);
	int rc = store_get_int(db, SQL_run_id_of, 0, &there, err, v_text(dag_id), v_text(run_id));
	if (rc == 0 && there)
		return refuse(err, E_EXISTS, "a run with this id exists already");
	if (rc == 0)
		rc = store_get_int(db, SQL_run_next_id, 1, &id, err);
	if (rc == 0)
		rc = store_run(db, SQL_run_insert, err, v_int(id), v_text(dag_id), v_text(run_id), v_text("manual"), v_text("queued"), v_null(), v_null(),
			v_null(), v_null(), v_time(now), v_time(now), v_null(), v_null(), v_null(), v_text(jg_str(a, "triggered_by", NULL)),
			v_text(jg_str(a, "user", NULL)), v_text(jg_str(a, "partition_key", NULL)), v_null(), v_int(0), v_null(), v_null(), v_text(conf), v_null(),
			v_null(), v_time(now), v_null());
	if (rc == 0)
		buf_printf(result, ",\"result\":{\"dag_id\":\"%s\",\"run_id\":\"%s\",\"id\":%lld}", dag_id, run_id, (long long)id);
	return rc;
}

/* set a run's state by its own update statement, all else as it is */
static int do_mark(struct store *db, const json_t *a, const char *state, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int64_t id = 0;
	int rc = store_get_int(db, SQL_run_id_of, 0, &id, err, v_text(jg_str(a, "dag_id", "")), v_text(jg_str(a, "run_id", "")));
	if (rc < 0 || (rc = store_one(db, SQL_run_load, &r, err, v_int(id))) < 0)
		return rc;
	usec_t after = row_time(&r, 9);
	CLEANUP(freep) char *type = xstrdup(row_text(&r, 3));
	rows_close(&r);
	return store_run(db, SQL_run_update, err, v_int(id), v_text(type), v_text(state), v_null(), v_null(), v_null(), v_null(), v_time(after), v_null(),
		v_null(), v_null(), v_null(), v_null(), v_null(), v_null(), v_null(), v_int(0), v_null(), v_null(), v_text("{}"), v_time(loop_now()), v_null(), v_null());
}

static int apply_one(struct store *db, const char *kind, const json_t *a, struct buf *result, struct err *err)
{
	if (streq(kind, "dag_run.trigger"))
		return do_trigger(db, a, result, err);
	if (streq(kind, "dag_run.mark"))
		return do_mark(db, a, jg_str(a, "state", "failed"), err);
	if (streq(kind, "dag_run.clear"))
		return do_mark(db, a, "queued", err);
	if (streq(kind, "dag.pause"))
		return store_run(db, SQL_dag_pause, err, v_text(jg_str(a, "dag_id", "")), v_bool(jg_bool(a, "paused", true)));
	if (streq(kind, "dag.delete"))
		return store_run(db, SQL_dag_delete, err, v_text(jg_str(a, "dag_id", "")));
	if (streq(kind, "ti.mark") || streq(kind, "ti.clear"))
		return 0;
	return refuse(err, E_CONFLICT, "the stand-in does not do this");
}

static int apply(const struct config *cfg, struct store *db, struct err *err)
{
	(void)cfg;
	for (;;) {
		CLEANUP(rows_close) struct rows r = {0};
		CLEANUP(json_decrefp) json_t *args = NULL;
		CLEANUP(buf_clear) struct buf result = {0};
		CLEANUP(err_clear) struct err why = {0};
		int rc = store_query(db, SQL_command_open, &r, err, v_text("scheduler"), v_int(1));
		if (rc < 0 || (rc = rows_next(&r, err)) <= 0)
			return rc;
		int64_t id = row_int(&r, 0);
		CLEANUP(freep) char *kind = xstrdup(row_text(&r, 1));
		if ((rc = json_read(row_text(&r, 2), row_size(&r, 2), &args, err)) < 0)
			return rc;
		rows_close(&r);
		int code = apply_one(db, kind, args, &result, &why);
		CLEANUP(freep) char *text = xasprintf("{\"code\":%d,\"detail\":\"%s\"%s}", code, code ? err_text(&why) : "1", result.data ? result.data : "");
		if ((rc = store_run(db, SQL_command_finish, err, v_int(id), v_time(loop_now()), v_int(code), v_text(text))) < 0)
			return rc;
	}
}

static int no_supervisor(const struct config *cfg, struct err *err)
{
	(void)cfg;
	return err_set(err, E_CLOSED, "there is no supervisor here");
}

static void on_ready(void *arg, int port)
{
	(void)arg;
	printf("port %d\n", port);
	fflush(stdout);
}

static int migrate(const struct config *cfg, struct err *err)
{
	struct store_options o = { .any_schema = true };
	CLEANUP(store_closep) struct store *db = NULL;
	int rc = store_open(config_str(cfg, OPT_database_sql_alchemy_conn), &o, &db, err);
	return rc < 0 ? rc : store_migrate(db, NULL, NULL, err);
}

int main(int argc, char **argv)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(config_freep) struct config *cfg = NULL;
	const char *verb = argc > 1 ? argv[1] : "serve";
	log_open("api-server", LOG_INFO);
	if (config_load(environ, 0, &cfg, &err) < 0 || (streq(verb, "migrate") && migrate(cfg, &err) < 0)) {
		fprintf(stderr, "api_probe: %s\n", err_text(&err));
		return 1;
	}
	if (streq(verb, "hash")) {
		CLEANUP(freep) char *hash = password_hash(argc > 2 ? argv[2] : "");
		printf("%s\n", hash);
		return 0;
	}
	struct api_options o = { .cfg = cfg, .port = -1, .apply_inbox = streq(verb, "silent") ? NULL : apply, .ensure_supervisor = no_supervisor, .ready = on_ready };
	return streq(verb, "migrate") ? 0 : api_server_main(&o);
}
