/* dynos: the decisions. Everything happens in reconcile, which may be called at any time and does only what is still to be done. */
#include "platform/dynos.h"
#include "base/crypto.h"
#include "loop/log.h"
#include "platform/addons.h"
#include "platform/applog.h"
#include "platform/builds.h"
#include "platform/ending.h"
#include "platform/helper.h"
#include "platform/place.h"
#include "platform/rendezvous.h"
#include "platform/router.h"
#include "platform/sizes.h"
#include <arpa/inet.h>
#include <unistd.h>

#define BOOT_SECONDS 60
#define DISK_BYTES ((int64_t)4 << 30)
#define PIDS 256
#define AGAIN_FIRST USEC_SEC                     /* after a first crash; then AGAIN_NEXT, doubled each time */
#define AGAIN_NEXT (10 * USEC_SEC)
#define AGAIN_MOST (1200 * USEC_SEC)
#define STEADY (600 * USEC_SEC)                  /* one that was up so long has not failed before */

struct ending_app { struct ending_app *next; struct uuid app; ended_fn done; void *arg; };
struct dynos {
	struct platform *p;
	struct place place;
	struct dyno *all;
	struct ending_app *ending;
	bool open, stopping;                     /* open: networks are there, what ran was found again */
};

static const char *const state_names[] = { "starting", "up", "crashed", "stopping" };

const char *dyno_state_name(enum dyno_state s)
{
	return state_names[s];
}

/* ---- the store ---- */

static void save_state(struct dyno *d)
{
	CLEANUP(err_clear) struct err e = {0};
	if (store_run(d->p->db, SQL_plat_dyno_state, &e, v_uuid(&d->id), v_text(state_names[d->state]), d->up_at ? v_int(d->up_at) : v_null(),
	              d->heard_end ? v_int(d->exit_code) : v_null(), v_int(loop_now())) < 0)
		log_error("the dyno %s is %s, and the store does not take that: %s", d->name, state_names[d->state], err_text(&e));
}

static void set_state(struct dyno *d, enum dyno_state state)
{
	if (d->state == state)
		return;
	if (state != DYNO_STOPPING)
		applog_say(d->p, &d->app_id, "heroku", d->name, "State changed from %s to %s", state_names[d->state], state_names[state]);
	d->state = state;
	save_state(d);
}

static void forget_row(struct dyno *d)
{
	CLEANUP(err_clear) struct err e = {0};
	if (store_run(d->p->db, SQL_plat_dyno_delete, &e, v_uuid(&d->id)) < 0)
		log_error("the dyno %s has ended, and the store does not take that: %s", d->name, err_text(&e));
}

/* ---- the list ---- */

static void unlink_dyno(struct dyno *d)
{
	struct dyno **at = &d->p->dynos->all;
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	dyno_link_close(d);
	helper_forget(d->p->helper, d);
	source_free(d->again);
	rendezvous_forget(d);
	router_gone(d->p, d);
	free(d->command);
	free(d);
}

static void check_ended_apps(struct dynos *all)
{
	for (struct ending_app **at = &all->ending; *at;) {
		struct ending_app *e = *at;
		struct dyno *d = all->all;
		while (d && !uuid_eq(&d->app_id, &e->app))
			d = d->next;
		if (d) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		e->done(e->arg, 0, "");
		free(e);
	}
}

static bool app_is_ending(const struct dynos *all, const struct uuid *app)
{
	for (const struct ending_app *e = all->ending; e; e = e->next)
		if (uuid_eq(&e->app, app))
			return true;
	return false;
}

static bool of_app(const struct dyno *d, const struct uuid *app)
{
	return uuid_eq(&d->app_id, app);
}

static uint32_t free_net(const struct dynos *all)
{
	for (uint32_t n = 1; n < all->place.dynos_max / 2; n++) {        /* the upper half is for builds */
		const struct dyno *d = all->all;
		while (d && d->net != n)
			d = d->next;
		if (!d)
			return n;
	}
	return 0;
}

void dynos_each(struct platform *p, const struct uuid *app, void (*fn)(void *arg, const struct dyno *d), void *arg)
{
	for (const struct dyno *d = p->dynos ? p->dynos->all : NULL; d; d = d->next)
		if (of_app(d, app))
			fn(arg, d);
}

struct dyno *dyno_find(struct platform *p, const struct app *a, const char *name)
{
	struct dyno *found = NULL;
	for (struct dyno *d = p->dynos ? p->dynos->all : NULL; d; d = d->next)
		if (of_app(d, &a->id) && (streq(d->name, name) || streq(d->id_text, name)) && (!found || d->state != DYNO_STOPPING))
			found = d;
	return found;
}

static void sync_app_id(struct platform *p, const struct uuid *id)
{
	struct app a;
	if (!p->dynos->stopping && app_by_id(p, id, &a, NULL) == 0)
		dynos_sync(p, &a);
}

/* ---- the end of one ---- */

static void on_forgotten(void *arg, int code, const json_t *result, const struct err *err)
{
	struct dyno *d = arg;
	struct platform *p = d->p;
	struct uuid app = d->app_id;
	(void)result;
	if (code < 0)
		log_error("what the dyno %s left cannot be cleared away: %s", d->name, err_text(err));
	d->net = 0;
	d->running = false;
	if (d->state == DYNO_CRASHED)
		return;
	forget_row(d);
	unlink_dyno(d);
	sync_app_id(p, &app);
	check_ended_apps(p->dynos);
}

static void on_again(void *arg)
{
	struct dyno *d = arg;
	d->stale = true;                             /* reconcile puts another in its place */
	sync_app_id(d->p, &d->app_id);
}

static usec_t back_off(int restarts)
{
	usec_t wait = restarts ? AGAIN_NEXT : AGAIN_FIRST;
	for (int i = 1; i < restarts && wait < AGAIN_MOST; i++)
		wait *= 2;
	return wait < AGAIN_MOST ? wait : AGAIN_MOST;
}

static void clear_away(struct dyno *d)
{
	helper_call(d->p->helper, HELPER_dyno_forget, json_pack("{s:s,s:I}", "dyno", d->id_text, "net", (json_int_t)d->net), NULL, 0, on_forgotten, d);
}

static void ended(struct dyno *d, const char *why)
{
	bool meant = d->stop_asked || d->one_off;
	applog_drain(d->p);
	if (d->done) {
		void (*done)(void *, int, const char *) = d->done;
		d->done = NULL;
		done(d->arg, d->heard_end ? d->exit_code : E_SYSTEM, why);
	}
	if (d->one_off)
		applog_say(d->p, &d->app_id, "heroku", d->name, "State changed from %s to complete", state_names[d->state]);
	if (d->up_at && loop_now() - d->up_at > STEADY)
		d->restarts = 0;
	if (meant)
		d->state = DYNO_STOPPING;
	else {
		set_state(d, DYNO_CRASHED);
		timer_in(d->again, back_off(d->restarts));
	}
	struct app a;
	if (streq(d->type, "web") && app_by_id(d->p, &d->app_id, &a, NULL) == 0)
		router_app(d->p, &a);
	rendezvous_forget(d);
	clear_away(d);
}

static void on_killed(void *arg, int code, const json_t *result, const struct err *err)
{
	struct dyno *d = arg;
	(void)result;
	if (code < 0)
		log_error("the dyno %s, whose holder died: %s", d->name, err_text(err));
	ended(d, "its holder died");
}

void dyno_lost(struct dyno *d)
{
	if (d->heard_end) {
		ended(d, "");
		return;
	}
	helper_call(d->p->helper, HELPER_dyno_kill, json_pack("{s:s}", "dyno", d->id_text), NULL, 0, on_killed, d);
}

void dyno_heard(struct dyno *d, const char *state, const json_t *o)
{
	bool web = streq(d->type, "web") && !d->one_off;
	struct uuid app = d->app_id;
	if (streq(state, "exited")) {
		d->heard_end = true;
		d->exit_code = (int)jg_int(o, "exit", -1);
		snprintf(d->why, sizeof d->why, "%s", jg_str(o, "why", ""));
		return;                              /* its last words come first: it hangs up when they are said */
	}
	if (d->state == DYNO_STARTING && (streq(state, "bound") || (streq(state, "running") && !web))) {
		d->up_at = loop_now();
		set_state(d, DYNO_UP);
		sync_app_id(d->p, &app);
	}
}

/* ---- stopping ---- */

static void say_stop(void *arg)
{
	struct dyno *d = arg;
	d->leaving = false;
	dyno_tell(d, "{\"op\":\"stop\"}", -1);
}

static void stop_dyno(struct dyno *d)
{
	if (d->stop_asked)
		return;
	d->stop_asked = true;
	timer_at(d->again, USEC_NONE);
	if (d->state == DYNO_CRASHED && !d->running) {
		forget_row(d);
		unlink_dyno(d);
		return;
	}
	d->state = DYNO_STOPPING;
	save_state(d);
	if (d->heard_end || d->fd < 0)
		return;                              /* it ends already, or is told when its holder answers */
	d->leaving = true;
	router_leave(d->p, d, say_stop, d);
}

/* ---- starting ---- */

static void on_started(void *arg, int code, const json_t *result, const struct err *err)
{
	struct dyno *d = arg;
	(void)result;
	if (code < 0) {
		applog_say(d->p, &d->app_id, "heroku", d->name, "The dyno could not be started: %s", err_text(err));
		ended(d, err_text(err));
		return;
	}
	dyno_link_open(d);
	if (d->stop_asked)
		say_stop(d);
	else
		rendezvous_ready(d);
}

static json_t *order_of(const struct dyno *d, const struct app *a, const struct release *r, json_t *env)
{
	const struct dyno_size *size = dyno_size_find(d->size);
	char app[37], slug[37];
	bool web = streq(d->type, "web") && !d->one_off;
	uuid_format(&a->id, app);
	uuid_format(&r->slug_id, slug);
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:o,s:b,s:b,s:i,s:i,s:I,s:I,s:i,s:i}", "dyno", d->id_text, "app", app, "name", d->name, "slot", (json_int_t)a->number,
		"net", (json_int_t)d->net, "stack", "", "slug", slug, "command", d->command, "env", env, "tty", d->attach, "wait", d->attach, "port", d->port,
		"boot", web ? BOOT_SECONDS : 0, "memory", (json_int_t)(size ? size->memory_mib : 512) << 20, "disk", (json_int_t)DISK_BYTES, "pids", PIDS,
		"shares", (size ? size->cpu_milli : 500) * 1024 / 1000);
}

static int launch(struct dyno *d, const struct app *a, const struct release *r, const json_t *more_env, struct err *err)
{
	json_t *env = NULL, *holes = NULL;
	char stack[16];
	int rc = stack_newest(d->p, stack, err);
	if (rc == 0)
		rc = addons_holes(d->p, &a->id, &holes, err);
	if (rc == 0)
		rc = release_config(d->p, r, &env, err);
	if (rc < 0) {
		json_decref(holes);
		return rc;
	}
	if (more_env)
		json_object_update(env, (json_t *)(uintptr_t)more_env);
	json_t *order = order_of(d, a, r, env);
	if (!order) {
		json_decref(holes);
		return err_set(err, E_INVALID, "the dyno's command or config is no UTF-8");
	}
	json_object_set_new(order, "stack", json_string(stack));
	json_object_set_new(order, "holes", holes);
	d->running = true;
	helper_call(d->p->helper, HELPER_dyno_start, order, NULL, 0, on_started, d);
	return 0;
}

static int new_dyno(struct platform *p, const struct app *a, const struct release *r, const char *type, const char *name, const char *command, const char *size,
                    struct dyno **ret, struct err *err)
{
	struct dynos *all = p->dynos;
	uint32_t net = free_net(all);
	if (!net)
		return err_set(err, E_LIMIT, "there is room for %u dynos at a time on this machine", all->place.dynos_max / 2 - 1);
	struct dyno *d = xcalloc(1, sizeof *d);
	uint16_t random;
	*d = (struct dyno){ .p = p, .app_id = a->id, .release_id = r->id, .version = r->version, .net = net, .fd = -1, .command = xstrdup(command), .created_at = loop_now() };
	random_bytes((uint8_t *)&random, sizeof random);
	d->port = 10000 + random % 50000;
	uuid_new(&d->id);
	uuid_format(&d->id, d->id_text);
	snprintf(d->name, sizeof d->name, "%s", name);
	snprintf(d->type, sizeof d->type, "%s", type);
	snprintf(d->size, sizeof d->size, "%s", size);
	place_ip_text(place_dyno_ip(&all->place, net), d->ip);
	int rc = store_run(p->db, SQL_plat_dyno_add, err, v_uuid(&d->id), v_uuid(&a->id), v_uuid(&r->id), v_int(r->version), v_text(d->name), v_text(d->type), v_text(command),
	                   v_text(d->size), v_text(d->ip), v_int(d->port), v_int(0), v_int(loop_now()));
	if (rc < 0) {
		free(d->command);
		free(d);
		return rc;
	}
	d->again = loop_timer(p->loop, on_again, d);
	d->next = all->all;
	all->all = d;
	*ret = d;
	return 0;
}

/* ---- the formation ---- */

struct want { struct platform *p; const struct app *a; const struct release *r; };

static void start_one(const struct want *w, const char *type, const char *name, const char *command, const char *size, int restarts)
{
	CLEANUP(err_clear) struct err e = {0};
	struct dyno *d = NULL;
	int rc = new_dyno(w->p, w->a, w->r, type, name, command, size, &d, &e);
	if (rc == 0) {
		d->restarts = restarts;
		rc = launch(d, w->a, w->r, NULL, &e);
	}
	if (rc == 0)
		return;
	log_error("%s of %s cannot be started: %s", name, w->a->name, err_text(&e));
	applog_say(w->p, &w->a->id, "heroku", name, "The dyno could not be started: %s", err_text(&e));
	if (d) {
		d->restarts = restarts;
		set_state(d, DYNO_CRASHED);
		d->net = 0;
		timer_in(d->again, back_off(restarts));
	}
}

static void reconcile_one(const struct want *w, const char *type, int number, const char *command, const char *size)
{
	char name[64];
	struct dyno *good = NULL, *crashed = NULL;
	bool old = false;
	snprintf(name, sizeof name, "%s.%d", type, number);
	for (struct dyno *d = w->p->dynos->all; d; d = d->next) {
		if (!of_app(d, &w->a->id) || d->one_off || !streq(d->name, name) || d->stop_asked)
			continue;
		if (d->version == w->r->version && !d->stale && streq(d->size, size))
			good = d;
		else if (d->state == DYNO_CRASHED && d->version == w->r->version)
			crashed = d;
		else
			old = true;
	}
	if (!good) {
		start_one(w, type, name, command, size, crashed ? crashed->restarts + 1 : 0);
		good = NULL;
	}
	(void)old;
	/* web dynos go when their successors are there; the others make room at once */
	bool may_go = !streq(type, "web") || (good && good->state == DYNO_UP);
	for (struct dyno *d = w->p->dynos->all, *next; d; d = next) {
		next = d->next;
		if (!of_app(d, &w->a->id) || d->one_off || !streq(d->name, name) || d->stop_asked)
			continue;
		bool is_good = d->version == w->r->version && !d->stale && streq(d->size, size);
		if (!is_good && (may_go || d->state == DYNO_CRASHED))
			stop_dyno(d);
	}
}

/* those of types and numbers that nobody wants (any more) */
static void stop_others(const struct want *w, const struct map *quantities)
{
	for (struct dyno *d = w->p->dynos->all, *next; d; d = next) {
		next = d->next;
		if (!of_app(d, &w->a->id) || d->one_off || d->stop_asked)
			continue;
		int64_t number = 0;
		const int64_t *most = map_get(quantities, d->type);
		str_to_int64(d->name + strlen(d->type) + 1, &number);
		if (!most || number > *most)
			stop_dyno(d);
	}
}

static int reconcile(const struct want *w, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct map quantities = {0};
	int rc = store_query(w->p->db, SQL_plat_formation_list, &r, err, v_uuid(&w->a->id));
	struct arena kept = {0};
	struct row { const char *type, *command, *size; int64_t n; };
	VEC(struct row) rows = {0};
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct row one = { arena_strdup(&kept, row_text(&r, 1)), arena_strdup(&kept, row_text(&r, 2)), arena_strdup(&kept, row_text(&r, 4)), row_int(&r, 3) };
		vec_push(&rows, one);
		rc = 0;
	}
	rows_close(&r);
	bool has_slug = w->r && !uuid_is_zero(&w->r->slug_id);
	for (size_t i = 0; rc == 0 && has_slug && i < rows.n; i++)
		map_put(&quantities, rows.at[i].type, &rows.at[i].n);
	if (rc == 0)
		stop_others(w, &quantities);
	for (size_t i = 0; rc == 0 && has_slug && i < rows.n; i++)
		for (int64_t k = 1; k <= rows.at[i].n; k++)
			reconcile_one(w, rows.at[i].type, (int)k, rows.at[i].command, rows.at[i].size);
	map_clear(&quantities);
	vec_clear(&rows);
	arena_clear(&kept);
	return rc;
}

void dynos_sync(struct platform *p, const struct app *a)
{
	CLEANUP(err_clear) struct err e = {0};
	struct release r;
	struct want w = { .p = p, .a = a };
	if (!p->dynos->open || app_is_ending(p->dynos, &a->id))
		return;
	router_app(p, a);                            /* successors get requests before those whose place they take get none */
	int rc = release_current(p, &a->id, &r, &e);
	if (rc == 0)
		w.r = &r;
	if (rc == 0 || rc == E_NOT_FOUND)
		rc = reconcile(&w, &e);
	if (rc < 0)
		log_error("the dynos of %s: %s", a->name, err_text(&e));
	router_app(p, a);
}

static bool meant(const struct dyno *d, const char *which)
{
	return !which || streq(d->name, which) || streq(d->type, which) || streq(d->id_text, which);
}

int dynos_restart(struct platform *p, const struct app *a, const char *which)
{
	int n = 0;
	for (struct dyno *d = p->dynos->all, *next; d; d = next) {
		next = d->next;
		if (!of_app(d, &a->id) || !meant(d, which) || d->stop_asked)
			continue;
		n++;
		applog_say(p, &a->id, "heroku", d->name, "Restarting");
		if (d->one_off)
			stop_dyno(d);
		else
			d->stale = true;
		d->restarts = 0;
	}
	dynos_sync(p, a);
	return n;
}

int dynos_stop_named(struct platform *p, const struct app *a, const char *which)
{
	int n = 0;
	for (struct dyno *d = p->dynos->all, *next; d; d = next) {
		next = d->next;
		if (of_app(d, &a->id) && meant(d, which) && !d->stop_asked) {
			n++;
			stop_dyno(d);
		}
	}
	return n;
}

/* ---- one-offs ---- */

static void name_one(const struct platform *p, const struct app *a, const struct dyno_order *o, const struct release *r, char ret[64])
{
	uint16_t random;
	struct dyno *d;
	if (streq(o->type, "release")) {
		snprintf(ret, 64, "release.%lld", (long long)r->version);
		return;
	}
	do {
		random_bytes((uint8_t *)&random, sizeof random);
		snprintf(ret, 64, "%s.%d", o->type, 1000 + random % 9000);
		d = p->dynos->all;
		while (d && !(of_app(d, &a->id) && streq(d->name, ret)))
			d = d->next;
	} while (d);
}

int dyno_run(struct platform *p, const struct app *a, const struct dyno_order *o, struct dyno **ret, struct err *err)
{
	struct release current;
	const struct release *r = o->release;
	const struct dyno_size *size = o->size ? dyno_size_find(o->size) : dyno_size_at(0);
	char name[64];
	struct dyno *d;
	if (!size)
		return err_set(err, E_INVALID, "No such size as %s", o->size);
	int rc = r ? 0 : release_current(p, &a->id, &current, err);
	if (rc == 0 && !r)
		r = &current;
	if (rc == E_NOT_FOUND || (rc == 0 && uuid_is_zero(&r->slug_id)))
		return err_set(err, E_INVALID, "Cannot run a process: the app %s has no slug yet. Deploy it first: git push heroku master", a->name);
	if (rc < 0)
		return rc;
	name_one(p, a, o, r, name);
	rc = new_dyno(p, a, r, o->type, name, o->command, size->name, &d, err);
	if (rc < 0)
		return rc;
	d->one_off = true;
	d->attach = o->attach;
	rc = launch(d, a, r, o->env, err);
	if (rc < 0) {
		forget_row(d);
		unlink_dyno(d);
		return rc;
	}
	d->line = o->line;
	d->done = o->done;
	d->arg = o->arg;
	*ret = d;
	return 0;
}

static void on_line(void *arg, const char *app, const char *dyno, const char *source, const char *text, size_t n)
{
	struct platform *p = arg;
	struct uuid id;
	if (!streq(source, "app") || uuid_parse(app, &id))
		return;
	for (struct dyno *d = p->dynos->all; d; d = d->next)
		if (d->line && streq(d->name, dyno) && of_app(d, &id)) {
			CLEANUP(freep) char *line = xasprintf("%.*s\n", (int)n, text);
			d->line(d->arg, line, n + 1);
		}
}

static int release_phase(struct platform *p, const struct app *a, const struct release *r, const char *command, void (*line)(void *arg, const char *text, size_t n),
                         void (*done)(void *arg, int exit_code, const char *why), void *arg, struct err *err)
{
	struct dyno *d;
	if (!p->dynos->open)
		return err_set(err, E_BUSY, "the platform is starting; try again");
	const struct dyno_order o = { .type = "release", .command = command, .release = r, .line = line, .done = done, .arg = arg };
	return dyno_run(p, a, &o, &d, err);
}

/* ---- life ---- */

static uint32_t net_of(const struct dynos *all, const char *ip)
{
	struct in_addr a;
	if (!ip || inet_pton(AF_INET, ip, &a) != 1 || ntohl(a.s_addr) < all->place.net)
		return 0;
	uint32_t slot = (ntohl(a.s_addr) - all->place.net) / 4;
	return slot < all->place.dynos_max ? slot : 0;
}

static void read_row(struct dynos *all, const struct rows *r)
{
	struct dyno *d = xcalloc(1, sizeof *d);
	*d = (struct dyno){ .p = all->p, .version = row_int(r, 3), .port = (int)row_int(r, 10), .fd = -1, .command = xstrdup(row_text(r, 6)), .created_at = row_time(r, 13),
		.restarts = (int)row_int(r, 11), .net = net_of(all, row_text(r, 9)), .running = true };
	row_uuid(r, 0, &d->id);
	row_uuid(r, 1, &d->app_id);
	row_uuid(r, 2, &d->release_id);
	uuid_format(&d->id, d->id_text);
	snprintf(d->name, sizeof d->name, "%s", row_text(r, 4));
	snprintf(d->type, sizeof d->type, "%s", row_text(r, 5));
	snprintf(d->size, sizeof d->size, "%s", row_text(r, 7));
	snprintf(d->ip, sizeof d->ip, "%s", row_null(r, 9) ? "" : row_text(r, 9));
	d->one_off = streq(d->type, "run") || streq(d->type, "release");
	for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
		if (streq(state_names[i], row_text(r, 8)))
			d->state = (enum dyno_state)i;
	d->up_at = row_null(r, 12) ? 0 : row_time(r, 12);
	d->again = loop_timer(all->p->loop, on_again, d);
	d->next = all->all;
	all->all = d;
}

static int read_rows(struct dynos *all, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(all->p->db, SQL_plat_dyno_every, &r, err);
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		read_row(all, &r);
		rc = 0;
	}
	return rc;
}

static void find_again(struct dynos *all)
{
	for (struct dyno *d = all->all, *next; d; d = next) {
		next = d->next;
		if (d->state == DYNO_CRASHED) {
			d->running = false;
			d->net = 0;
			timer_in(d->again, back_off(d->restarts));
			continue;
		}
		/* one that was being stopped is told again; one whose holder is not there (any more) is started anew by reconcile */
		d->stop_asked = d->state == DYNO_STOPPING;
		dyno_link_open(d);
	}
}

static void after_open(struct dynos *all)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err e = {0};
	VEC(struct uuid) apps = {0};
	int rc = store_query(all->p->db, SQL_plat_app_every, &r, &e);
	while (rc == 0 && (rc = rows_next(&r, &e)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		vec_push(&apps, id);
		rc = 0;
	}
	rows_close(&r);
	if (rc < 0)
		log_error("the apps cannot be read: %s", err_text(&e));
	all->open = true;
	find_again(all);
	for (size_t i = 0; i < apps.n; i++)
		sync_app_id(all->p, &apps.at[i]);
	router_open(all->p);                         /* knows all by now: it takes over without a gap */
	for (struct dyno *d = all->all; d; d = d->next)
		if (d->stop_asked && d->fd >= 0)
			say_stop(d);
	vec_clear(&apps);
}

static void on_open(void *arg, int code, const json_t *result, const struct err *err)
{
	struct dynos *all = arg;
	(void)result;
	if (code < 0)
		log_error("dynos cannot run: %s", err_text(err));
	else
		after_open(all);
}

int dynos_start(struct platform *p, struct err *err)
{
	struct dynos *all = xcalloc(1, sizeof *all);
	const struct place_options o = { .home = p->o.home, .uid_base = p->o.uid_base, .net = p->o.net };
	all->p = p;
	p->dynos = all;
	int rc = place_init(&all->place, &o, err);
	if (rc == 0)
		rc = read_rows(all, err);
	if (rc < 0 || !p->helper)
		return rc;
	p->formation_sync = dynos_sync;
	p->release_phase = release_phase;
	applog_listen(p, on_line, p);
	helper_call(p->helper, HELPER_net_open, NULL, NULL, 0, on_open, all);
	return 0;
}

void dynos_stop(struct platform *p)
{
	struct dynos *all = p->dynos;
	if (!all)
		return;
	all->stopping = true;
	p->formation_sync = NULL;
	p->release_phase = NULL;
	if (p->applog)
		applog_listen(p, NULL, NULL);
	helper_forget(p->helper, all);
	while (all->all)
		unlink_dyno(all->all);
	for (struct ending_app *e; (e = all->ending) != NULL;) {
		all->ending = e->next;
		free(e);
	}
	place_clear(&all->place);
	free(all);
	p->dynos = NULL;
}

int dynos_app_end(struct platform *p, const struct app *a, ended_fn done, void *arg, struct err *err)
{
	(void)err;
	struct ending_app *e = xmalloc(sizeof *e);
	*e = (struct ending_app){ .next = p->dynos->ending, .app = a->id, .done = done, .arg = arg };
	p->dynos->ending = e;
	router_forget(p, &a->id);
	dynos_stop_named(p, a, NULL);
	check_ended_apps(p->dynos);
	return 0;
}
