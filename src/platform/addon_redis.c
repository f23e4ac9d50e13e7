/* addon_redis: heroku-redis, rediscloud, redistogo: a Redis server for each, of its own user, password, memory. */
#include "platform/addons.h"
#include "loop/log.h"
#include "platform/helper.h"
#include "platform/tool.h"
#include <stdlib.h>
#include <string.h>

static const char *data(const struct addon *a, const char *key)
{
	return jg_str(a->data, key, "");
}

struct act { struct platform *p; addon_fn done; addon_info_fn info; json_t *about; int64_t number; void *arg; };

static void on_helper(void *arg, int code, const json_t *result, const struct err *err)
{
	struct act *t = arg;
	(void)result;
	t->done(t->arg, code, code < 0 ? err_text(err) : "");
	free(t);
}

/* what a start that failed left behind goes */
static void on_provisioned(void *arg, int code, const json_t *result, const struct err *err)
{
	struct act *t = arg;
	if (code < 0)
		helper_call(t->p->helper, HELPER_addon_redis_end, json_pack("{s:I}", "number", (json_int_t)t->number), NULL, 0, NULL, NULL);
	on_helper(arg, code, result, err);
}

static int needs_helper(struct platform *p, struct err *err)
{
	return p->helper ? 0 : err_set(err, E_UNSUPPORTED, "heroku-redis needs the platform's root helper: start `updraft platform` as root");
}

static json_t *start_args(const struct addon *a)
{
	return json_pack("{s:I s:I s:s s:i s:i}", "number", (json_int_t)a->number, "port", (json_int_t)jg_int(a->data, "port", 0), "password", data(a, "password"), "memory", a->plan->mib,
			 "clients", a->plan->connections);
}

static struct act *act_new(struct platform *p, addon_fn done, void *arg)
{
	struct act *t = xcalloc(1, sizeof *t);
	*t = (struct act){ .p = p, .done = done, .arg = arg };
	return t;
}

static int redis_provision(struct platform *p, struct addon *a, addon_fn done, void *arg, struct err *err)
{
	uint8_t random[24];
	char password[50] = "p", ip[16];
	int port = addon_free_port(), rc = needs_helper(p, err);
	if (rc < 0)
		return rc;
	random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(password + 1 + 2 * i, 3, "%02x", random[i]);
	addon_address(p, ip);
	CLEANUP(freep) char *url = xasprintf("redis://default:%s@%s:%d", password, ip, port);
	json_object_set_new(a->data, "password", json_string(password));
	json_object_set_new(a->data, "port", json_integer(port));
	json_object_set_new(a->config, "URL", json_string(url));
	struct act *t = act_new(p, done, arg);
	t->number = a->number;
	helper_call(p->helper, HELPER_addon_redis, start_args(a), NULL, 0, on_provisioned, t);
	return 0;
}

static int redis_deprovision(struct platform *p, const struct addon *a, addon_fn done, void *arg, struct err *err)
{
	int rc = needs_helper(p, err);
	if (rc == 0)
		helper_call(p->helper, HELPER_addon_redis_end, json_pack("{s:I}", "number", (json_int_t)a->number), NULL, 0, on_helper, act_new(p, done, arg));
	return rc;
}

static int redis_change(struct platform *p, struct addon *a, const struct plan *to, addon_fn done, void *arg, struct err *err)
{
	(void)p;
	(void)done;
	(void)arg;
	return err_set(err, E_UNSUPPORTED, "%s keeps its plan: make another of %s:%s and copy what is in it", a->name, to->service, to->name);
}

/* ---- what it says about itself ---- */

static const char *field(const char *text, const char *name, char ret[64])
{
	CLEANUP(freep) char *line = xasprintf("\n%s:", name);
	const char *at = strstr(text, line);
	if (!at)
		return "?";
	at += strlen(line);
	snprintf(ret, 64, "%.*s", (int)strcspn(at, "\r\n"), at);
	return ret;
}

static void on_info(void *arg, int exit_code, const struct buf *out, const struct buf *said)
{
	struct act *t = arg;
	const char *text = out->len ? out->data : "";
	char version[64], clients[64], memory[64], keys[64];
	bool good = exit_code == 0 && strstr(text, "redis_version:");
	if (good) {
		json_t *rows = t->about;
		json_array_append_new(rows, json_pack("{s:s s:[s]}", "name", "Status", "values", "Available"));
		json_array_append_new(rows, json_pack("{s:s s:[s]}", "name", "Version", "values", field(text, "redis_version", version)));
		json_array_append_new(rows, json_pack("{s:s s:[s]}", "name", "Connections", "values", field(text, "connected_clients", clients)));
		json_array_append_new(rows, json_pack("{s:s s:[s]}", "name", "Used Memory", "values", field(text, "used_memory_human", memory)));
		json_array_append_new(rows, json_pack("{s:s s:[s]}", "name", "Maxmemory", "values", field(text, "maxmemory_policy", keys)));
		json_array_append_new(rows, json_pack("{s:s s:[s]}", "name", "Persistence", "values", "AOF"));
	}
	t->info(t->arg, good ? 0 : E_UNREACHABLE, good ? "" : said->len ? said->data : "Redis does not answer", good ? t->about : NULL);
	json_decref(t->about);
	free(t);
}

static int redis_info(struct platform *p, const struct addon *a, addon_info_fn done, void *arg, struct err *err)
{
	CLEANUP(freep) char *auth = xasprintf("REDISCLI_AUTH=%s", data(a, "password"));
	CLEANUP(freep) char *port = xasprintf("%lld", (long long)jg_int(a->data, "port", 0));
	const char *const argv[] = { "redis-cli", "-h", "127.0.0.1", "-p", port, "INFO", NULL };
	const char *const env[] = { auth, NULL };
	struct act *t = act_new(p, NULL, arg);
	t->info = done;
	t->about = json_pack("[{s:s s:[s]}]", "name", "Plan", "values", a->plan->shown);
	const struct tool run = { .argv = argv, .env = env, .in = -1, .out = -1 };
	int rc = tool_run(p, &run, on_info, t, err);
	if (rc < 0) {
		json_decref(t->about);
		free(t);
	}
	return rc;
}

static void on_flushed(void *arg, int exit_code, const struct buf *out, const struct buf *said)
{
	struct act *t = arg;
	bool good = exit_code == 0 && out->len && str_starts(out->data, "OK");
	t->done(t->arg, good ? 0 : E_UNREACHABLE, good ? "" : said->len ? said->data : "Redis refused to be emptied");
	free(t);
}

static int redis_reset(struct platform *p, const struct addon *a, addon_fn done, void *arg, struct err *err)
{
	CLEANUP(freep) char *auth = xasprintf("REDISCLI_AUTH=%s", data(a, "password"));
	CLEANUP(freep) char *port = xasprintf("%lld", (long long)jg_int(a->data, "port", 0));
	const char *const argv[] = { "redis-cli", "-h", "127.0.0.1", "-p", port, "FLUSHALL", NULL };
	const char *const env[] = { auth, NULL };
	struct act *t = act_new(p, done, arg);
	const struct tool run = { .argv = argv, .env = env, .in = -1, .out = -1 };
	int rc = tool_run(p, &run, on_flushed, t, err);
	if (rc < 0)
		free(t);
	return rc;
}

static void redis_hole(struct platform *p, const struct addon *a, char ret[32])
{
	char ip[16];
	addon_address(p, ip);
	snprintf(ret, 32, "%s:%d", ip, (int)jg_int(a->data, "port", 0));
}

static void on_again(void *arg, int code, const json_t *result, const struct err *err)
{
	CLEANUP(freep) char *name = arg;
	(void)result;
	if (code < 0)
		log_error("the add-on %s: %s", name, err_text(err));
}

/* each is started if it does not run: the machine may have been restarted */
static int redis_start(struct platform *p, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = p->helper ? store_query_values(p->db, SQL_plat_addon_every, NULL, 0, &r, err) : 0;
	if (rc < 0 || !p->helper)
		return rc;
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct addon a;
		rc = addon_load(p, &r, &a, err);
		if (rc < 0)
			break;
		if (a.service->provider == &provider_redis && streq(a.state, "provisioned"))
			helper_call(p->helper, HELPER_addon_redis, start_args(&a), NULL, 0, on_again, xstrdup(a.name));
		addon_clear(&a);
	}
	return rc;
}

const struct provider provider_redis = {
	.name = "redis", .start = redis_start, .provision = redis_provision, .change = redis_change, .info = redis_info, .reset = redis_reset, .deprovision = redis_deprovision, .hole = redis_hole,
};
