/* addons: rows, names, config vars and the order of acts. What a server is, its provider knows. */
#include "platform/addons.h"
#include "loop/log.h"
#include "platform/ending.h"
#include "platform/names.h"
#include "platform/place.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct provider *const providers[] = {
#define PROVIDER(name) &provider_##name,
#include "platform/providers.def"
#undef PROVIDER
};
static const struct service services[] = {
#define SERVICE(name, shown, provider, first, prefix) { name, shown, first, prefix, &provider_##provider },
#define PLAN(...)
#include "platform/services.def"
#undef SERVICE
#undef PLAN
};
static const struct plan plans[] = {
#define SERVICE(...)
#define PLAN(service, name, shown, is_default, connections, mib) { service, name, shown, is_default, connections, mib },
#include "platform/services.def"
#undef SERVICE
#undef PLAN
};

/* ---- tables ---- */

const struct service *service_at(size_t i) { return i < ARRAY_LEN(services) ? &services[i] : NULL; }
const struct plan *plan_at(size_t i) { return i < ARRAY_LEN(plans) ? &plans[i] : NULL; }

const struct service *service_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		if (streq(services[i].name, name))
			return &services[i];
	return NULL;
}

const struct plan *plan_find(const char *text)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++)
		if (strlen(plans[i].service) == n && !strncmp(plans[i].service, text, n) && (colon ? streq(plans[i].name, colon + 1) : plans[i].is_default))
			return &plans[i];
	return NULL;
}

char *plan_full(const struct plan *p)
{
	return xasprintf("%s:%s", p->service, p->name);
}

/* ---- rows ---- */

void addon_clear(struct addon *a)
{
	json_decref(a->config);
	json_decref(a->data);
	a->config = a->data = NULL;
}

int addon_load(struct platform *p, const struct rows *r, struct addon *ret, struct err *err)
{
	struct addon a = { .number = row_int(r, 8), .created_at = row_time(r, 9), .updated_at = row_time(r, 10), .plan = plan_find(row_text(r, 4)) };
	if (!a.plan)
		return err_set(err, E_STORE, "the add-on %s has the plan %s, which this version does not know", row_text(r, 3), row_text(r, 4));
	row_uuid(r, 0, &a.id);
	row_uuid(r, 1, &a.app_id);
	snprintf(a.app, sizeof a.app, "%s", row_text(r, 2));
	snprintf(a.name, sizeof a.name, "%s", row_text(r, 3));
	snprintf(a.state, sizeof a.state, "%s", row_text(r, 5));
	a.service = service_find(a.plan->service);
	int rc = platform_unseal(p, row_text(r, 6), &a.config, err);
	if (rc == 0)
		rc = platform_unseal(p, row_text(r, 7), &a.data, err);
	if (rc < 0)
		addon_clear(&a);
	else
		*ret = a;
	return rc;
}

static int not_there(int rc, struct err *err)
{
	return rc == E_NOT_FOUND ? err_set(err, rc, "Couldn't find that add-on.") : rc;
}

int addon_get(struct platform *p, const struct uuid *id, struct addon *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(p->db, SQL_plat_addon_by_id, &r, err, v_uuid(id));
	return rc < 0 ? not_there(rc, err) : addon_load(p, &r, ret, err);
}

static int by_name(struct platform *p, const char *name, struct addon *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(p->db, SQL_plat_addon_by_name, &r, err, v_text(name));
	return rc < 0 ? not_there(rc, err) : addon_load(p, &r, ret, err);
}

/* "DATABASE_URL" and "DATABASE" */
static int by_attachment(struct platform *p, const struct app *app, const char *text, struct addon *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *name = xstrdup(text);
	struct uuid id;
	if (str_ends(name, "_URL"))
		name[strlen(name) - 4] = '\0';
	int rc = store_one(p->db, SQL_plat_attachment_by_name, &r, err, v_uuid(&app->id), v_text(name));
	if (rc < 0)
		return not_there(rc, err);
	row_uuid(&r, 1, &id);
	rows_close(&r);
	return addon_get(p, &id, ret, err);
}

static int by_service(struct platform *p, const struct app *app, const char *text, struct addon *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int found = 0, rc = store_query(p->db, SQL_plat_addon_of_app, &r, err, v_uuid(&app->id));
	struct addon a = {0};
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		const char *plan = row_text(&r, 4);
		size_t n = strlen(text);
		rc = 0;
		if (strncmp(plan, text, n) || (plan[n] && plan[n] != ':'))
			continue;
		addon_clear(&a);
		found++;
		rc = addon_load(p, &r, &a, err);
	}
	if (rc == 0 && found == 1) {
		*ret = a;
		return 0;
	}
	addon_clear(&a);
	return rc < 0 ? rc : found ? err_set(err, E_INVALID, "%s: there are %d of them on %s; name one", text, found, app->name) : not_there(E_NOT_FOUND, err);
}

int addon_resolve(struct platform *p, const struct app *app, const char *text, struct addon *ret, struct err *err)
{
	struct uuid id;
	if (uuid_parse(text, &id) == 0)
		return addon_get(p, &id, ret, err);
	int rc = by_name(p, text, ret, err);
	if (rc == E_NOT_FOUND && app)
		rc = by_attachment(p, app, text, ret, err);
	return rc == E_NOT_FOUND && app ? by_service(p, app, text, ret, err) : rc;
}

int addons_holes(struct platform *p, const struct uuid *app, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	json_t *holes = json_array();
	int rc = store_query(p->db, SQL_plat_addon_of_app, &r, err, v_uuid(app));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct addon a;
		char hole[32] = "";
		rc = addon_load(p, &r, &a, err);
		if (rc < 0)
			break;
		if (streq(a.state, "provisioned"))
			a.service->provider->hole(p, &a, hole);
		if (hole[0])
			json_array_append_new(holes, json_string(hole));
		addon_clear(&a);
	}
	if (rc < 0)
		json_decref(holes);
	else
		*ret = holes;
	return rc;
}

/* ---- config vars ---- */

/* the variables that an attachment sets: NAME_URL -> value; with gone, -> null */
static json_t *vars_of(const struct addon *a, const char *attachment, bool gone)
{
	json_t *all = json_object(), *value;
	const char *suffix;
	json_object_foreach(a->config, suffix, value) {
		CLEANUP(freep) char *name = xasprintf("%s_%s", attachment, suffix);
		json_object_set_new(all, name, gone ? json_null() : json_incref(value));
	}
	return all;
}

int addons_guard(struct platform *p, const struct app *app, const json_t *changes, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(p->db, SQL_plat_attachment_of_app, &r, err, v_uuid(&app->id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		CLEANUP(freep) char *name = xasprintf("%s_URL", row_text(&r, 4));
		rc = 0;
		if (json_object_get(changes, name))
			rc = err_set(err, E_INVALID, "Cannot overwrite attachment values %s. It comes from the add-on %s: `heroku addons:detach %s` first.", name, row_text(&r, 7), row_text(&r, 4));
	}
	return rc;
}

static int set_vars(struct platform *p, const struct app *app, const json_t *vars, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	CLEANUP(freep) char *changed = NULL, *gone = NULL;
	return app_config_merge(p, app, vars, &config, &changed, &gone, err);
}

static int release_it(struct platform *p, const struct app *app, const struct account *who, const char *what, const char *attachment, const char *addon, struct err *err)
{
	struct release made;
	CLEANUP(freep) char *text = xasprintf("%s %s (@ref:%s)", what, attachment, addon);
	const struct release_request rq = { .app = app, .description = text, .user = who };
	return release_create(p, &rq, &made, NULL, NULL, err);
}

/* ---- attachments ---- */

static bool attachment_name_valid(const char *name)
{
	size_t n = strlen(name);
	return n && n <= 60 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n && name[0] > '9' && name[0] != '_';
}

static const char *const colors[] = { "AMBER", "AQUA", "BLACK", "BLUE", "BRONZE", "BROWN", "CHARCOAL", "COBALT", "COPPER", "CRIMSON", "CYAN", "GOLD", "GRAY", "GREEN", "IVORY", "JADE", "MAROON",
	"MAUVE", "NAVY", "OLIVE", "ONYX", "ORANGE", "PINK", "PUCE", "PURPLE", "RED", "ROSE", "SILVER", "TEAL", "VIOLET", "WHITE", "YELLOW" };

static bool name_taken(struct platform *p, const struct app *app, const char *name)
{
	CLEANUP(rows_close) struct rows r = {0};
	return store_one(p->db, SQL_plat_attachment_by_name, &r, NULL, v_uuid(&app->id), v_text(name)) == 0;
}

static int choose_name(struct platform *p, const struct app *app, const struct service *s, const char *given, char ret[64], struct err *err)
{
	if (given && !attachment_name_valid(given))
		return err_set(err, E_INVALID, "The attachment name %.60s is not valid: it has capital letters, digits and underscores", given);
	snprintf(ret, 64, "%s", given ? given : s->first);
	if (!name_taken(p, app, ret))
		return 0;
	if (given)
		return err_set(err, E_INVALID, "The name %s is already in use on %s by another attachment", given, app->name);
	for (size_t i = 0; i < ARRAY_LEN(colors); i++) {
		snprintf(ret, 64, "%s_%s", s->prefix, colors[i]);
		if (!name_taken(p, app, ret))
			return 0;
	}
	return err_set(err, E_INVALID, "%s has too many attachments of %s", app->name, s->name);
}

static int insert_attachment(struct platform *p, const struct addon *a, const struct app *app, const char *name, struct uuid *ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *vars = vars_of(a, name, false);
	uuid_new(ret);
	int rc = store_run(p->db, SQL_plat_attachment_add, err, v_uuid(ret), v_uuid(&a->id), v_uuid(&app->id), v_text(name), v_int(loop_now()));
	return rc < 0 ? rc : set_vars(p, app, vars, err);
}

int addon_attach(struct platform *p, const struct addon *a, const struct app *to, const char *given, const struct account *who, struct uuid *ret, struct err *err)
{
	char name[64];
	if (!streq(a->state, "provisioned"))
		return err_set(err, E_INVALID, "%s is not ready yet (it is %s)", a->name, a->state);
	int rc = choose_name(p, to, a->service, given, name, err);
	if (rc == 0)
		rc = store_begin(p->db, err);
	if (rc < 0)
		return rc;
	rc = insert_attachment(p, a, to, name, ret, err);
	if (rc == 0)
		rc = platform_audit(p, who->email, to->name, "addon.attach", err, "%s as %s", a->name, name);
	if (rc == 0)
		rc = store_commit(p->db, err);
	if (rc < 0) {
		store_rollback(p->db);
		return rc;
	}
	return release_it(p, to, who, "Attach", name, a->name, err);
}

static int detach_rows(struct platform *p, const struct uuid *id, const struct addon *a, const struct app *app, const char *name, struct err *err)
{
	CLEANUP(json_decrefp) json_t *vars = vars_of(a, name, true);
	int rc = store_run(p->db, SQL_plat_attachment_delete, err, v_uuid(id));
	return rc < 0 ? rc : set_vars(p, app, vars, err);
}

struct attached { struct uuid id, addon, app; char name[64]; };

static int load_attachment(struct platform *p, const struct uuid *id, struct attached *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(p->db, SQL_plat_attachment_by_id, &r, err, v_uuid(id));
	if (rc < 0)
		return rc;
	ret->id = *id;
	row_uuid(&r, 1, &ret->addon);
	row_uuid(&r, 2, &ret->app);
	snprintf(ret->name, sizeof ret->name, "%s", row_text(&r, 4));
	return 0;
}

int addon_detach(struct platform *p, const struct uuid *id, const struct account *who, struct err *err)
{
	CLEANUP(addon_clear) struct addon a = {0};
	struct attached t;
	struct app app;
	int rc = load_attachment(p, id, &t, err);
	if (rc == 0)
		rc = addon_get(p, &t.addon, &a, err);
	if (rc == 0)
		rc = app_by_id(p, &t.app, &app, err);
	if (rc == 0)
		rc = store_begin(p->db, err);
	if (rc < 0)
		return rc;
	rc = detach_rows(p, id, &a, &app, t.name, err);
	if (rc == 0)
		rc = platform_audit(p, who ? who->email : "platform", app.name, "addon.detach", err, "%s was %s", a.name, t.name);
	if (rc == 0)
		rc = store_commit(p->db, err);
	if (rc < 0) {
		store_rollback(p->db);
		return rc;
	}
	return release_it(p, &app, who, "Detach", t.name, a.name, err);
}

/* ---- a new one ---- */

struct making { struct platform *p; struct addon a; struct app app; struct account who; char attachment[64]; addon_made_fn done; void *arg; };

static void making_free(struct making *m)
{
	addon_clear(&m->a);
	free(m);
}

static int keep_made(struct making *m, struct err *err)
{
	struct platform *p = m->p;
	CLEANUP(freep) char *config = platform_seal(p, m->a.config);
	CLEANUP(freep) char *data = platform_seal(p, m->a.data);
	CLEANUP(freep) char *plan = plan_full(m->a.plan);
	struct uuid id;
	int rc = store_begin(p->db, err);
	if (rc < 0)
		return rc;
	rc = store_run(p->db, SQL_plat_addon_ready, err, v_uuid(&m->a.id), v_text(plan), v_text(config), v_text(data), v_int(loop_now()));
	if (rc == 0)
		rc = insert_attachment(p, &m->a, &m->app, m->attachment, &id, err);
	if (rc == 0)
		rc = platform_audit(p, m->who.email, m->app.name, "addon.create", err, "%s (%s) as %s", m->a.name, plan, m->attachment);
	if (rc == 0)
		return store_commit(p->db, err);
	store_rollback(p->db);
	return rc;
}

static void on_provisioned(void *arg, int rc, const char *why)
{
	struct making *m = arg;
	CLEANUP(err_clear) struct err err = {0};
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	if (rc == 0)
		rc = keep_made(m, &err);
	if (rc < 0)
		store_run(m->p->db, SQL_plat_addon_delete, NULL, v_uuid(&m->a.id));
	snprintf(m->a.state, sizeof m->a.state, "provisioned");
	if (rc == 0)
		rc = release_it(m->p, &m->app, &m->who, "Attach", m->attachment, m->a.name, &err);
	m->done(m->arg, rc, err_text(&err), &m->a);
	making_free(m);
}

static int check_addon_name(const char *name, struct err *err)
{
	size_t n = strlen(name);
	if (n >= 2 && n <= 60 && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n && ((name[0] | 32) >= 'a' && (name[0] | 32) <= 'z'))
		return 0;
	return err_set(err, E_INVALID, "The add-on name %.60s is not valid: it begins with a letter and has letters, digits, dashes and underscores", name);
}

static int insert_addon(struct making *m, const char *given, struct err *err)
{
	struct platform *p = m->p;
	CLEANUP(freep) char *plan = plan_full(m->a.plan);
	CLEANUP(freep) char *none = platform_seal(p, m->a.config);
	int rc = platform_count(p, "addon", &m->a.number, err);
	uuid_new(&m->a.id);
	if (given)
		snprintf(m->a.name, sizeof m->a.name, "%s", given);
	else
		addon_name_made_up(m->a.service->name, m->a.name);
	if (rc == 0)
		rc = store_run(p->db, SQL_plat_addon_add, err, v_uuid(&m->a.id), v_uuid(&m->app.id), v_text(m->a.name), v_text(plan), v_text("provisioning"), v_int(m->a.number), v_text(none),
			       v_text(none), v_int(loop_now()));
	return rc == E_EXISTS ? err_set(err, E_INVALID, "The add-on name %s is already taken", m->a.name) : rc;
}

int addon_create(struct platform *p, const struct addon_order *o, addon_made_fn done, void *arg, struct err *err)
{
	struct making *m = xcalloc(1, sizeof *m);
	*m = (struct making){ .p = p, .app = *o->app, .who = *o->who, .done = done, .arg = arg,
			      .a = { .app_id = o->app->id, .plan = o->plan, .service = service_find(o->plan->service), .config = json_object(), .data = json_object(), .created_at = loop_now(), .updated_at = loop_now() } };
	snprintf(m->a.app, sizeof m->a.app, "%s", o->app->name);
	int rc = o->name ? check_addon_name(o->name, err) : 0;
	if (rc == 0)
		rc = choose_name(p, o->app, m->a.service, o->attachment, m->attachment, err);
	if (rc == 0)
		rc = insert_addon(m, o->name, err);
	if (rc == 0) {
		struct uuid id = m->a.id;
		rc = m->a.service->provider->provision(p, &m->a, on_provisioned, m, err);
		if (rc == 0)
			return 0;
		store_run(p->db, SQL_plat_addon_delete, NULL, v_uuid(&id));
	}
	making_free(m);
	return rc;
}

/* ---- the end of one ---- */

struct unmaking { struct platform *p; struct addon a; struct account who; addon_fn done; void *arg; };

static void unmaking_free(struct unmaking *u)
{
	addon_clear(&u->a);
	free(u);
}

/* every app that has it attached loses the variables and gets a release */
static int detach_all(struct platform *p, const struct addon *a, const struct account *who, struct err *err)
{
	for (;;) {
		CLEANUP(rows_close) struct rows r = {0};
		struct uuid id;
		int rc = store_query(p->db, SQL_plat_attachment_of_addon, &r, err, v_uuid(&a->id));
		if (rc == 0)
			rc = rows_next(&r, err);
		if (rc <= 0)
			return rc;
		row_uuid(&r, 0, &id);
		rows_close(&r);
		rc = addon_detach(p, &id, who, err);
		if (rc < 0)
			return rc;
	}
}

static void on_deprovisioned(void *arg, int rc, const char *why)
{
	struct unmaking *u = arg;
	CLEANUP(err_clear) struct err err = {0};
	if (rc < 0)
		err_set(&err, rc, "%s", why);
	if (rc < 0)
		store_run(u->p->db, SQL_plat_addon_state, NULL, v_uuid(&u->a.id), v_text("deprovisioning"), v_text(why), v_int(loop_now()));
	if (rc == 0)
		rc = store_run(u->p->db, SQL_plat_addon_forget_transfers, &err, v_uuid(&u->a.id));
	if (rc == 0)
		rc = store_run(u->p->db, SQL_plat_addon_delete, &err, v_uuid(&u->a.id));
	if (rc == 0)
		rc = platform_audit(u->p, u->who.email, u->a.app, "addon.destroy", &err, "%s", u->a.name);
	u->done(u->arg, rc, err_text(&err));
	unmaking_free(u);
}

int addon_destroy(struct platform *p, const struct addon *a, const struct account *who, addon_fn done, void *arg, struct err *err)
{
	struct unmaking *u = xcalloc(1, sizeof *u);
	*u = (struct unmaking){ .p = p, .who = *who, .done = done, .arg = arg };
	int rc = addon_get(p, &a->id, &u->a, err);
	if (rc == 0)
		rc = detach_all(p, &u->a, who, err);
	if (rc == 0)
		rc = u->a.service->provider->deprovision(p, &u->a, on_deprovisioned, u, err);
	if (rc < 0)
		unmaking_free(u);
	return rc;
}

/* ---- the end of an app: its own go; those of others are only detached ---- */

struct sweeping { struct platform *p; struct app app; struct account nobody; ended_fn done; void *arg; };

static void sweep(struct sweeping *s);

static void on_swept(void *arg, int rc, const char *why)
{
	struct sweeping *s = arg;
	if (rc == 0) {
		sweep(s);
		return;
	}
	s->done(s->arg, rc, why);
	free(s);
}

static int next_owned(struct platform *p, const struct app *app, struct addon *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(p->db, SQL_plat_addon_of_app, &r, err, v_uuid(&app->id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid owner;
		row_uuid(&r, 1, &owner);
		if (uuid_eq(&owner, &app->id)) {
			rc = addon_load(p, &r, ret, err);
			return rc < 0 ? rc : 1;
		}
		rc = 0;
	}
	return rc;
}

static void sweep(struct sweeping *s)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(addon_clear) struct addon a = {0};
	int rc = next_owned(s->p, &s->app, &a, &err);
	if (rc > 0)
		rc = addon_destroy(s->p, &a, &s->nobody, on_swept, s, &err) < 0 ? err.code : 1;
	if (rc > 0)
		return;
	s->done(s->arg, rc, err_text(&err));
	free(s);
}

int addons_app_end(struct platform *p, const struct app *a, ended_fn done, void *arg, struct err *err)
{
	(void)err;
	struct sweeping *s = xcalloc(1, sizeof *s);
	*s = (struct sweeping){ .p = p, .app = *a, .done = done, .arg = arg };
	snprintf(s->nobody.email, sizeof s->nobody.email, "platform");
	sweep(s);
	return 0;
}

void addon_address(struct platform *p, char ret[16])
{
	struct place place = {0};
	CLEANUP(err_clear) struct err err = {0};
	const struct place_options o = { .home = p->o.home, .user = geteuid(), .group = getegid(), .uid_base = p->o.uid_base, .net = p->o.net };
	int rc = place_init(&place, &o, &err);
	assert(rc == 0);                      /* the root helper was started with the same */
	place_ip_text(place_addon_ip(&place), ret);
	place_clear(&place);
}

int addon_free_port(void)
{
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		return 0;
	return ntohs(at.sin_port);
}

/* ---- start and stop ---- */

int addons_start(struct platform *p, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(providers); i++)
		rc = providers[i]->start(p, err);
	return rc;
}

void addons_stop(struct platform *p)
{
	(void)p;                          /* the servers go on */
}
