/* addons: services, plans, add-ons, attachments. */
#include "platform/addons.h"
#include "platform/heroku/heroku.h"
#include <string.h>

#define EPOCH ((usec_t)1735689600 * USEC_SEC)

/* ---- services and plans ---- */

static void write_service(struct hcall *c, const struct service *s)
{
	struct json_writer *w = &c->w;
	struct uuid id;
	named_uuid("service", s->name, &id);
	jw_object(w);
	jw_knull(w, "cli_plugin_name");
	jw_ktime(w, "created_at", EPOCH);
	jw_kstr(w, "human_name", s->shown);
	write_uuid(w, "id", &id);
	jw_kstr(w, "name", s->name);
	jw_kstr(w, "state", "ga");
	jw_kbool(w, "supports_multiple_installations", true);
	jw_kbool(w, "supports_sharing", true);
	jw_ktime(w, "updated_at", EPOCH);
	jw_end_object(w);
}

int service_list(struct hcall *c, struct err *err)
{
	const struct service *s;
	(void)err;
	list_begin(c, "name");
	for (size_t i = 0; (s = service_at(i)); i++) {
		struct uuid id;
		named_uuid("service", s->name, &id);
		list_item(c, &id, s->name);
		write_service(c, s);
	}
	return 0;
}

static const struct service *service_named(const char *text)
{
	const struct service *s;
	for (size_t i = 0; (s = service_at(i)); i++) {
		struct uuid id, asked;
		named_uuid("service", s->name, &id);
		if (streq(s->name, text) || (uuid_parse(text, &asked) == 0 && uuid_eq(&asked, &id)))
			return s;
	}
	return NULL;
}

int service_info(struct hcall *c, struct err *err)
{
	const struct service *s = service_named(c->arg[0]);
	if (!s)
		return not_found(c, err, "add-on service");
	write_service(c, s);
	return 0;
}

static void write_price(struct json_writer *w, const char *key)
{
	jw_key(w, key);
	jw_object(w);
	jw_kint(w, "cents", 0);
	jw_kbool(w, "contract", false);
	jw_kbool(w, "metered", false);
	jw_kstr(w, "unit", "month");
	jw_end_object(w);
}

static void plan_id(const struct plan *p, struct uuid *ret)
{
	CLEANUP(freep) char *full = plan_full(p);
	named_uuid("plan", full, ret);
}

static void write_plan(struct hcall *c, const struct plan *p)
{
	struct json_writer *w = &c->w;
	CLEANUP(freep) char *full = plan_full(p);
	struct uuid id;
	plan_id(p, &id);
	jw_object(w);
	write_named(w, "addon_service", "service", p->service);
	jw_knull(w, "compliance");
	jw_ktime(w, "created_at", EPOCH);
	jw_kbool(w, "default", p->is_default);
	jw_kstr(w, "description", p->shown);
	jw_kstr(w, "human_name", p->shown);
	write_uuid(w, "id", &id);
	jw_kbool(w, "installable_inside_private_network", false);
	jw_kbool(w, "installable_outside_private_network", true);
	jw_kstr(w, "name", full);
	write_price(w, "price");
	jw_kbool(w, "space_default", false);
	jw_kstr(w, "state", "ga");
	jw_ktime(w, "updated_at", EPOCH);
	jw_kbool(w, "visible", true);
	jw_end_object(w);
}

int plan_list(struct hcall *c, struct err *err)
{
	const struct service *s = service_named(c->arg[0]);
	const struct plan *p;
	if (!s)
		return not_found(c, err, "add-on service");
	list_begin(c, "name");
	for (size_t i = 0; (p = plan_at(i)); i++) {
		struct uuid id;
		if (!streq(p->service, s->name))
			continue;
		plan_id(p, &id);
		list_item(c, &id, p->name);
		write_plan(c, p);
	}
	return 0;
}

static const struct plan *plan_named(const char *text)
{
	const struct plan *p = plan_find(text);
	struct uuid id, asked;
	if (p || uuid_parse(text, &asked) < 0)
		return p;
	for (size_t i = 0; (p = plan_at(i)); i++) {
		plan_id(p, &id);
		if (uuid_eq(&id, &asked))
			return p;
	}
	return NULL;
}

static int show_plan(struct hcall *c, const char *text, struct err *err)
{
	const struct plan *p = plan_named(text);
	if (!p)
		return not_found(c, err, "plan");
	write_plan(c, p);
	return 0;
}

int plan_info_plain(struct hcall *c, struct err *err)
{
	return show_plan(c, c->arg[0], err);
}

int plan_info(struct hcall *c, struct err *err)
{
	CLEANUP(freep) char *full = strchr(c->arg[1], ':') || strlen(c->arg[1]) == 36 ? xstrdup(c->arg[1]) : xasprintf("%s:%s", c->arg[0], c->arg[1]);
	return show_plan(c, full, err);
}

/* ---- one add-on ---- */

static const char *shown_state(const char *state)
{
	return streq(state, "deprovisioning") ? "deprovisioned" : state;
}

/* names of the variables that its attachments set on its own app */
static int write_vars(struct hcall *c, const struct addon *a, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	jw_array(&c->w);
	int rc = store_query(c->p->db, SQL_plat_attachment_of_addon, &r, err, v_uuid(&a->id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		const char *suffix;
		json_t *value;
		struct uuid app;
		row_uuid(&r, 2, &app);
		rc = 0;
		if (!uuid_eq(&app, &a->app_id))
			continue;
		json_object_foreach(a->config, suffix, value) {
			CLEANUP(freep) char *name = xasprintf("%s_%s", row_text(&r, 4), suffix);
			jw_str(&c->w, name);
		}
	}
	jw_end_array(&c->w);
	return rc;
}

static void write_plan_ref(struct json_writer *w, const struct plan *p)
{
	CLEANUP(freep) char *full = plan_full(p);
	struct uuid id;
	plan_id(p, &id);
	jw_key(w, "plan");
	jw_object(w);
	write_uuid(w, "id", &id);
	jw_kstr(w, "name", full);
	write_price(w, "price");
	jw_end_object(w);
}

static int write_addon_body(struct hcall *c, const struct addon *a, const char *state, struct err *err)
{
	struct json_writer *w = &c->w;
	char number[24];
	snprintf(number, sizeof number, "%lld", (long long)a->number);
	jw_object(w);
	jw_key(w, "actions");
	jw_array(w);
	jw_end_array(w);
	write_named(w, "addon_service", "service", a->service->name);
	write_ref(w, "app", &a->app_id, a->app);
	write_price(w, "billed_price");
	jw_key(w, "billing_entity");
	jw_object(w);
	write_uuid(w, "id", &a->app_id);
	jw_kstr(w, "name", a->app);
	jw_kstr(w, "type", "app");
	jw_end_object(w);
	jw_key(w, "config_vars");
	int rc = write_vars(c, a, err);
	jw_ktime(w, "created_at", a->created_at);
	write_uuid(w, "id", &a->id);
	jw_kstr(w, "name", a->name);
	write_plan_ref(w, a->plan);
	jw_kstr(w, "provider_id", number);
	jw_kstr(w, "provision_message", "");
	jw_kstr(w, "state", shown_state(state));
	jw_ktime(w, "updated_at", a->updated_at);
	jw_knull(w, "web_url");
	return rc;
}

static int write_addon(struct hcall *c, const struct addon *a, const char *state, struct err *err)
{
	int rc = write_addon_body(c, a, state, err);
	jw_end_object(&c->w);
	return rc;
}

static int list_rows(struct hcall *c, struct rows *r, int rc, struct err *err)
{
	list_begin(c, "name");
	while (rc == 0 && (rc = rows_next(r, err)) > 0) {
		CLEANUP(addon_clear) struct addon a = {0};
		rc = addon_load(c->p, r, &a, err);
		if (rc < 0)
			return rc;
		list_item(c, &a.id, a.name);
		rc = write_addon(c, &a, a.state, err);
	}
	return rc;
}

int addon_list_app(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	return list_rows(c, &r, store_query(c->p->db, SQL_plat_addon_of_app, &r, err, v_uuid(&c->app.id)), err);
}

int addon_list_all(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	return list_rows(c, &r, store_query(c->p->db, SQL_plat_addon_of_account, &r, err, v_uuid(&c->who.id)), err);
}

/* An add-on that who may see: of an app of theirs, or attached to one of theirs */
int call_addon(struct hcall *c, const struct app *app, const char *text, struct addon *ret, struct err *err)
{
	struct addon a = {0};
	struct app owner;
	int rc = addon_resolve(c->p, app, text, &a, err);
	if (rc == 0 && (rc = app_for(c->p, &c->who, a.app, &owner, err)) == E_NOT_FOUND && app) {
		CLEANUP(rows_close) struct rows r = {0};
		rc = store_query(c->p->db, SQL_plat_attachment_of_addon, &r, err, v_uuid(&a.id));
		bool shared = false;
		while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
			struct uuid of;
			row_uuid(&r, 2, &of);
			shared = shared || uuid_eq(&of, &app->id);
			rc = 0;
		}
		rc = rc < 0 ? rc : shared ? 0 : E_NOT_FOUND;
	}
	if (rc < 0)
		addon_clear(&a);
	else
		*ret = a;
	return rc == E_NOT_FOUND ? not_found(c, err, "add-on") : rc;
}

int addon_info_all(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	int rc = call_addon(c, NULL, c->arg[0], &a, err);
	return rc < 0 ? rc : write_addon(c, &a, a.state, err);
}

int addon_info_app(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	int rc = call_addon(c, &c->app, c->arg[1], &a, err);
	return rc < 0 ? rc : write_addon(c, &a, a.state, err);
}

int addon_config_list(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	const char *suffix;
	json_t *value;
	int rc = call_addon(c, NULL, c->arg[0], &a, err);
	if (rc < 0)
		return rc;
	jw_array(&c->w);
	json_object_foreach(a.config, suffix, value) {
		jw_object(&c->w);
		jw_kstr(&c->w, "name", suffix);
		jw_kstr(&c->w, "value", json_string_value(value));
		jw_end_object(&c->w);
	}
	jw_end_array(&c->w);
	return 0;
}

/* ---- acts ---- */

static void on_made(void *arg, int rc, const char *why, const struct addon *a)
{
	CLEANUP(err_clear) struct err err = {0};
	struct hcall *c = call_resume(arg);
	if (!c)
		return;
	c->status = 201;
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	else
		rc = write_addon(c, a, "provisioned", &err);
	call_finish(c, rc, &err);
}

int addon_create_call(struct hcall *c, struct err *err)
{
	const char *text = c->body ? body_named(jg(c->body, "plan")) : NULL, *attachment = c->body && jg(c->body, "attachment") ? jg_str(jg(c->body, "attachment"), "name", NULL) : NULL;
	const struct plan *plan = text ? plan_named(text) : NULL;
	if (!plan && text && service_find(text))
		plan = plan_find(text);
	if (!plan) {
		c->resource = "plan";
		return err_set(err, E_NOT_FOUND, "Couldn't find either the add-on service or the add-on plan of \"%.100s\". `heroku addons:services` lists what this platform has.", text ? text : "");
	}
	const struct addon_order o = { .app = &c->app, .who = &c->who, .plan = plan, .name = body_str(c, "name"), .attachment = attachment };
	struct later *l = call_later(c);
	int rc = addon_create(c->p, &o, on_made, l, err);
	if (rc == 0)
		return CALL_LATER;
	call_resume(l);
	return rc;
}

struct ending { struct later *later; struct addon a; };

static void ending_free(struct ending *e)
{
	addon_clear(&e->a);
	free(e);
}

static void on_destroyed(void *arg, int rc, const char *why)
{
	struct ending *e = arg;
	CLEANUP(err_clear) struct err err = {0};
	struct hcall *c = call_resume(e->later);
	if (c && rc < 0)
		err_set(&err, rc, "%s", why);
	if (c && rc == 0)
		rc = write_addon(c, &e->a, "deprovisioned", &err);
	if (c)
		call_finish(c, rc, &err);
	ending_free(e);
}

int addon_delete(struct hcall *c, struct err *err)
{
	struct ending *e = xcalloc(1, sizeof *e);
	int rc = call_addon(c, &c->app, c->arg[1], &e->a, err);
	if (rc == 0 && !uuid_eq(&e->a.app_id, &c->app.id))
		rc = err_set(err, E_DENIED, "%s belongs to the app %s: destroy it there, or `heroku addons:detach` it here", e->a.name, e->a.app);
	if (rc == 0) {
		e->later = call_later(c);
		rc = addon_destroy(c->p, &e->a, &c->who, on_destroyed, e, err);
		if (rc == 0)
			return CALL_LATER;
		call_resume(e->later);
	}
	ending_free(e);
	return rc;
}

struct changing { struct later *later; struct platform *p; struct addon a; const struct plan *to; struct account who; };

static void on_changed(void *arg, int rc, const char *why)
{
	struct changing *g = arg;
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *plan = plan_full(g->to);
	CLEANUP(freep) char *config = platform_seal(g->p, g->a.config);
	CLEANUP(freep) char *data = platform_seal(g->p, g->a.data);
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	if (rc == 0)
		rc = store_run(g->p->db, SQL_plat_addon_ready, &err, v_uuid(&g->a.id), v_text(plan), v_text(config), v_text(data), v_int(loop_now()));
	if (rc == 0)
		rc = platform_audit(g->p, g->who.email, g->a.app, "addon.change", &err, "%s to %s", g->a.name, plan);
	struct hcall *c = call_resume(g->later);
	g->a.plan = g->to;
	if (c && rc == 0)
		rc = write_addon(c, &g->a, "provisioned", &err);
	if (c)
		call_finish(c, rc, &err);
	addon_clear(&g->a);
	free(g);
}

int addon_change(struct hcall *c, struct err *err)
{
	const char *text = c->body ? body_named(jg(c->body, "plan")) : NULL;
	struct changing *g = xcalloc(1, sizeof *g);
	g->p = c->p;
	g->who = c->who;
	g->to = text ? plan_named(text) : NULL;
	int rc = call_addon(c, &c->app, c->arg[1], &g->a, err);
	if (rc == 0 && (!g->to || !streq(g->to->service, g->a.service->name)))
		rc = bad_params(c, err, "plan: which plan of %s? `heroku addons:plans %s` lists them", g->a.service->name, g->a.service->name);
	if (rc == 0) {
		g->later = call_later(c);
		rc = g->a.service->provider->change(c->p, &g->a, g->to, on_changed, g, err);
		if (rc == 0)
			return CALL_LATER;
		call_resume(g->later);
	}
	addon_clear(&g->a);
	free(g);
	return rc;
}

static int app_of_body(struct hcall *c, struct app *ret, bool *ret_has, struct err *err)
{
	const char *name = c->body ? body_named(jg(c->body, "app")) : NULL;
	*ret_has = name;
	int rc = name ? app_for(c->p, &c->who, name, ret, err) : 0;
	return rc == E_NOT_FOUND ? not_found(c, err, "app") : rc;
}

/* Answers a list of one. */
int addon_resolve_call(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	const char *text = body_str(c, "addon");
	struct app app;
	bool has = false;
	int rc = text ? app_of_body(c, &app, &has, err) : bad_params(c, err, "addon: which one?");
	if (rc == 0)
		rc = call_addon(c, has ? &app : NULL, text, &a, err);
	if (rc < 0)
		return rc;
	jw_array(&c->w);
	rc = write_addon(c, &a, a.state, err);
	jw_end_array(&c->w);
	return rc;
}

/* ---- attachments ---- */

static int write_attachment(struct hcall *c, const struct rows *r, struct err *err)
{
	struct json_writer *w = &c->w;
	CLEANUP(addon_clear) struct addon a = {0};
	struct uuid id, addon, app;
	const char *suffix;
	json_t *value;
	row_uuid(r, 0, &id);
	row_uuid(r, 1, &addon);
	row_uuid(r, 2, &app);
	int rc = addon_get(c->p, &addon, &a, err);
	if (rc < 0)
		return rc;
	jw_object(w);
	jw_key(w, "addon");
	rc = write_addon(c, &a, a.state, err);
	write_ref(w, "app", &app, row_text(r, 3));
	jw_key(w, "config_vars");
	jw_array(w);
	json_object_foreach(a.config, suffix, value) {
		CLEANUP(freep) char *name = xasprintf("%s_%s", row_text(r, 4), suffix);
		jw_str(w, name);
	}
	jw_end_array(w);
	jw_ktime(w, "created_at", row_time(r, 5));
	write_uuid(w, "id", &id);
	jw_knull(w, "log_input_url");
	jw_kstr(w, "name", row_text(r, 4));
	jw_knull(w, "namespace");
	jw_ktime(w, "updated_at", row_time(r, 6));
	jw_knull(w, "web_url");
	jw_end_object(w);
	return rc;
}

/* within: into an array that is begun already, those of this app alone; NULL: a list of its own */
static int list_attachments(struct hcall *c, enum sql_id which, const struct uuid *id, const struct app *within, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	if (!within)
		list_begin(c, "name");
	int rc = store_query_values(c->p->db, which, (const struct val[]){ v_uuid(id) }, 1, &r, err);
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid of, app;
		row_uuid(&r, 0, &of);
		row_uuid(&r, 2, &app);
		rc = 0;
		if (!within)
			list_item(c, &of, row_text(&r, 4));
		if (!within || uuid_eq(&app, &within->id))
			rc = write_attachment(c, &r, err);
	}
	return rc;
}

int attachment_list_app(struct hcall *c, struct err *err)
{
	return list_attachments(c, SQL_plat_attachment_of_app, &c->app.id, NULL, err);
}

int attachment_list_all(struct hcall *c, struct err *err)
{
	return list_attachments(c, SQL_plat_attachment_of_account, &c->who.id, NULL, err);
}

int attachment_list_addon(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	int rc = call_addon(c, NULL, c->arg[0], &a, err);
	return rc < 0 ? rc : list_attachments(c, SQL_plat_attachment_of_addon, &a.id, NULL, err);
}

/* by its id, and of an app of theirs */
static int find_attachment(struct hcall *c, const char *text, struct rows *r, struct err *err)
{
	struct uuid id, app_id;
	struct app app;
	char name[37];
	if (uuid_parse(text, &id) < 0)
		return not_found(c, err, "add-on attachment");
	int rc = store_one(c->p->db, SQL_plat_attachment_by_id, r, err, v_uuid(&id));
	if (rc == 0) {
		row_uuid(r, 2, &app_id);
		uuid_format(&app_id, name);
		rc = app_for(c->p, &c->who, name, &app, err);
	}
	return rc == E_NOT_FOUND ? not_found(c, err, "add-on attachment") : rc;
}

int attachment_info(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = find_attachment(c, c->arg[0], &r, err);
	return rc < 0 ? rc : write_attachment(c, &r, err);
}

static int named_attachment(struct hcall *c, const struct app *app, const char *text, struct rows *r, struct err *err)
{
	CLEANUP(freep) char *name = xstrdup(text);
	struct uuid id;
	if (uuid_parse(text, &id) == 0)
		return find_attachment(c, text, r, err);
	if (str_ends(name, "_URL"))
		name[strlen(name) - 4] = '\0';
	int rc = store_one(c->p->db, SQL_plat_attachment_by_name, r, err, v_uuid(&app->id), v_text(name));
	return rc == E_NOT_FOUND ? not_found(c, err, "add-on attachment") : rc;
}

int attachment_info_app(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = named_attachment(c, &c->app, c->arg[1], &r, err);
	return rc < 0 ? rc : write_attachment(c, &r, err);
}

int attachment_delete(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid id;
	int rc = find_attachment(c, c->arg[0], &r, err);
	if (rc == 0)
		rc = write_attachment(c, &r, err);
	if (rc < 0)
		return rc;
	row_uuid(&r, 0, &id);
	rows_close(&r);
	return addon_detach(c->p, &id, &c->who, err);
}

int attachment_create(struct hcall *c, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	CLEANUP(rows_close) struct rows r = {0};
	const char *addon = c->body ? body_named(jg(c->body, "addon")) : NULL;
	struct app app;
	struct uuid made;
	bool has = false;
	int rc = app_of_body(c, &app, &has, err);
	if (rc == 0 && (!addon || !has))
		rc = bad_params(c, err, "name the addon and the app");
	if (rc == 0)
		rc = call_addon(c, &app, addon, &a, err);
	if (rc == 0)
		rc = addon_attach(c->p, &a, &app, body_str(c, "name"), &c->who, &made, err);
	if (rc == 0)
		rc = store_one(c->p->db, SQL_plat_attachment_by_id, &r, err, v_uuid(&made));
	c->status = 201;
	return rc < 0 ? rc : write_attachment(c, &r, err);
}

/* An attachment's name or variable, or the add-on's own name: then its attachments on the app. "app::NAME" asks for another app's */
int attachment_resolve(struct hcall *c, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(addon_clear) struct addon a = {0};
	const char *text = body_str(c, "addon_attachment");
	struct app app;
	bool has = false;
	int rc = text ? app_of_body(c, &app, &has, err) : bad_params(c, err, "addon_attachment: which one?");
	if (rc == 0 && !has)
		rc = bad_params(c, err, "app: of which app?");
	if (rc < 0)
		return rc;
	rc = named_attachment(c, &app, text, &r, err);
	jw_array(&c->w);
	if (rc == 0) {
		rc = write_attachment(c, &r, err);
	} else if (rc == E_NOT_FOUND) {
		err_clear(err);
		rc = call_addon(c, &app, text, &a, err);
		if (rc == 0)
			rc = list_attachments(c, SQL_plat_attachment_of_addon, &a.id, &app, err);
	}
	jw_end_array(&c->w);
	return rc;
}
