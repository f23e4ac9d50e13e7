/* data: what pg:* and redis:* ask, which is not in the Platform API's schema. */
#include "platform/addons.h"
#include "platform/files.h"
#include "platform/heroku/heroku.h"
#include <string.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct asking { struct later *later; struct addon a; };

static int begin(struct hcall *c, const char *provider, struct asking **ret, struct err *err)
{
	struct asking *k = xcalloc(1, sizeof *k);
	int rc = call_addon(c, NULL, c->arg[0], &k->a, err);
	if (rc == 0 && !streq(k->a.service->provider->name, provider))
		rc = not_found(c, err, "add-on");
	if (rc == 0 && !streq(k->a.state, "provisioned"))
		rc = err_set(err, E_CONFLICT, "%s is not ready: it is %s", k->a.name, k->a.state);
	if (rc < 0) {
		addon_clear(&k->a);
		free(k);
		return rc;
	}
	k->later = call_later(c);
	*ret = k;
	return 0;
}

static void asking_free(struct asking *k)
{
	addon_clear(&k->a);
	free(k);
}

/* what an act began with begin() ends with when it could not start */
static int not_begun(struct asking *k, int rc)
{
	if (rc == 0)
		return CALL_LATER;
	call_resume(k->later);
	asking_free(k);
	return rc;
}

/* ---- information ---- */

static void write_info(struct hcall *c, const struct addon *a, const json_t *rows)
{
	struct json_writer *w = &c->w;
	jw_object(w);
	write_uuid(w, "addon_id", &a->id);
	jw_kstr(w, "name", a->name);
	jw_kstr(w, "plan", a->plan->name);
	jw_ktime(w, "created_at", a->created_at);
	jw_kstr(w, "resource_url", jg_str(a->config, "URL", ""));
	jw_kstr(w, "database_name", jg_str(a->data, "database", NULL));
	jw_kstr(w, "database_user", jg_str(a->data, "user", NULL));
	jw_kbool(w, "standalone", true);
	jw_kbool(w, "waiting?", false);
	jw_knull(w, "forked_from");
	jw_knull(w, "following");
	jw_kint(w, "port", jg_int(a->data, "port", 0));
	jw_kbool(w, "prefer_native_tls", false);
	jw_key(w, "info");
	jw_json(w, rows);
	jw_end_object(w);
}

static void on_info(void *arg, int rc, const char *why, json_t *rows)
{
	struct asking *k = arg;
	CLEANUP(err_clear) struct err err = {0};
	struct hcall *c = call_resume(k->later);
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	if (c && rc == 0)
		write_info(c, &k->a, rows);
	if (c)
		call_finish(c, rc, &err);
	asking_free(k);
}

static int info(struct hcall *c, const char *provider, struct err *err)
{
	struct asking *k;
	int rc = begin(c, provider, &k, err);
	return rc < 0 ? rc : not_begun(k, k->a.service->provider->info(c->p, &k->a, on_info, k, err));
}

int pg_info(struct hcall *c, struct err *err)
{
	return info(c, "postgres", err);
}

int redis_info_call(struct hcall *c, struct err *err)
{
	return info(c, "redis", err);
}

int pg_wait_status(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	int rc = call_addon(c, NULL, c->arg[0], &a, err);
	if (rc < 0)
		return rc;
	jw_object(&c->w);
	jw_kbool(&c->w, "waiting?", !streq(a.state, "provisioned"));
	jw_kstr(&c->w, "message", streq(a.state, "provisioned") ? "available" : a.state);
	jw_end_object(&c->w);
	return 0;
}

/* ---- credentials ---- */

static void write_credential(struct hcall *c, const struct addon *a)
{
	struct json_writer *w = &c->w;
	struct uuid id;
	char host[64] = "";
	int64_t port = 0;
	const char *url = jg_str(a->config, "URL", ""), *at = strrchr(url, '@');
	named_uuid("credential", a->name, &id);
	if (at)
		snprintf(host, sizeof host, "%.*s", (int)strcspn(at + 1, ":/"), at + 1);
	if (at && strchr(at, ':'))
		port = strtol(strchr(at, ':') + 1, NULL, 10);
	jw_object(w);
	write_uuid(w, "uuid", &id);
	jw_kstr(w, "name", "default");
	jw_kstr(w, "state", "active");
	jw_kstr(w, "type", "default");
	jw_kstr(w, "database", jg_str(a->data, "database", ""));
	jw_kstr(w, "host", host);
	jw_kint(w, "port", port);
	jw_key(w, "credentials");
	jw_array(w);
	jw_object(w);
	jw_kstr(w, "user", jg_str(a->data, "user", ""));
	jw_kstr(w, "password", jg_str(a->data, "password", ""));
	jw_kstr(w, "state", "active");
	jw_end_object(w);
	jw_end_array(w);
	jw_end_object(w);
}

static int credentials(struct hcall *c, bool one, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	int rc = call_addon(c, NULL, c->arg[0], &a, err);
	if (rc < 0)
		return rc;
	if (!streq(a.service->provider->name, "postgres") || (one && !streq(c->arg[1], "default")))
		return not_found(c, err, "credential");
	if (!one)
		jw_array(&c->w);
	write_credential(c, &a);
	if (!one)
		jw_end_array(&c->w);
	return 0;
}

int pg_credentials(struct hcall *c, struct err *err)
{
	return credentials(c, false, err);
}

int pg_credential(struct hcall *c, struct err *err)
{
	return credentials(c, true, err);
}

int pg_schedules(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	int rc = call_addon(c, NULL, c->arg[0], &a, err);
	jw_array(&c->w);
	jw_end_array(&c->w);
	return rc;
}

/* ---- reset ---- */

static void on_reset(void *arg, int rc, const char *why)
{
	struct asking *k = arg;
	CLEANUP(err_clear) struct err err = {0};
	struct hcall *c = call_resume(k->later);
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	if (c && rc == 0)
		rc = platform_audit(c->p, c->who.email, k->a.app, "pg.reset", &err, "%s", k->a.name);
	if (c && rc == 0) {
		jw_object(&c->w);
		jw_kstr(&c->w, "message", "Reset successful");
		jw_end_object(&c->w);
	}
	if (c)
		call_finish(c, rc, &err);
	asking_free(k);
}

int pg_reset(struct hcall *c, struct err *err)
{
	struct asking *k;
	int rc = begin(c, "postgres", &k, err);
	return rc < 0 ? rc : not_begun(k, k->a.service->provider->reset(c->p, &k->a, on_reset, k, err));
}

/* ---- backups and restores: rows that go on when the client leaves ---- */

static void write_transfer(struct hcall *c, const struct rows *r)
{
	struct json_writer *w = &c->w;
	struct uuid id;
	bool backup = streq(row_text(r, 4), "backup");
	char name[24], text[37], key[65], base[300];
	row_uuid(r, 0, &id);
	uuid_format(&id, text);
	url_secret(c->p, "backup", text, key);
	CLEANUP(freep) char *url = xasprintf("%s/streams/backups/%s?key=%s", platform_url(c->p, base), text, key);
	snprintf(name, sizeof name, "b%03lld", (long long)row_int(r, 3));
	jw_object(w);
	write_uuid(w, "uuid", &id);
	jw_kint(w, "num", row_int(r, 3));
	jw_kstr(w, "name", name);
	jw_kstr(w, "from_type", backup ? "pg_dump" : "gof3r");
	jw_kstr(w, "from_name", row_text(r, 5));
	jw_kstr(w, "to_type", backup ? "gof3r" : "pg_restore");
	jw_kstr(w, "to_name", row_text(r, 6));
	jw_kstr(w, "to_url", backup && !row_null(r, 8) ? url : NULL);
	jw_key(w, "options");
	jw_object(w);
	jw_end_object(w);
	jw_ktime(w, "created_at", row_time(r, 12));
	jw_ktime(w, "started_at", row_time(r, 13));
	jw_ktime(w, "finished_at", row_time(r, 14));
	jw_knull(w, "canceled_at");
	jw_ktime(w, "updated_at", row_time(r, 14));
	jw_key(w, "succeeded");
	if (row_null(r, 11))
		jw_null(w);
	else
		jw_bool(w, row_bool(r, 11));
	jw_kint(w, "processed_bytes", row_int(r, 9));
	jw_kint(w, "source_bytes", row_int(r, 9));
	jw_kint(w, "warnings", 0);
	jw_knull(w, "schedule");
	jw_key(w, "logs");
	jw_array(w);
	if (!row_null(r, 14)) {
		jw_object(w);
		jw_ktime(w, "created_at", row_time(r, 14));
		jw_kstr(w, "message", row_text(r, 10));
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
}

int pg_transfer_list(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(c->p->db, SQL_plat_transfer_list, &r, err, v_uuid(&c->app.id));
	jw_array(&c->w);
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		write_transfer(c, &r);
		rc = 0;
	}
	jw_end_array(&c->w);
	return rc;
}

static int find_transfer(struct hcall *c, const struct app *app, const char *text, struct rows *r, struct err *err)
{
	struct uuid id, of;
	int64_t num = 0;
	int rc = uuid_parse(text, &id) == 0 ? store_one(c->p->db, SQL_plat_transfer_by_id, r, err, v_uuid(&id)) :
		 str_to_int64(text + (*text == 'b'), &num) == 0 ? store_one(c->p->db, SQL_plat_transfer_by_num, r, err, v_uuid(&app->id), v_int(num)) : E_NOT_FOUND;
	if (rc == 0) {
		row_uuid(r, 1, &of);
		rc = uuid_eq(&of, &app->id) ? 0 : E_NOT_FOUND;
	}
	return rc == E_NOT_FOUND ? not_found(c, err, "backup") : rc;
}

int pg_transfer_info(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = find_transfer(c, &c->app, c->arg[1], &r, err);
	if (rc == 0)
		write_transfer(c, &r);
	return rc;
}

int pg_transfer_delete(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid id;
	int rc = find_transfer(c, &c->app, c->arg[1], &r, err);
	if (rc < 0)
		return rc;
	if (row_null(&r, 11))
		return err_set(err, E_CONFLICT, "That transfer is still running.");
	CLEANUP(freep) char *path = xstrdup(row_text(&r, 8));
	row_uuid(&r, 0, &id);
	write_transfer(c, &r);
	rows_close(&r);
	if (path && unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "removing %s", path);
	rc = store_run(c->p->db, SQL_plat_transfer_deleted, err, v_uuid(&id), v_int(loop_now()));
	return rc < 0 ? rc : platform_audit(c->p, c->who.email, c->app.name, "pg.backups.delete", err, "%s", c->arg[1]);
}

int pg_transfer_url(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	char id[37], key[65], base[300];
	struct uuid of;
	int rc = find_transfer(c, &c->app, c->arg[1], &r, err);
	if (rc == 0 && (row_null(&r, 8) || !row_bool(&r, 11) || !streq(row_text(&r, 4), "backup")))
		rc = not_found(c, err, "backup");
	if (rc < 0)
		return rc;
	row_uuid(&r, 0, &of);
	uuid_format(&of, id);
	url_secret(c->p, "backup", id, key);
	CLEANUP(freep) char *url = xasprintf("%s/streams/backups/%s?key=%s", platform_url(c->p, base), id, key);
	jw_object(&c->w);
	jw_kstr(&c->w, "url", url);
	jw_ktime(&c->w, "expires_at", loop_now() + 3600 * USEC_SEC);
	jw_end_object(&c->w);
	return 0;
}

struct transfer { struct platform *p; struct uuid id; struct addon a; char *path; bool backup; char who[255]; };

static void on_transferred(void *arg, int rc, const char *why)
{
	struct transfer *t = arg;
	struct stat st = {0};
	if (rc == 0 && t->backup && stat(t->path, &st) < 0)
		rc = E_SYSTEM;
	if (rc < 0 && t->backup)
		unlink(t->path);
	store_run(t->p->db, SQL_plat_transfer_done, NULL, v_uuid(&t->id), v_bool(rc == 0), v_int(loop_now()), v_int(st.st_size), v_text(*why ? why : rc == 0 ? "done" : "it failed"));
	platform_audit(t->p, t->who, t->a.app, t->backup ? "pg.backup" : "pg.restore", NULL, "%s: %s", t->a.name, rc == 0 ? "done" : "failed");
	addon_clear(&t->a);
	free(t->path);
	free(t);
}

/* the row first: what runs is seen from then on */
static int start_transfer(struct hcall *c, struct addon *a, bool backup, const char *from, int64_t source, const char *path, struct err *err)
{
	struct transfer *t = xcalloc(1, sizeof *t);
	int64_t num = 0;
	*t = (struct transfer){ .p = c->p, .backup = backup };
	snprintf(t->who, sizeof t->who, "%s", c->who.email);
	uuid_new(&t->id);
	int rc = store_get_int(c->p->db, SQL_plat_transfer_next, 1, &num, err, v_uuid(&a->app_id));
	if (rc == 0 && backup && (rc = platform_mkdir(c->p, "backups", 0700, err)) == 0)
		t->path = platform_path(c->p, "backups/%lld-%lld.dump", (long long)a->number, (long long)num);
	else if (rc == 0)
		t->path = xstrdup(path);
	if (rc == 0)
		rc = store_run(c->p->db, SQL_plat_transfer_add, err, v_uuid(&t->id), v_uuid(&a->app_id), v_uuid(&a->id), v_int(num), v_text(backup ? "backup" : "restore"), v_text(from),
			       v_text(backup ? "BACKUP" : a->name), source ? v_int(source) : v_null(), v_text(backup ? t->path : NULL), v_int(loop_now()));
	CLEANUP(rows_close) struct rows r = {0};
	if (rc == 0)
		rc = store_one(c->p->db, SQL_plat_transfer_by_id, &r, err, v_uuid(&t->id));
	if (rc == 0)
		write_transfer(c, &r);
	rows_close(&r);
	t->a = *a;
	*a = (struct addon){0};
	if (rc == 0) {
		struct uuid id = t->id;
		rc = backup ? t->a.service->provider->backup(c->p, &t->a, t->path, on_transferred, t, err) : t->a.service->provider->restore(c->p, &t->a, t->path, on_transferred, t, err);
		if (rc == 0)
			return 0;
		store_run(c->p->db, SQL_plat_transfer_done, NULL, v_uuid(&id), v_bool(false), v_int(loop_now()), v_int(0), v_text(err_text(err)));
	}
	addon_clear(&t->a);
	free(t->path);
	free(t);
	return rc;
}

static int own_database(struct hcall *c, struct addon *ret, struct err *err)
{
	int rc = call_addon(c, NULL, c->arg[0], ret, err);
	if (rc == 0 && !streq(ret->service->provider->name, "postgres"))
		rc = not_found(c, err, "add-on");
	return rc;
}

int pg_backup(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	CLEANUP(rows_close) struct rows r = {0};
	char from[64];
	int rc = own_database(c, &a, err);
	if (rc == 0)
		rc = store_query(c->p->db, SQL_plat_attachment_of_addon, &r, err, v_uuid(&a.id));
	if (rc == 0)
		rc = rows_next(&r, err);
	if (rc < 0)
		return rc;
	snprintf(from, sizeof from, "%s", rc > 0 ? row_text(&r, 4) : a.name);
	rows_close(&r);
	return start_transfer(c, &a, true, from, 0, NULL, err);
}

/* backup_url: a backup's public URL of ours, or what pg:backups:restore makes of b001. Nothing is fetched from elsewhere */
int pg_restore(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	CLEANUP(rows_close) struct rows r = {0};
	const char *url = body_str(c, "backup_url"), *at = url ? strstr(url, "/streams/backups/") : NULL;
	char text[37] = "", from[24];
	struct uuid id;
	int rc = own_database(c, &a, err);
	if (rc < 0)
		return rc;
	if (at)
		snprintf(text, sizeof text, "%.36s", at + strlen("/streams/backups/"));
	const char *key = at ? strstr(at, "?key=") : NULL;
	if (!at || uuid_parse(text, &id) < 0 || !url_secret_good(c->p, "backup", text, key ? key + 5 : NULL))
		return bad_params(c, err, "backup_url: only backups of this platform can be restored (heroku pg:backups lists them); for a file of yours use pg_restore with `heroku pg:credentials:url`");
	rc = store_one(c->p->db, SQL_plat_transfer_by_id, &r, err, v_uuid(&id));
	if (rc == E_NOT_FOUND || (rc == 0 && row_null(&r, 8)))
		return not_found(c, err, "backup");
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *path = xstrdup(row_text(&r, 8));
	int64_t num = row_int(&r, 3);
	rows_close(&r);
	snprintf(from, sizeof from, "b%03lld", (long long)num);
	return start_transfer(c, &a, false, from, num, path, err);
}
