/* heroku/dynos: running one-off dynos, restarting and stopping. The lists are read from the store (releases.c). */
#include "platform/dynos.h"
#include "platform/heroku/heroku.h"
#include "platform/rendezvous.h"

#define COMMAND_MOST 8192

static int no_dynos(struct err *err)
{
	return err_set(err, E_UNSUPPORTED, "This platform runs no dynos: it was not started as root.");
}

static void write_run(struct hcall *c, const struct dyno *d, const char *url)
{
	struct json_writer *w = &c->w;
	jw_object(w);
	jw_kstr(w, "attach_url", url);
	write_app_ref(w, &c->app);
	jw_kstr(w, "command", d->command);
	jw_ktime(w, "created_at", d->created_at);
	write_uuid(w, "id", &d->id);
	jw_kstr(w, "name", d->name);
	jw_key(w, "release");
	jw_object(w);
	write_uuid(w, "id", &d->release_id);
	jw_kint(w, "version", d->version);
	jw_end_object(w);
	jw_kstr(w, "size", d->size);
	jw_kstr(w, "state", dyno_state_name(d->state));
	jw_kstr(w, "type", d->type);
	jw_ktime(w, "updated_at", d->created_at);
	jw_end_object(w);
}

static bool is_type(const char *s)
{
	size_t n = strlen(s);
	return n >= 1 && n <= 50 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

static int check_env(struct hcall *c, const json_t *env, struct err *err)
{
	const char *name;
	json_t *value;
	if (!env)
		return 0;
	if (!json_is_object(env))
		return bad_params(c, err, "env is an object of names and texts");
	json_object_foreach((json_t *)(uintptr_t)env, name, value)
		if (!*name || strchr(name, '=') || !json_is_string(value))
			return bad_params(c, err, "env: %.100s is no variable and its text", name);
	return 0;
}

int dyno_create(struct hcall *c, struct err *err)
{
	const char *command = body_str(c, "command"), *type = body_str(c, "type");
	const json_t *env = c->body ? jg(c->body, "env") : NULL;
	struct dyno *d;
	if (!c->p->formation_sync)
		return no_dynos(err);
	if (!command || !*command || strlen(command) > COMMAND_MOST)
		return bad_params(c, err, "command is missing, or longer than %d bytes", COMMAND_MOST);
	int rc = check_env(c, env, err);
	if (rc < 0)
		return rc;
	if (type && !is_type(type))
		return bad_params(c, err, "type: %.100s is no process type", type);
	const char *size = c->body ? body_named(jg(c->body, "size")) : NULL;
	const struct dyno_order o = { .type = "run", .command = command, .size = size, .env = env, .attach = c->body && jg_bool(c->body, "attach", false) };
	rc = dyno_run(c->p, &c->app, &o, &d, err);
	if (rc == 0)
		rc = platform_audit(c->p, c->who.email, c->app.name, "run", err, "%s", d->name);
	if (rc < 0)
		return rc;
	CLEANUP(freep) char *url = o.attach ? rendezvous_url(d) : NULL;
	write_run(c, d, url);
	c->status = 201;
	return 0;
}

static int act(struct hcall *c, const char *which, int (*fn)(struct platform *, const struct app *, const char *), const char *what, struct err *err)
{
	if (!c->p->formation_sync)
		return no_dynos(err);
	int n = fn(c->p, &c->app, which);
	if (which && !n)
		return not_found(c, err, "dyno");
	int rc = platform_audit(c->p, c->who.email, c->app.name, what, err, "%s", which ? which : "all");
	if (rc < 0)
		return rc;
	jw_object(&c->w);
	jw_end_object(&c->w);
	c->status = 202;
	return 0;
}

int dynos_restart_all(struct hcall *c, struct err *err) { return act(c, NULL, dynos_restart, "restart", err); }
int dyno_restart_one(struct hcall *c, struct err *err) { return act(c, c->arg[1], dynos_restart, "restart", err); }
int dyno_stop_one(struct hcall *c, struct err *err) { return act(c, c->arg[1], dynos_stop_named, "stop", err); }
