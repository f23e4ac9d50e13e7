/* releases: releases, slugs, formation, dynos as they stand in the store. */
#include "platform/releases.h"
#include "platform/heroku/heroku.h"
#include "platform/sizes.h"
#include <string.h>

struct writing { struct hcall *c; int64_t current; bool in_list; };

static bool can_go_back(const struct release *r)
{
	return !r->current && streq(r->status, "succeeded") && !uuid_is_zero(&r->slug_id);
}

static void write_output_url(struct hcall *c, const struct release *r)
{
	char id[37], secret[65], base[300];
	CLEANUP(freep) char *url = NULL;
	uuid_format(&r->id, id);
	url_secret(c->p, "release", id, secret);
	url = xasprintf("%s/streams/releases/%s?key=%s", platform_url(c->p, base), id, secret);
	jw_kstr(&c->w, "output_stream_url", r->has_output ? url : NULL);
}

static void write_release(struct hcall *c, const struct release *r, const char *plans)
{
	struct json_writer *w = &c->w;
	jw_object(w);
	jw_key(w, "addon_plan_names");
	jw_raw(w, plans, strlen(plans));
	write_app_ref(w, &c->app);
	jw_key(w, "artifacts");
	jw_array(w);
	jw_end_array(w);
	jw_ktime(w, "created_at", r->created_at);
	jw_kbool(w, "current", r->current);
	jw_kstr(w, "description", r->description);
	jw_kbool(w, "eligible_for_rollback", can_go_back(r));
	write_uuid(w, "id", &r->id);
	write_output_url(c, r);
	jw_knull(w, "pipeline_promotion");
	jw_key(w, "slug");
	if (uuid_is_zero(&r->slug_id)) {
		jw_null(w);
	} else {
		jw_object(w);
		write_uuid(w, "id", &r->slug_id);
		jw_end_object(w);
	}
	jw_kstr(w, "status", r->status);
	jw_ktime(w, "updated_at", r->updated_at);
	write_user(w, &r->user_id, r->user[0] ? r->user : "platform@localhost");
	jw_kint(w, "version", r->version);
	jw_end_object(w);
}

static int list_release(void *arg, const struct release *r, const char *plans, struct err *err)
{
	struct hcall *c = arg;
	(void)err;
	list_item_number(c, &r->id, r->version);
	write_release(c, r, plans);
	return 0;
}

int release_list(struct hcall *c, struct err *err)
{
	list_begin(c, "version");
	return releases_each(c->p, &c->app, list_release, c, err);
}

struct one { struct hcall *c; struct uuid id; };

static int write_if_it(void *arg, const struct release *r, const char *plans, struct err *err)
{
	struct one *o = arg;
	(void)err;
	if (uuid_eq(&r->id, &o->id))
		write_release(o->c, r, plans);
	return 0;
}

static int write_by_id(struct hcall *c, const struct uuid *id, struct err *err)
{
	struct one o = { c, *id };
	return releases_each(c->p, &c->app, write_if_it, &o, err);
}

static int find(struct hcall *c, const char *what, struct release *ret, struct err *err)
{
	int rc = release_find(c->p, &c->app, what, ret, err);
	return rc == E_NOT_FOUND ? not_found(c, err, "release") : rc;
}

int release_info(struct hcall *c, struct err *err)
{
	struct release r;
	int rc = find(c, c->arg[1], &r, err);
	return rc < 0 ? rc : write_by_id(c, &r.id, err);
}

int release_config_vars(struct hcall *c, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	struct release r;
	int rc = find(c, c->arg[1], &r, err);
	if (rc == 0)
		rc = release_config(c->p, &r, &config, err);
	if (rc == 0)
		jw_json(&c->w, config);
	return rc;
}

static int post_slug(struct hcall *c, const char *slug, struct release *made, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid id, app = {0};
	char description[60];
	if (uuid_parse(slug, &id) < 0 || store_one(c->p->db, SQL_plat_slug_get, &r, err, v_uuid(&id)) < 0)
		return not_found(c, err, "slug");
	row_uuid(&r, 1, &app);
	if (!uuid_eq(&app, &c->app.id))
		return not_found(c, err, "slug");
	if (row_null(&r, 9))
		return bad_params(c, err, "That slug was removed by retention: deploy its commit again.");
	snprintf(description, sizeof description, "Deploy %.7s", row_null(&r, 2) ? slug : row_text(&r, 2));
	rows_close(&r);
	const char *given = body_str(c, "description");
	const struct release_request rq = { .app = &c->app, .slug = &id, .description = given && strlen(given) < 190 ? given : description, .user = &c->who };
	return release_create(c->p, &rq, made, NULL, NULL, err);
}

int release_post(struct hcall *c, struct err *err)
{
	const char *back = body_str(c, "release"), *slug = body_str(c, "slug");
	struct release made, to;
	int rc;
	if (!back == !slug)
		return bad_params(c, err, "name either the release to go back to, or the slug to release");
	if (slug) {
		rc = post_slug(c, slug, &made, err);
	} else {
		rc = find(c, back, &to, err);
		if (rc == 0)
			rc = release_rollback(c->p, &c->app, &to, &c->who, &made, err);
	}
	if (rc == 0)
		rc = write_by_id(c, &made.id, err);
	c->status = 201;
	return rc;
}

int slug_info(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid id, app = {0};
	struct json_writer *w = &c->w;
	if (uuid_parse(c->arg[1], &id) < 0)
		return not_found(c, err, "slug");
	int rc = store_one(c->p->db, SQL_plat_slug_get, &r, err, v_uuid(&id));
	if (rc == 0)
		row_uuid(&r, 1, &app);
	if (rc == E_NOT_FOUND || (rc == 0 && !uuid_eq(&app, &c->app.id)))
		return not_found(c, err, "slug");
	if (rc < 0)
		return rc;
	jw_object(w);
	jw_kstr(w, "buildpack_provided_description", row_text(&r, 6));
	jw_kstr(w, "checksum", row_text(&r, 8));
	jw_kstr(w, "commit", row_text(&r, 2));
	jw_kstr(w, "commit_description", row_text(&r, 3));
	jw_ktime(w, "created_at", row_time(&r, 10));
	write_uuid(w, "id", &id);
	jw_key(w, "process_types");
	jw_raw(w, row_text(&r, 5), row_size(&r, 5));
	jw_kint(w, "size", row_int(&r, 7));
	write_named(w, "stack", "stack", row_text(&r, 4));
	jw_ktime(w, "updated_at", row_time(&r, 11));
	jw_end_object(w);
	return 0;
}

/* ---- formation ---- */

static void write_formation(struct hcall *c, const struct rows *r)
{
	struct json_writer *w = &c->w;
	struct uuid id;
	row_uuid(r, 0, &id);
	jw_object(w);
	write_app_ref(w, &c->app);
	jw_kstr(w, "command", row_text(r, 2));
	jw_ktime(w, "created_at", row_time(r, 5));
	write_named(w, "dyno_size", "size", row_text(r, 4));
	write_uuid(w, "id", &id);
	jw_kint(w, "quantity", row_int(r, 3));
	jw_kstr(w, "size", row_text(r, 4));
	jw_kstr(w, "type", row_text(r, 1));
	jw_ktime(w, "updated_at", row_time(r, 6));
	jw_end_object(w);
}

int formation_list(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	list_begin(c, "type");
	int rc = store_query(c->p->db, SQL_plat_formation_list, &r, err, v_uuid(&c->app.id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		list_item(c, &id, row_text(&r, 1));
		write_formation(c, &r);
		rc = 0;
	}
	return rc;
}

static int no_such_type(struct hcall *c, const char *type, struct err *err)
{
	(void)c;
	c->resource = "formation";
	return err_set(err, E_NOT_FOUND, "Couldn't find that process type (%s).", type);
}

static int find_type(struct hcall *c, const char *type, struct rows *r, struct err *err)
{
	int rc = store_one(c->p->db, SQL_plat_formation_get, r, err, v_uuid(&c->app.id), v_text(type));
	return rc == E_NOT_FOUND ? no_such_type(c, type, err) : rc;
}

int formation_info(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = find_type(c, c->arg[1], &r, err);
	if (rc == 0)
		write_formation(c, &r);
	return rc;
}

#define DYNOS_MOST 100                           /* of one type */

/* the CLI sends quantities as text, and "+1" */
static int read_quantity(struct hcall *c, const json_t *v, int64_t now, int64_t *ret, struct err *err)
{
	int64_t n = now;
	const char *text = json_string_value(v);
	bool good = !v || (json_is_integer(v) && (n = json_integer_value(v), true)) ||
		    (text && str_to_int64(text + (*text == '+'), &n) == 0);
	if (good && text && (*text == '+' || *text == '-'))
		n += now;
	if (!good || n < 0 || n > DYNOS_MOST)
		return bad_params(c, err, "quantity is a number from 0 to %d", DYNOS_MOST);
	*ret = n;
	return 0;
}

static int scale(struct hcall *c, const char *type, const json_t *wish, struct buf *said, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	const char *wanted = body_named(jg(wish, "size") ? jg(wish, "size") : jg(wish, "dyno_size"));
	const struct dyno_size *size = wanted ? dyno_size_find(wanted) : NULL;
	int64_t quantity = 0;
	if (wanted && !size)
		return bad_params(c, err, "No such size as %s. There are: Basic, Eco, Standard-1X, Standard-2X, Performance-M, Performance-L.", wanted);
	int rc = find_type(c, type, &r, err);
	if (rc == 0)
		rc = read_quantity(c, jg(wish, "quantity"), row_int(&r, 3), &quantity, err);
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *name = xstrdup(size ? size->name : row_text(&r, 4));
	rows_close(&r);
	buf_printf(said, "%s%s=%lld:%s", said->len ? " " : "", type, (long long)quantity, name);
	return store_run(c->p->db, SQL_plat_formation_scale, err, v_uuid(&c->app.id), v_text(type), v_int(quantity), v_text(name), v_int(loop_now()));
}

/* one or several in one transaction, then the dynos follow */
static int scale_all(struct hcall *c, const json_t *updates, struct err *err)
{
	CLEANUP(buf_clear) struct buf said = {0};
	json_t *one;
	size_t i;
	int rc = store_begin(c->p->db, err);
	if (rc < 0)
		return rc;
	json_array_foreach(updates, i, one) {
		const char *type = jg_str(one, "type", NULL);
		if (rc == 0)
			rc = type ? scale(c, type, one, &said, err) : bad_params(c, err, "type: of which process type?");
	}
	if (rc == 0)
		rc = platform_audit(c->p, c->who.email, c->app.name, "scale", err, "%s", said.len ? said.data : "");
	if (rc == 0)
		rc = store_commit(c->p->db, err);
	if (rc < 0) {
		store_rollback(c->p->db);
		return rc;
	}
	if (c->p->formation_sync)
		c->p->formation_sync(c->p, &c->app);
	return 0;
}

int formation_batch(struct hcall *c, struct err *err)
{
	const json_t *updates = c->body ? jg(c->body, "updates") : NULL;
	if (!json_is_array(updates))
		return bad_params(c, err, "updates is a list of {type, quantity, size}");
	int rc = scale_all(c, updates, err);
	return rc < 0 ? rc : formation_list(c, err);
}

int formation_update(struct hcall *c, struct err *err)
{
	CLEANUP(json_decrefp) json_t *updates = json_array();
	json_t *one = c->body ? json_copy(c->body) : json_object();
	json_object_set_new(one, "type", json_string(c->arg[1]));
	json_array_append_new(updates, one);
	int rc = scale_all(c, updates, err);
	return rc < 0 ? rc : formation_info(c, err);
}

/* ---- dynos as they stand in the store ---- */

static void write_dyno(struct hcall *c, const struct rows *r)
{
	struct json_writer *w = &c->w;
	struct uuid id, release;
	row_uuid(r, 0, &id);
	row_uuid(r, 1, &release);
	jw_object(w);
	jw_knull(w, "attach_url");
	write_app_ref(w, &c->app);
	jw_kstr(w, "command", row_text(r, 5));
	jw_ktime(w, "created_at", row_time(r, 9));
	write_uuid(w, "id", &id);
	jw_kstr(w, "name", row_text(r, 3));
	jw_key(w, "release");
	jw_object(w);
	write_uuid(w, "id", &release);
	jw_kint(w, "version", row_int(r, 2));
	jw_end_object(w);
	jw_kstr(w, "size", row_text(r, 6));
	jw_kstr(w, "state", row_text(r, 7));
	jw_kstr(w, "type", row_text(r, 4));
	jw_ktime(w, "updated_at", row_time(r, 10));
	jw_end_object(w);
}

int dyno_list(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	list_begin(c, "name");
	int rc = store_query(c->p->db, SQL_plat_dyno_list, &r, err, v_uuid(&c->app.id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		list_item(c, &id, row_text(&r, 3));
		write_dyno(c, &r);
		rc = 0;
	}
	return rc;
}

int dyno_info(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	bool found = false;
	int rc = store_query(c->p->db, SQL_plat_dyno_list, &r, err, v_uuid(&c->app.id));
	while (rc == 0 && !found && (rc = rows_next(&r, err)) > 0) {
		struct uuid id, asked;
		row_uuid(&r, 0, &id);
		found = streq(row_text(&r, 3), c->arg[1]) || (uuid_parse(c->arg[1], &asked) == 0 && uuid_eq(&id, &asked));
		if (found)
			write_dyno(c, &r);
		rc = 0;
	}
	return rc == 0 && !found ? not_found(c, err, "dyno") : rc;
}
