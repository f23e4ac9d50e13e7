/* addon_postgres: heroku-postgresql over one PostgreSQL of all add-ons, apart from the platform's own store: a database and a role for each.
 * The platform is its superuser `updraft`, by a socket below HOME/addons/pg that nobody else has a password for. */
#include "platform/addons.h"
#include "loop/log.h"
#include "platform/ca.h"
#include "platform/files.h"
#include "platform/helper.h"
#include "platform/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*ready_fn)(void *arg, int rc, const char *why);
struct waiting { struct waiting *next; ready_fn fn; void *arg; };
static struct cluster { struct platform *p; bool up, coming; int port; char password[44]; struct waiting *first; } cluster;

/* ---- the cluster ---- */

static void tell_all(int rc, const char *why)
{
	struct waiting *w = cluster.first;
	cluster.first = NULL;
	while (w) {
		struct waiting *next = w->next;
		w->fn(w->arg, rc, why);
		free(w);
		w = next;
	}
}

static void on_started(void *arg, int code, const json_t *result, const struct err *err)
{
	(void)arg;
	(void)result;
	cluster.coming = false;
	cluster.up = code == 0;
	if (code < 0)
		log_error("the add-ons' PostgreSQL: %s", err_text(err));
	tell_all(code, code < 0 ? err_text(err) : "");
}

static int read_secret(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(p, "keys/addons.password");
	CLEANUP(buf_clear) struct buf text = {0};
	char fresh[44];
	if (!file_exists(path)) {
		secret_new(fresh);
		fresh[0] = 'p';                      /* a word of the helper's begins with a letter or digit */
		int rc = file_write(path, fresh, strlen(fresh), 0600, err);
		if (rc < 0)
			return rc;
	}
	int rc = file_read(path, 100, &text, err);
	if (rc == 0)
		snprintf(cluster.password, sizeof cluster.password, "%s", text.data);
	return rc;
}

static int read_port(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *kept = NULL;
	int64_t port = 0;
	char text[16];
	int rc = platform_get(p, "postgres_port", &kept, err);
	if (rc < 0)
		return rc;
	if (!kept || str_to_int64(kept, &port) < 0) {
		port = addon_free_port();
		snprintf(text, sizeof text, "%d", (int)port);
		rc = platform_set(p, "postgres_port", text, err);
	}
	cluster.port = (int)port;
	return rc;
}

/* calls fn when the cluster answers; it is made the first time */
static int cluster_need(struct platform *p, ready_fn fn, void *arg, struct err *err)
{
	CLEANUP(buf_clear) struct buf certificate = {0};
	char ip[16];
	if (!p->helper)
		return err_set(err, E_UNSUPPORTED, "heroku-postgresql needs the platform's root helper: start `updraft platform` as root");
	if (cluster.up) {
		fn(arg, 0, "");
		return 0;
	}
	addon_address(p, ip);
	const char *const names[] = { "localhost", "127.0.0.1", ip };
	int rc = cluster.coming ? 0 : read_secret(p, err);
	if (rc == 0 && !cluster.coming)
		rc = read_port(p, err);
	if (rc == 0 && !cluster.coming)
		rc = ca_issue(p, names, ARRAY_LEN(names), &certificate, err);
	if (rc < 0)
		return rc;
	struct waiting *w = xcalloc(1, sizeof *w);
	*w = (struct waiting){ .fn = fn, .arg = arg, .next = cluster.first };
	cluster.first = w;
	if (cluster.coming)
		return 0;
	cluster.coming = true;
	helper_call(p->helper, HELPER_addon_postgres, json_pack("{s:i s:s s:s}", "port", cluster.port, "password", cluster.password, "certificate", certificate.data), NULL, 0, on_started, NULL);
	return 0;
}

/* ---- acts: wait for the cluster, run a program, tell ---- */

struct act {
	struct platform *p;
	char *script, *database, *path;
	enum { ACT_SQL, ACT_DUMP, ACT_RESTORE } what;
	addon_fn done;
	addon_info_fn info;
	json_t *about;
	void *arg;
};

static void act_free(struct act *a)
{
	free(a->script);
	free(a->database);
	free(a->path);
	json_decref(a->about);
	free(a);
}

static void act_tell(struct act *a, int rc, const char *why, json_t *rows)
{
	if (a->info)
		a->info(a->arg, rc, why, rows);
	else
		a->done(a->arg, rc, why);
	act_free(a);
}

/* "NAME|VALUE" lines -> rows */
static json_t *read_rows(const struct buf *out, const json_t *more)
{
	json_t *rows = json_deep_copy(more);
	CLEANUP(freep) char *text = xstrndup(out->data ? out->data : "", out->len);
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *bar = strchr(line, '|');
		if (!bar)
			continue;
		*bar = '\0';
		json_array_append_new(rows, json_pack("{s:s s:[s]}", "name", line, "values", bar + 1));
	}
	return rows;
}

static void on_tool(void *arg, int exit_code, const struct buf *out, const struct buf *said)
{
	struct act *a = arg;
	CLEANUP(json_decrefp) json_t *rows = NULL;
	if (exit_code == 0 && a->info)
		rows = read_rows(out, a->about);
	act_tell(a, exit_code == 0 ? 0 : E_SYSTEM, exit_code == 0 ? said->len ? said->data : "" : said->len ? said->data : "PostgreSQL's program failed and said nothing", rows);
}

static int run_program(struct act *a, struct err *err)
{
	CLEANUP(freep) char *host = platform_path(a->p, "addons/pg/socket");
	CLEANUP(freep) char *pghost = xasprintf("PGHOST=%s", host);
	CLEANUP(freep) char *port = xasprintf("PGPORT=%d", cluster.port);
	CLEANUP(freep) char *password = xasprintf("PGPASSWORD=%s", cluster.password);
	CLEANUP(freep) char *database = xasprintf("PGDATABASE=%s", a->database ? a->database : "postgres");
	const char *const env[] = { pghost, port, password, database, "PGUSER=updraft", "PGCONNECT_TIMEOUT=20", NULL };
	const char *const sql[] = { "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", NULL };
	const char *const dump[] = { "pg_dump", "-Fc", "--no-owner", "--no-acl", NULL };
	const char *const restore[] = { "pg_restore", "--no-owner", "--no-acl", "--clean", "--if-exists", "--exit-on-error", "-d", a->database, "--role", a->script, NULL };
	CLEANUP(closep) int file = a->what == ACT_DUMP ? open(a->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : a->what == ACT_RESTORE ? open(a->path, O_RDONLY | O_CLOEXEC) : -1;
	if (a->what != ACT_SQL && file < 0)
		return err_errno(err, errno, "%s", a->path);
	const struct tool t = { .argv = a->what == ACT_SQL ? sql : a->what == ACT_DUMP ? dump : restore, .env = env, .input = a->what == ACT_SQL ? a->script : NULL,
				.in = a->what == ACT_RESTORE ? file : -1, .out = a->what == ACT_DUMP ? file : -1 };
	return tool_run(a->p, &t, on_tool, a, err);
}

static void on_cluster(void *arg, int rc, const char *why)
{
	struct act *a = arg;
	CLEANUP(err_clear) struct err err = {0};
	if (rc == 0 && (rc = run_program(a, &err)) == 0)
		return;
	act_tell(a, rc, err.code ? err_text(&err) : why, NULL);
}

static int act_start(struct act *a, struct err *err)
{
	int rc = cluster_need(a->p, on_cluster, a, err);
	if (rc < 0)
		act_free(a);
	return rc;
}

static const char *data(const struct addon *a, const char *key)
{
	return jg_str(a->data, key, "");
}

/* ---- the contract ---- */

/* Names and passwords are ours: hexadecimal digits and letters, nothing to quote. No role of another add-on may connect, and none sees others' databases' contents. */
static char *make_script(const struct addon *a)
{
	return xasprintf(
		"REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;\n"
		"CREATE ROLE %s LOGIN PASSWORD '%s' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT %d;\n"
		"CREATE DATABASE %s OWNER %s;\nREVOKE ALL ON DATABASE %s FROM PUBLIC;\nGRANT CONNECT, TEMPORARY, CREATE ON DATABASE %s TO %s;\n"
		"ALTER ROLE %s SET temp_file_limit = '1GB';\n",
		data(a, "user"), data(a, "password"), a->plan->connections, data(a, "database"), data(a, "user"), data(a, "database"), data(a, "database"), data(a, "user"), data(a, "user"));
}

static int postgres_provision(struct platform *p, struct addon *a, addon_fn done, void *arg, struct err *err)
{
	uint8_t random[40];
	char hex[81], ip[16];
	random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(hex + 2 * i, 3, "%02x", random[i]);
	addon_address(p, ip);
	int rc = read_port(p, err);
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *user = xasprintf("u%.14s", hex), *database = xasprintf("d%.14s", hex + 14), *password = xasprintf("p%.50s", hex + 28);
	CLEANUP(freep) char *url = xasprintf("postgres://%s:%s@%s:%d/%s", user, password, ip, cluster.port, database);
	json_object_set_new(a->data, "user", json_string(user));
	json_object_set_new(a->data, "database", json_string(database));
	json_object_set_new(a->data, "password", json_string(password));
	json_object_set_new(a->config, "URL", json_string(url));
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .what = ACT_SQL, .script = make_script(a), .done = done, .arg = arg };
	return act_start(t, err);
}

static int postgres_change(struct platform *p, struct addon *a, const struct plan *to, addon_fn done, void *arg, struct err *err)
{
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .what = ACT_SQL, .script = xasprintf("ALTER ROLE %s CONNECTION LIMIT %d;", data(a, "user"), to->connections), .done = done, .arg = arg };
	return act_start(t, err);
}

static int postgres_info(struct platform *p, const struct addon *a, addon_info_fn done, void *arg, struct err *err)
{
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .what = ACT_SQL, .database = xstrdup(data(a, "database")), .info = done, .arg = arg };
	t->about = json_pack("[{s:s s:[s]} {s:s s:[s]}]", "name", "Plan", "values", a->plan->shown, "name", "Status", "values", "Available");
	t->script = xasprintf(
		"SELECT 'Connections', count(*) || '/%d' FROM pg_stat_activity WHERE datname = current_database() AND usename <> 'updraft';\n"
		"SELECT 'PG Version', split_part(current_setting('server_version'), ' ', 1);\n"
		"SELECT 'Data Size', pg_size_pretty(pg_database_size(current_database())) || '/%d MB';\n"
		"SELECT 'Tables', count(*) FROM pg_stat_user_tables;\n"
		"SELECT 'Continuous Protection', 'Off';\n", a->plan->connections, a->plan->mib);
	return act_start(t, err);
}

static int postgres_backup(struct platform *p, const struct addon *a, const char *path, addon_fn done, void *arg, struct err *err)
{
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .what = ACT_DUMP, .database = xstrdup(data(a, "database")), .path = xstrdup(path), .done = done, .arg = arg };
	return act_start(t, err);
}

static int postgres_restore(struct platform *p, const struct addon *a, const char *path, addon_fn done, void *arg, struct err *err)
{
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .what = ACT_RESTORE, .database = xstrdup(data(a, "database")), .script = xstrdup(data(a, "user")), .path = xstrdup(path), .done = done, .arg = arg };
	return act_start(t, err);
}

static int postgres_reset(struct platform *p, const struct addon *a, addon_fn done, void *arg, struct err *err)
{
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .what = ACT_SQL, .done = done, .arg = arg };
	t->script = xasprintf("DROP DATABASE IF EXISTS %s WITH (FORCE);\nCREATE DATABASE %s OWNER %s;\nREVOKE ALL ON DATABASE %s FROM PUBLIC;\nGRANT CONNECT, TEMPORARY, CREATE ON DATABASE %s TO %s;\n",
			      data(a, "database"), data(a, "database"), data(a, "user"), data(a, "database"), data(a, "database"), data(a, "user"));
	return act_start(t, err);
}

static int postgres_deprovision(struct platform *p, const struct addon *a, addon_fn done, void *arg, struct err *err)
{
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .what = ACT_SQL, .done = done, .arg = arg };
	t->script = xasprintf("DROP DATABASE IF EXISTS %s WITH (FORCE);\nDROP ROLE IF EXISTS %s;\n", data(a, "database"), data(a, "user"));
	return act_start(t, err);
}

static void postgres_hole(struct platform *p, const struct addon *a, char ret[32])
{
	char ip[16];
	(void)a;
	addon_address(p, ip);
	snprintf(ret, 32, "%s:%d", ip, cluster.port);
}

static void on_up(void *arg, int rc, const char *why)
{
	(void)arg;
	(void)rc;
	(void)why;                        /* on_started has logged it */
}

/* after a restart of the machine it is started; one that runs is found */
static int postgres_start(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *kept = NULL;
	cluster = (struct cluster){ .p = p };
	int rc = platform_get(p, "postgres_port", &kept, err);
	if (rc < 0 || !kept || !p->helper)
		return rc;
	return cluster_need(p, on_up, NULL, err);
}

const struct provider provider_postgres = {
	.name = "postgres", .start = postgres_start, .provision = postgres_provision, .change = postgres_change, .info = postgres_info, .backup = postgres_backup, .restore = postgres_restore,
	.reset = postgres_reset, .deprovision = postgres_deprovision, .hole = postgres_hole,
};
