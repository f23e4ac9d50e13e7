/* builds: what was built of an app, a build of a tarball, its end before its time, the packs' cache. */
#include "platform/builds.h"
#include "platform/helper.h"
#include "platform/heroku/heroku.h"
#include <string.h>

static void write_packs(struct json_writer *w, const char *text, size_t n)
{
	CLEANUP(json_decrefp) json_t *packs = NULL;
	jw_key(w, "buildpacks");
	jw_array(w);
	if (json_read(text, n, &packs, NULL) == 0)
		for (size_t i = 0; i < json_array_size(packs); i++) {
			const char *url = json_string_value(json_array_get(packs, i));
			jw_object(w);
			jw_kstr(w, "url", url);
			jw_kstr(w, "name", url && str_starts(url, "urn:buildpack:") ? url + 14 : url);
			jw_end_object(w);
		}
	jw_end_array(w);
}

/* a push has no URL of a tarball: its commit is the version, as on Heroku */
static void write_source(struct json_writer *w, const char *text, size_t n)
{
	CLEANUP(json_decrefp) json_t *source = NULL;
	if (json_read(text, n, &source, NULL) < 0)
		source = json_object();
	jw_key(w, "source_blob");
	jw_object(w);
	jw_knull(w, "checksum");
	jw_kstr(w, "url", jg_str(source, "url", ""));
	jw_kstr(w, "version", jg_str(source, "commit", jg_str(source, "version", NULL)));
	jw_knull(w, "version_description");
	jw_end_object(w);
}

static void write_maybe(struct json_writer *w, const char *key, const struct rows *r, int col)
{
	struct uuid id;
	jw_key(w, key);
	if (row_null(r, col)) {
		jw_null(w);
		return;
	}
	row_uuid(r, col, &id);
	jw_object(w);
	write_uuid(w, "id", &id);
	jw_end_object(w);
}

/* columns of builds.sql */
static void write_build(struct hcall *c, const struct rows *r)
{
	struct json_writer *w = &c->w;
	struct uuid id, user;
	char text[37], secret[65], at[300];
	const char *status = row_text(r, 7);
	row_uuid(r, 0, &id);
	row_uuid(r, 2, &user);
	uuid_format(&id, text);
	url_secret(c->p, "build", text, secret);
	CLEANUP(freep) char *url = xasprintf("%s/build-output/%s/%s", platform_url(c->p, at), text, secret);
	jw_object(w);
	write_app_ref(w, &c->app);
	write_packs(w, row_text(r, 5), row_size(r, 5));
	jw_ktime(w, "created_at", row_time(r, 11));
	jw_kstr(w, "id", text);
	jw_kstr(w, "output_stream_url", url);
	write_source(w, row_text(r, 4), row_size(r, 4));
	write_maybe(w, "release", r, 9);
	write_maybe(w, "slug", r, 8);
	jw_kstr(w, "stack", row_text(r, 6));
	jw_kstr(w, "status", streq(status, "queued") ? "pending" : status);
	jw_ktime(w, "updated_at", row_time(r, 12));
	write_user(w, &user, row_null(r, 3) ? "platform@localhost" : row_text(r, 3));
	jw_end_object(w);
}

static int one_build(struct hcall *c, const struct uuid *id, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid app = {0};
	int rc = store_one(c->p->db, SQL_plat_build_by_id, &r, err, v_uuid(id));
	if (rc == 0)
		row_uuid(&r, 1, &app);
	if (rc == E_NOT_FOUND || (rc == 0 && !uuid_eq(&app, &c->app.id)))
		return not_found(c, err, "build");
	if (rc == 0)
		write_build(c, &r);
	return rc;
}

int build_list(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	list_begin(c, "started_at");
	int rc = store_query(c->p->db, SQL_plat_build_of_app, &r, err, v_uuid(&c->app.id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		list_item_number(c, &id, row_int(&r, 11));
		write_build(c, &r);
		rc = 0;
	}
	return rc;
}

int build_info(struct hcall *c, struct err *err)
{
	struct uuid id;
	return uuid_parse(c->arg[1], &id) < 0 ? not_found(c, err, "build") : one_build(c, &id, err);
}

int build_create(struct hcall *c, struct err *err)
{
	const json_t *source = c->body ? jg(c->body, "source_blob") : NULL;
	const char *url = source ? jg_str(source, "url", NULL) : NULL;
	struct uuid id;
	if (!url || !str_starts(url, "https://") || strlen(url) > 4000 || strpbrk(url, "\n\r \"'\\"))
		return bad_params(c, err, "source_blob.url is the https:// address of a tar.gz archive");
	const struct build_request rq = { .app = &c->app, .user = &c->who, .url = url, .version = jg_str(source, "version", "") };
	int rc = build_start(c->p, &rq, NULL, NULL, &id, err);
	c->status = 201;
	return rc < 0 ? rc : one_build(c, &id, err);
}

int build_cancel_call(struct hcall *c, struct err *err)
{
	struct uuid id;
	if (uuid_parse(c->arg[1], &id) < 0)
		return not_found(c, err, "build");
	int rc = one_build(c, &id, err);
	if (rc < 0)
		return rc;
	if (build_cancel(c->p, &id, err) < 0) {
		CLEANUP(freep) char *why = xstrdup(err_text(err));
		return bad_params(c, err, "%s", why);
	}
	return platform_audit(c->p, c->who.email, c->app.name, "build.cancel", err, "%s", c->arg[1]);
}

static void on_cache_removed(void *arg, int code, const json_t *result, const struct err *e)
{
	struct hcall *c = call_resume(arg);
	(void)result;
	if (c)
		call_finish(c, code, e);
}

int build_cache_delete(struct hcall *c, struct err *err)
{
	char id[37];
	if (!c->p->helper)
		return err_set(err, E_UNSUPPORTED, "This platform was not started as root: it builds nothing, and keeps no cache.");
	int rc = platform_audit(c->p, c->who.email, c->app.name, "build-cache.delete", err, "%s", "");
	if (rc < 0)
		return rc;
	uuid_format(&c->app.id, id);
	jw_object(&c->w);
	jw_end_object(&c->w);
	helper_call(c->p->helper, HELPER_cache_remove, json_pack("{s:s}", "app", id), NULL, 0, on_cache_removed, call_later(c));
	return CALL_LATER;
}
