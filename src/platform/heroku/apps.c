/* apps: apps, collaborators, config vars. */
#include "platform/heroku/heroku.h"
#include "platform/addons.h"
#include "platform/releases.h"
#include "platform/ending.h"
#include "platform/stacks.h"
#include <string.h>

static int list_one(void *arg, const struct app *a, struct err *err)
{
	struct hcall *c = arg;
	(void)err;
	list_item(c, &a->id, a->name);
	write_app(c, a);
	return 0;
}

int app_list(struct hcall *c, struct err *err)
{
	if (c->arg[0] && !streq(c->arg[0], "~") && !str_case_eq(c->arg[0], c->who.email))
		return not_found(c, err, "user");
	list_begin(c, "name");
	return apps_each(c->p, &c->who, list_one, c, err);
}

int app_info(struct hcall *c, struct err *err)
{
	(void)err;
	write_app(c, &c->app);
	return 0;
}

static int check_place(struct hcall *c, const char **ret_stack, struct err *err)
{
	const char *region = c->body ? body_named(jg(c->body, "region")) : NULL, *stack = c->body ? body_named(jg(c->body, "stack")) : NULL;
	if (region && !streq(region, "local") && !streq(region, "us") && !streq(region, "eu"))
		return bad_params(c, err, "There is no region \"%s\": all apps are on this machine, region local", region);
	*ret_stack = stack ? stack_find(stack) : NULL;
	if (stack && !*ret_stack)
		return bad_params(c, err, "Stack \"%s\" is not known. There is: %s", stack, STACK_DEFAULT);
	return 0;
}

int app_create_call(struct hcall *c, struct err *err)
{
	const char *stack;
	const json_t *name = c->body ? jg(c->body, "name") : NULL;
	struct release first;
	if (name && !json_is_string(name))
		return bad_params(c, err, "name is a string");
	int rc = check_place(c, &stack, err);
	if (rc == 0)
		rc = app_create(c->p, &c->who, json_string_value(name), stack, &c->app, err);
	if (rc < 0)
		return rc;
	const struct release_request rq = { .app = &c->app, .description = "Initial release", .user = &c->who };
	rc = platform_audit(c->p, c->who.email, c->app.name, "app.create", err, "stack %s", c->app.stack);
	if (rc == 0)
		rc = release_create(c->p, &rq, &first, NULL, NULL, err);
	if (rc == 0)
		rc = app_by_id(c->p, &c->app.id, &c->app, err);
	if (rc < 0)
		return rc;
	c->status = 201;
	write_app(c, &c->app);
	return 0;
}

static int set_maintenance(struct hcall *c, bool on, struct err *err)
{
	int rc = store_run(c->p->db, SQL_plat_app_maintenance, err, v_uuid(&c->app.id), v_bool(on), v_int(loop_now()));
	return rc < 0 ? rc : platform_audit(c->p, c->who.email, c->app.name, "app.maintenance", err, "%s", on ? "on" : "off");
}

static int set_name(struct hcall *c, const char *name, struct err *err)
{
	if (streq(name, c->app.name))
		return 0;
	if (!app_is_owner(&c->app, &c->who))
		return err_set(err, E_DENIED, "You do not have access to rename the app %s: only its owner, %s, has.", c->app.name, c->app.owner);
	int rc = app_rename(c->p, &c->app, name, err);
	return rc < 0 ? rc : platform_audit(c->p, c->who.email, name, "app.rename", err, "it was %s", c->app.name);
}

static int set_build_stack(struct hcall *c, const char *stack, struct err *err)
{
	int rc = store_run(c->p->db, SQL_plat_app_build_stack, err, v_uuid(&c->app.id), v_text(stack), v_int(loop_now()));
	return rc < 0 ? rc : platform_audit(c->p, c->who.email, c->app.name, "app.stack", err, "%s with the next build", stack);
}

static int change_app(struct hcall *c, struct err *err)
{
	const json_t *maintenance = jg(c->body, "maintenance");
	const char *name = body_str(c, "name"), *build_stack = body_named(jg(c->body, "build_stack")), *stack = build_stack ? stack_find(build_stack) : NULL;
	int rc = 0;
	if (maintenance && !json_is_boolean(maintenance))
		return bad_params(c, err, "maintenance is true or false");
	if (build_stack && !stack)
		return bad_params(c, err, "Stack \"%s\" is not known. There is: %s", build_stack, STACK_DEFAULT);
	if (name)
		rc = set_name(c, name, err);
	if (rc == 0 && maintenance)
		rc = set_maintenance(c, json_is_true(maintenance), err);
	if (rc == 0 && stack)
		rc = set_build_stack(c, stack, err);
	return rc;
}

int app_update(struct hcall *c, struct err *err)
{
	int rc = c->body ? store_begin(c->p->db, err) : 0;
	if (rc == 0 && c->body) {
		rc = change_app(c, err);
		if (rc == 0)
			rc = store_commit(c->p->db, err);
		else
			store_rollback(c->p->db);
	}
	if (rc == 0)
		rc = app_by_id(c->p, &c->app.id, &c->app, err);
	if (rc < 0)
		return rc;
	if (c->p->formation_sync)
		c->p->formation_sync(c->p, &c->app);            /* its host name, its maintenance page */
	write_app(c, &c->app);
	return 0;
}

/* What must be ended before the rows go is ended by each module's own part of app_end; the answer waits for it */
static void on_ended(void *arg, int rc, const char *why)
{
	struct later *l = arg;
	CLEANUP(err_clear) struct err err = {0};
	struct hcall *c = call_resume(l);
	if (!c)
		return;
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	else
		write_app(c, &c->app);
	call_finish(c, rc, &err);
}

int app_delete(struct hcall *c, struct err *err)
{
	struct later *l = call_later(c);
	int rc = app_end(c->p, &c->app, &c->who, on_ended, l, err);
	if (rc == 0)
		return CALL_LATER;
	call_resume(l);
	return rc;
}

/* ---- collaborators ---- */

static void write_collaborator(struct hcall *c, const struct uuid *id, const struct uuid *account, const char *email, const char *role, usec_t created, usec_t updated)
{
	struct json_writer *w = &c->w;
	static const char *const permissions[] = { "view", "deploy", "operate", "manage" };
	jw_object(w);
	write_app_ref(w, &c->app);
	jw_ktime(w, "created_at", created);
	write_uuid(w, "id", id);
	jw_key(w, "permissions");
	jw_array(w);
	for (size_t i = 0; i < (streq(role, "owner") ? 4 : 3); i++) {
		jw_object(w);
		jw_kstr(w, "name", permissions[i]);
		jw_kstr(w, "description", permissions[i]);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_kstr(w, "role", role);
	jw_ktime(w, "updated_at", updated);
	jw_key(w, "user");
	jw_object(w);
	jw_kstr(w, "email", email);
	jw_kbool(w, "federated", false);
	write_uuid(w, "id", account);
	jw_end_object(w);
	jw_end_object(w);
}

typedef int (*collaborator_fn)(struct hcall *c, const struct rows *r, void *arg);

static int each_collaborator(struct hcall *c, collaborator_fn fn, void *arg, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(c->p->db, SQL_plat_collaborator_list, &r, err, v_uuid(&c->app.id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0)
		rc = fn(c, &r, arg);
	return rc;
}

static void write_row(struct hcall *c, const struct rows *r, bool in_list)
{
	struct uuid id, account;
	row_uuid(r, 0, &id);
	row_uuid(r, 1, &account);
	if (in_list)
		list_item(c, &id, row_text(r, 2));
	write_collaborator(c, &id, &account, row_text(r, 2), "collaborator", row_time(r, 3), row_time(r, 4));
}

static int list_row(struct hcall *c, const struct rows *r, void *arg)
{
	(void)arg;
	write_row(c, r, true);
	return 0;
}

int collaborator_list(struct hcall *c, struct err *err)
{
	list_begin(c, "email");
	list_item(c, &c->app.owner_id, c->app.owner);
	write_collaborator(c, &c->app.owner_id, &c->app.owner_id, c->app.owner, "owner", c->app.created_at, c->app.created_at);
	return each_collaborator(c, list_row, NULL, err);
}

struct wanted { const char *who; bool found; };

static int match_row(struct hcall *c, const struct rows *r, void *arg)
{
	struct wanted *w = arg;
	struct uuid id, account, asked;
	row_uuid(r, 0, &id);
	row_uuid(r, 1, &account);
	bool by_id = uuid_parse(w->who, &asked) == 0 && (uuid_eq(&asked, &id) || uuid_eq(&asked, &account));
	if (!w->found && (by_id || str_case_eq(row_text(r, 2), w->who))) {
		w->found = true;
		write_row(c, r, false);
	}
	return 0;
}

int collaborator_info(struct hcall *c, struct err *err)
{
	struct wanted w = { .who = c->arg[1] };
	int rc = each_collaborator(c, match_row, &w, err);
	return rc == 0 && !w.found ? not_found(c, err, "collaborator") : rc;
}

static int find_account(struct hcall *c, const char *who, struct account *ret, struct err *err)
{
	struct uuid id;
	int rc = uuid_parse(who, &id) == 0 ? account_by_id(c->p, &id, ret, err) : account_by_email(c->p, who, ret, err);
	return rc;
}

int collaborator_add(struct hcall *c, struct err *err)
{
	const char *who = c->body ? body_named(jg(c->body, "user")) : NULL;
	struct account other;
	struct uuid id;
	who = who ? who : c->body && jg(c->body, "user") ? jg_str(jg(c->body, "user"), "email", NULL) : NULL;
	if (!who)
		return bad_params(c, err, "user: whose e-mail address?");
	int rc = find_account(c, who, &other, err);
	if (rc == E_NOT_FOUND)
		return bad_params(c, err, "There is no account of %s on this platform. Its administrator makes one: updraft platform user add %s", who, who);
	if (rc == 0 && uuid_eq(&other.id, &c->app.owner_id))
		return bad_params(c, err, "User is already the owner of this app");
	uuid_new(&id);
	if (rc == 0)
		rc = store_run(c->p->db, SQL_plat_collaborator_add, err, v_uuid(&id), v_uuid(&c->app.id), v_uuid(&other.id), v_int(loop_now()));
	if (rc == E_EXISTS)
		return bad_params(c, err, "User is already a collaborator on this app");
	if (rc == 0)
		rc = platform_audit(c->p, c->who.email, c->app.name, "access.add", err, "%s", other.email);
	struct wanted w = { .who = other.email };
	if (rc == 0)
		rc = each_collaborator(c, match_row, &w, err);
	c->status = 201;
	return rc;
}

/* The owner takes anybody off, others only themselves. */
int collaborator_remove(struct hcall *c, struct err *err)
{
	struct account other;
	struct wanted w = { .who = c->arg[1] };
	int rc = find_account(c, c->arg[1], &other, err);
	if (rc == 0)
		rc = each_collaborator(c, match_row, &w, err);
	if (rc == E_NOT_FOUND || (rc == 0 && !w.found))
		return not_found(c, err, "collaborator");
	if (rc == 0 && !app_is_owner(&c->app, &c->who) && !uuid_eq(&other.id, &c->who.id))
		return err_set(err, E_DENIED, "You do not have access to remove others from the app %s: only its owner, %s, has.", c->app.name, c->app.owner);
	if (rc == 0)
		rc = store_run(c->p->db, SQL_plat_collaborator_delete, err, v_uuid(&c->app.id), v_uuid(&other.id));
	return rc < 0 ? rc : platform_audit(c->p, c->who.email, c->app.name, "access.remove", err, "%s", other.email);
}

/* ---- config vars ---- */

int config_info(struct hcall *c, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	int rc = app_config(c->p, &c->app.id, &config, err);
	if (rc == 0)
		jw_json(&c->w, config);
	return rc;
}

static char *description_of(const char *changed, const char *gone)
{
	const char *s = strchr(changed, ',') ? "s" : "", *g = strchr(gone, ',') ? "s" : "";
	char *all = *changed && *gone ? xasprintf("Set %s and remove %s config vars", changed, gone) : *changed ? xasprintf("Set %s config var%s", changed, s) : xasprintf("Remove %s config var%s", gone, g);
	if (strlen(all) > 190)
		memcpy(all + 186, "...", 4);
	return all;
}

int config_update(struct hcall *c, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	CLEANUP(freep) char *changed = NULL, *gone = NULL;
	struct release made;
	if (!c->body)
		return bad_params(c, err, "the body is an object of config vars");
	int rc = addons_guard(c->p, &c->app, c->body, err);
	if (rc == 0)
		rc = app_config_merge(c->p, &c->app, c->body, &config, &changed, &gone, err);
	if (rc == 0 && (*changed || *gone)) {
		CLEANUP(freep) char *description = description_of(changed, gone);
		const struct release_request rq = { .app = &c->app, .description = description, .user = &c->who };
		rc = platform_audit(c->p, c->who.email, c->app.name, "config", err, "%s", description);
		if (rc == 0)
			rc = release_create(c->p, &rq, &made, NULL, NULL, err);
	}
	if (rc == 0)
		jw_json(&c->w, config);
	return rc;
}
