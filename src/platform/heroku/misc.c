/* misc: stacks, regions, sizes, features, domains, buildpacks; what there is nothing of. */
#include "platform/heroku/heroku.h"
#include "platform/sizes.h"
#include "platform/stacks.h"
#include <string.h>

#define EPOCH ((usec_t)1735689600 * USEC_SEC)    /* when what is built in was made: 2025 */

int nothing_list(struct hcall *c, struct err *err)
{
	(void)err;
	list_begin(c, "name");
	return 0;
}

int no_pipeline(struct hcall *c, struct err *err)
{
	return not_found(c, err, "pipeline coupling");
}

/* ---- stacks, regions, sizes: tables ---- */

static void write_stack(struct hcall *c, const char *name)
{
	struct json_writer *w = &c->w;
	struct uuid id;
	named_uuid("stack", name, &id);
	jw_object(w);
	jw_kbool(w, "default", streq(name, STACK_DEFAULT));
	jw_ktime(w, "created_at", EPOCH);
	write_uuid(w, "id", &id);
	jw_kstr(w, "name", name);
	jw_kstr(w, "state", "public");
	jw_ktime(w, "updated_at", EPOCH);
	jw_end_object(w);
}

int stack_list(struct hcall *c, struct err *err)
{
	const char *about, *name;
	(void)err;
	list_begin(c, "name");
	for (size_t i = 0; (name = stack_at(i, &about)); i++) {
		struct uuid id;
		named_uuid("stack", name, &id);
		list_item(c, &id, name);
		write_stack(c, name);
	}
	return 0;
}

int stack_info(struct hcall *c, struct err *err)
{
	const char *name = stack_find(c->arg[0]);
	if (!name)
		return not_found(c, err, "stack");
	write_stack(c, name);
	return 0;
}

static void write_region(struct hcall *c)
{
	struct json_writer *w = &c->w;
	struct uuid id;
	named_uuid("region", "local", &id);
	jw_object(w);
	jw_kstr(w, "country", "here");
	jw_ktime(w, "created_at", EPOCH);
	jw_kstr(w, "description", "this machine");
	write_uuid(w, "id", &id);
	jw_kstr(w, "locale", "here");
	jw_kstr(w, "name", "local");
	jw_kbool(w, "private_capable", false);
	jw_key(w, "provider");
	jw_object(w);
	jw_kstr(w, "name", "updraft");
	jw_kstr(w, "region", "us-east-1");       /* the schema has a list of Amazon's, and no other */
	jw_end_object(w);
	jw_ktime(w, "updated_at", EPOCH);
	jw_end_object(w);
}

int region_list(struct hcall *c, struct err *err)
{
	struct uuid id;
	(void)err;
	list_begin(c, "name");
	named_uuid("region", "local", &id);
	list_item(c, &id, "local");
	write_region(c);
	return 0;
}

int region_info(struct hcall *c, struct err *err)
{
	if (!streq(c->arg[0], "local"))
		return not_found(c, err, "region");
	write_region(c);
	return 0;
}

static void write_size(struct hcall *c, const struct dyno_size *s)
{
	struct json_writer *w = &c->w;
	struct uuid id;
	named_uuid("size", s->name, &id);
	jw_object(w);
	jw_kint(w, "compute", s->units);
	jw_knull(w, "cost");
	jw_kbool(w, "dedicated", false);
	jw_kint(w, "dyno_units", s->units);
	write_uuid(w, "id", &id);
	jw_key(w, "memory");
	jw_double(w, s->memory_mib / 1024.0);
	jw_kstr(w, "name", s->name);
	jw_kbool(w, "private_space_only", false);
	jw_end_object(w);
}

int size_list(struct hcall *c, struct err *err)
{
	const struct dyno_size *s;
	(void)err;
	list_begin(c, "name");
	for (size_t i = 0; (s = dyno_size_at(i)); i++) {
		struct uuid id;
		named_uuid("size", s->name, &id);
		list_item(c, &id, s->name);
		write_size(c, s);
	}
	return 0;
}

int size_info(struct hcall *c, struct err *err)
{
	const struct dyno_size *s = dyno_size_find(c->arg[0]);
	if (!s)
		return not_found(c, err, "dyno size");
	write_size(c, s);
	return 0;
}

/* ---- features ---- */

enum owner { APP, ACCOUNT };
static const struct feature { enum owner owner; const char *name; bool on; const char *state, *about; } features[] = {
#define FEATURE(owner, name, on, state, about) { owner, name, on, state, about },
#include "platform/features.def"
#undef FEATURE
};

static const struct feature *feature_find(enum owner owner, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		if (features[i].owner == owner && streq(features[i].name, name))
			return &features[i];
	return NULL;
}

static int write_feature(struct hcall *c, const struct feature *f, const struct uuid *owner, struct err *err)
{
	struct json_writer *w = &c->w;
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid id;
	int rc = store_query(c->p->db, SQL_plat_feature_get, &r, err, v_uuid(owner), v_text(f->name));
	if (rc == 0)
		rc = rows_next(&r, err);
	if (rc < 0)
		return rc;
	named_uuid("feature", f->name, &id);
	jw_object(w);
	jw_ktime(w, "created_at", rc ? row_time(&r, 1) : EPOCH);
	jw_kstr(w, "description", f->about);
	jw_kstr(w, "display_name", f->name);
	jw_kstr(w, "doc_url", "https://devcenter.heroku.com/articles/preboot");
	jw_kbool(w, "enabled", rc ? row_bool(&r, 0) : f->on);
	jw_kstr(w, "feedback_email", c->who.email);
	write_uuid(w, "id", &id);
	jw_kstr(w, "name", f->name);
	jw_kstr(w, "state", f->state);
	jw_ktime(w, "updated_at", rc ? row_time(&r, 2) : EPOCH);
	jw_end_object(w);
	return 0;
}

static int list_features(struct hcall *c, enum owner owner, const struct uuid *id, struct err *err)
{
	int rc = 0;
	list_begin(c, "name");
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(features); i++) {
		struct uuid of;
		if (features[i].owner != owner)
			continue;
		named_uuid("feature", features[i].name, &of);
		list_item(c, &of, features[i].name);
		rc = write_feature(c, &features[i], id, err);
	}
	return rc;
}

static int one_feature(struct hcall *c, enum owner owner, const char *name, const struct uuid *id, bool change, struct err *err)
{
	const struct feature *f = feature_find(owner, name);
	const json_t *wish = c->body ? jg(c->body, "enabled") : NULL;
	int rc = 0;
	if (!f)
		return not_found(c, err, owner == APP ? "app feature" : "account feature");
	if (change && !json_is_boolean(wish))
		return bad_params(c, err, "enabled is true or false");
	if (change && f->on && !json_is_true(wish))
		return bad_params(c, err, "%s is always on here and cannot be turned off", f->name);
	if (change)
		rc = store_run(c->p->db, SQL_plat_feature_set, err, v_uuid(id), v_text(f->name), v_bool(json_is_true(wish)), v_int(loop_now()));
	if (rc == 0 && change)
		rc = platform_audit(c->p, c->who.email, owner == APP ? c->app.name : NULL, "feature", err, "%s %s", f->name, json_is_true(wish) ? "on" : "off");
	return rc < 0 ? rc : write_feature(c, f, id, err);
}

int account_feature_list(struct hcall *c, struct err *err)
{
	return list_features(c, ACCOUNT, &c->who.id, err);
}

int account_feature_info(struct hcall *c, struct err *err)
{
	return one_feature(c, ACCOUNT, c->arg[0], &c->who.id, false, err);
}

int account_feature_update(struct hcall *c, struct err *err)
{
	return one_feature(c, ACCOUNT, c->arg[0], &c->who.id, true, err);
}

int app_feature_list(struct hcall *c, struct err *err)
{
	return list_features(c, APP, &c->app.id, err);
}

int app_feature_info(struct hcall *c, struct err *err)
{
	return one_feature(c, APP, c->arg[1], &c->app.id, false, err);
}

int app_feature_update(struct hcall *c, struct err *err)
{
	return one_feature(c, APP, c->arg[1], &c->app.id, true, err);
}

/* ---- domains: the one that every app has ---- */

int domain_list(struct hcall *c, struct err *err)
{
	struct json_writer *w = &c->w;
	CLEANUP(freep) char *host = xasprintf("%s.%s", c->app.name, c->p->o.domain);
	struct uuid id;
	(void)err;
	list_begin(c, "hostname");
	named_uuid("domain", host, &id);
	list_item(c, &id, host);
	jw_object(w);
	jw_knull(w, "acm_status");
	jw_knull(w, "acm_status_reason");
	write_app_ref(w, &c->app);
	jw_knull(w, "cname");
	jw_ktime(w, "created_at", c->app.created_at);
	jw_kstr(w, "hostname", host);
	write_uuid(w, "id", &id);
	jw_kstr(w, "kind", "heroku");
	jw_knull(w, "sni_endpoint");
	jw_kstr(w, "status", "succeeded");
	jw_ktime(w, "updated_at", c->app.updated_at);
	jw_end_object(w);
	return 0;
}

/* ---- buildpacks ---- */

#define PACKS_MOST 20

int pack_list(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct json_writer *w = &c->w;
	int rc = store_query(c->p->db, SQL_plat_pack_list, &r, err, v_uuid(&c->app.id));
	jw_array(w);
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		jw_object(w);
		jw_key(w, "buildpack");
		jw_object(w);
		jw_kstr(w, "name", row_text(&r, 2));
		jw_kstr(w, "url", row_text(&r, 1));
		jw_end_object(w);
		jw_kint(w, "ordinal", row_int(&r, 0));
		jw_end_object(w);
		rc = 0;
	}
	jw_end_array(w);
	return rc;
}

/* "heroku/python" -> urn:buildpack:heroku/python, as Heroku shows them; a URL stays what it is */
static int add_pack(struct hcall *c, int pos, const char *given, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:@%#?=&+";
	size_t n = strlen(given);
	bool url = str_starts(given, "https://"), urn = str_starts(given, "urn:buildpack:");
	const char *name = urn ? given + 14 : given;
	if (!n || n > 500 || strspn(given, allowed) != n)
		return bad_params(c, err, "\"%.200s\" is no buildpack: name one as heroku/python, or give its https:// URL", given);
	if (!url && !urn && (strchr(given, ':') || str_starts(given, "/") || strstr(given, "..")))
		return bad_params(c, err, "The buildpack %.200s cannot be fetched: buildpacks come by https:// only, or by a short name such as heroku/python", given);
	CLEANUP(freep) char *full = url || urn ? xstrdup(given) : xasprintf("urn:buildpack:%s", given);
	return store_run(c->p->db, SQL_plat_pack_add, err, v_uuid(&c->app.id), v_int(pos), v_text(full), v_text(name));
}

static int put_packs(struct hcall *c, const json_t *updates, struct err *err)
{
	CLEANUP(buf_clear) struct buf names = {0};
	json_t *one;
	size_t i;
	int rc = store_run(c->p->db, SQL_plat_app_forget_packs, err, v_uuid(&c->app.id));
	json_array_foreach(updates, i, one) {
		const char *pack = jg_str(one, "buildpack", NULL);
		if (rc == 0 && !pack)
			rc = bad_params(c, err, "each update names a buildpack");
		if (rc == 0)
			rc = add_pack(c, (int)i, pack, err);
		buf_printf(&names, "%s%s", i ? ", " : "", pack ? pack : "");
	}
	return rc < 0 ? rc : platform_audit(c->p, c->who.email, c->app.name, "buildpacks", err, "%s", names.len ? names.data : "none");
}

int pack_update(struct hcall *c, struct err *err)
{
	const json_t *updates = c->body ? jg(c->body, "updates") : NULL;
	if (!json_is_array(updates) || json_array_size(updates) > PACKS_MOST)
		return bad_params(c, err, "updates is a list of at most %d {buildpack}", PACKS_MOST);
	int rc = store_begin(c->p->db, err);
	if (rc == 0)
		rc = put_packs(c, updates, err);
	if (rc == 0)
		rc = store_commit(c->p->db, err);
	if (rc < 0) {
		store_rollback(c->p->db);
		return rc;
	}
	return pack_list(c, err);
}

/* What the command asks a registry of short names for: it sends blob_url back as the buildpack. Which names there are, the build knows. */
int pack_registry(struct hcall *c, struct err *err)
{
	CLEANUP(freep) char *name = xasprintf("%s/%s", c->arg[0], c->arg[1]);
	CLEANUP(freep) char *url = xasprintf("urn:buildpack:%s", name);
	struct uuid id;
	if (strlen(name) > 100 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_/") != strlen(name))
		return not_found(c, err, "buildpack");
	named_uuid("buildpack", name, &id);
	jw_object(&c->w);
	write_uuid(&c->w, "id", &id);
	jw_kstr(&c->w, "name", name);
	jw_kstr(&c->w, "blob_url", url);
	jw_end_object(&c->w);
	return 0;
}
