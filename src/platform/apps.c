/* apps: rows of apps and their config vars. */
#include "platform/apps.h"
#include <stdlib.h>
#include <string.h>

#define CONFIG_MOST (32 * 1024)                  /* bytes of an app's config vars, as on Heroku */

static void copy_text(char *to, size_t n, const char *from)
{
	snprintf(to, n, "%s", from ? from : "");
}

static void read_app(const struct rows *r, struct app *ret)
{
	*ret = (struct app){ .maintenance = row_bool(r, 7), .slug_size = row_int(r, 9), .repo_size = row_int(r, 10), .created_at = row_time(r, 11),
			     .updated_at = row_time(r, 12), .released_at = row_time(r, 13), .number = row_int(r, 14) };
	row_uuid(r, 0, &ret->id);
	row_uuid(r, 2, &ret->owner_id);
	copy_text(ret->name, sizeof ret->name, row_text(r, 1));
	copy_text(ret->owner, sizeof ret->owner, row_text(r, 3));
	copy_text(ret->region, sizeof ret->region, row_text(r, 4));
	copy_text(ret->stack, sizeof ret->stack, row_text(r, 5));
	copy_text(ret->build_stack, sizeof ret->build_stack, row_text(r, 6));
	copy_text(ret->buildpack, sizeof ret->buildpack, row_text(r, 8));
}

int app_by_id(struct platform *p, const struct uuid *id, struct app *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(p->db, SQL_plat_app_by_id, &r, err, v_uuid(id));
	if (rc == 0)
		read_app(&r, ret);
	return rc == E_NOT_FOUND ? err_set(err, rc, "Couldn't find that app.") : rc;
}

int app_find(struct platform *p, const char *name_or_id, struct app *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid id;
	if (uuid_parse(name_or_id, &id) == 0)
		return app_by_id(p, &id, ret, err);
	int rc = store_one(p->db, SQL_plat_app_by_name, &r, err, v_text(name_or_id));
	if (rc == 0)
		read_app(&r, ret);
	return rc == E_NOT_FOUND ? err_set(err, rc, "Couldn't find that app.") : rc;
}

bool app_is_owner(const struct app *a, const struct account *who)
{
	return uuid_eq(&a->owner_id, &who->id);
}

int app_for(struct platform *p, const struct account *who, const char *name_or_id, struct app *ret, struct err *err)
{
	struct app a;
	int64_t may = 0;
	int rc = app_find(p, name_or_id, &a, err);
	if (rc == 0)
		rc = store_get_int(p->db, SQL_plat_app_may, 0, &may, err, v_uuid(&a.id), v_uuid(&who->id));
	if (rc < 0)
		return rc;
	if (!may)
		return err_set(err, E_NOT_FOUND, "Couldn't find that app.");
	*ret = a;
	return 0;
}

int apps_each(struct platform *p, const struct account *who, app_fn fn, void *arg, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = who ? store_query(p->db, SQL_plat_app_list, &r, err, v_uuid(&who->id)) : store_query_values(p->db, SQL_plat_app_every, NULL, 0, &r, err);
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct app a;
		read_app(&r, &a);
		rc = fn(arg, &a, err);
	}
	return rc;
}

/* ---- making, renaming, ending ---- */

static int check_name(const char *name, struct err *err)
{
	if (app_name_valid(name))
		return 0;
	return err_set(err, E_INVALID, strlen(name) > 30 ? "Name is too long (maximum is 30 characters)" : strlen(name) < 3 ? "Name is too short (minimum is 3 characters)" :
		"Name must start with a letter, end with a letter or digit and can only contain lowercase letters, digits, and dashes.");
}

static int insert_app(struct platform *p, const struct account *who, const char *name, const char *stack, struct uuid *ret_id, struct err *err)
{
	CLEANUP(json_decrefp) json_t *none = json_object();
	CLEANUP(freep) char *config = platform_seal(p, none);
	int64_t number;
	uuid_new(ret_id);
	int rc = platform_count(p, "app", &number, err);
	if (rc == 0)
		rc = store_run(p->db, SQL_plat_app_add, err, v_uuid(ret_id), v_text(name), v_uuid(&who->id), v_int(number), v_text("local"), v_text(stack), v_text(config),
			       v_int(loop_now()));
	return rc;
}

int app_create(struct platform *p, const struct account *who, const char *name, const char *stack, struct app *ret, struct err *err)
{
	char made[31];
	struct uuid id;
	int rc = name ? check_name(name, err) : 0;
	if (rc < 0)
		return rc;
	for (int i = 0; i < 20; i++) {                 /* a made-up name may be taken */
		if (!name)
			app_name_made_up(made);
		rc = insert_app(p, who, name ? name : made, stack ? stack : STACK_DEFAULT, &id, err);
		if (rc != E_EXISTS || name || store_in_transaction(p->db))
			break;
	}
	if (rc == E_EXISTS)
		return err_set(err, E_EXISTS, "Name %s is already taken", name ? name : made);
	return rc < 0 ? rc : app_by_id(p, &id, ret, err);
}

int app_rename(struct platform *p, const struct app *a, const char *name, struct err *err)
{
	int rc = check_name(name, err);
	if (rc < 0)
		return rc;
	rc = store_run(p->db, SQL_plat_app_rename, err, v_uuid(&a->id), v_text(name), v_int(loop_now()));
	return rc == E_EXISTS ? err_set(err, rc, "Name %s is already taken", name) : rc;
}

int app_destroy(struct platform *p, const struct app *a, struct err *err)
{
	static const enum sql_id rows[] = { SQL_plat_app_forget_transfers, SQL_plat_app_forget_attachments, SQL_plat_app_forget_domains, SQL_plat_app_forget_features, SQL_plat_app_forget_dynos,
		SQL_plat_app_forget_formation, SQL_plat_app_forget_releases, SQL_plat_app_forget_builds, SQL_plat_app_forget_slugs, SQL_plat_app_forget_collaborators,
		SQL_plat_app_forget_packs, SQL_plat_app_forget };
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++)
		rc = store_run(p->db, rows[i], err, v_uuid(&a->id));
	return rc;
}

char *app_web_url(const struct platform *p, const struct app *a)
{
	if (!p->o.http_port || p->o.http_port == 80)
		return xasprintf("http://%s.%s/", a->name, p->o.domain);
	return xasprintf("http://%s.%s:%d/", a->name, p->o.domain, p->o.http_port);
}

/* ---- config vars ---- */

int app_config(struct platform *p, const struct uuid *app, json_t **ret, struct err *err)
{
	CLEANUP(freep) char *sealed = NULL;
	int rc = store_get_text(p->db, SQL_plat_app_config_get, &sealed, err, v_uuid(app));
	return rc < 0 ? rc : platform_unseal(p, sealed, ret, err);
}

static int check_var(const char *name, const json_t *value, struct err *err)
{
	size_t n = strlen(name);
	bool letters = n && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == n && (name[0] < '0' || name[0] > '9');
	if (!letters || n > 255)
		return err_set(err, E_INVALID, "Config var name \"%.255s\" is not valid: it has letters, digits and underscores and does not begin with a digit", name);
	if (str_starts(name, "LD_PRELOAD") || streq(name, "PORT") || streq(name, "DYNO"))
		return err_set(err, E_INVALID, "%s is set by the platform and cannot be a config var", name);
	if (!json_is_string(value) && !json_is_null(value))
		return err_set(err, E_INVALID, "%s: the value of a config var is a string, or null to unset it", name);
	if (json_is_string(value) && strlen(json_string_value(value)) != json_string_length(value))
		return err_set(err, E_INVALID, "%s: the value of a config var has no NUL byte", name);
	return 0;
}

static void add_name(struct buf *names, const char *name)
{
	buf_printf(names, "%s%s", names->len ? ", " : "", name);
}

/* what differs afterwards */
static int merge(json_t *config, const json_t *changes, struct buf *changed, struct buf *gone, struct err *err)
{
	const char *name;
	json_t *value, *all = (json_t *)(uintptr_t)changes;
	json_object_foreach(all, name, value) {
		json_t *old = json_object_get(config, name);
		int rc = check_var(name, value, err);
		if (rc < 0)
			return rc;
		if (json_is_null(value) && old) {
			json_object_del(config, name);
			add_name(gone, name);
		} else if (!json_is_null(value) && (!old || !json_equal(old, value))) {
			json_object_set(config, name, value);
			add_name(changed, name);
		}
	}
	return 0;
}

int app_config_merge(struct platform *p, const struct app *a, const json_t *changes, json_t **ret, char **ret_changed, char **ret_gone, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	CLEANUP(buf_clear) struct buf changed = {0}, gone = {0}, text = {0};
	int rc = app_config(p, &a->id, &config, err);
	if (rc == 0)
		rc = merge(config, changes, &changed, &gone, err);
	if (rc < 0)
		return rc;
	json_canonical(config, &text);
	if (text.len > CONFIG_MOST)
		return err_set(err, E_INVALID, "The config vars of an app are at most %d bytes together; these would be %zu", CONFIG_MOST, text.len);
	CLEANUP(freep) char *sealed = platform_seal(p, config);
	rc = store_run(p->db, SQL_plat_app_config, err, v_uuid(&a->id), v_text(sealed), v_int(loop_now()));
	if (rc < 0)
		return rc;
	*ret = config;
	config = NULL;
	*ret_changed = buf_steal(&changed);
	*ret_gone = buf_steal(&gone);
	return 0;
}
