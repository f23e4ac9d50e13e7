/* The platform's pure parts: what the root helper takes, addresses, rules, what control groups and /proc say. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "platform/bundle.h"
#include "platform/helper.h"
#include "platform/holder.h"
#include "platform/limits.h"
#include "platform/applog.h"
#include "platform/network.h"
#include "platform/router_private.h"

static const char order[] = "{\"dyno\":\"0190a5a0-0000-7000-8000-000000000001\",\"app\":\"0190a5a0-0000-7000-8000-000000000002\",\"name\":\"web.1\",\"slot\":3,\"net\":2,"
	"\"stack\":\"s-1\",\"command\":\"true\",\"env\":{\"A\":\"b\",\"DYNO\":\"mine\"},\"tty\":false,\"wait\":false,\"port\":5000,\"boot\":60,\"memory\":536870912,\"disk\":1073741824,"
	"\"pids\":256,\"shares\":1024}";

static void place_of(struct place *p)
{
	const struct place_options o = { .home = "/srv/updraft", .user = 99, .group = 99, .net = "10.9.0.0/20" };
	assert_int_equal(place_init(p, &o, NULL), 0);
}

static json_t *args_of(const char *text)
{
	json_t *o = NULL;
	assert_int_equal(json_read(text, strlen(text), &o, NULL), 0);
	return o;
}

static void check(const char *key, const char *json, const char *refusal)
{
	CLEANUP(err_clear) struct err e = {0};
	CLEANUP(json_decrefp) json_t *o = args_of(order);
	CLEANUP(freep) char *wrapped = xasprintf("[%s]", json);
	CLEANUP(json_decrefp) json_t *value = args_of(wrapped);
	json_object_set(o, key, json_array_get(value, 0));
	int r = helper_args_check(HELPER_dyno_start, o, &e);
	if (refusal) {
		assert_int_equal(r, E_INVALID);
		assert_non_null(strstr(err_text(&e), refusal));
	} else
		assert_int_equal(r, 0);
}

static void arguments(void **state)
{
	(void)state;
	check("slot", "65535", NULL);
	check("slot", "65536", "slot must be 0-65535");
	check("slot", "\"3\"", "slot must be 0-65535");
	check("slot", "-1", "slot must be 0-65535");
	check("slot", "1.0", "slot must be 0-65535");
	check("dyno", "\"0190A5A0-0000-7000-8000-000000000001\"", "dyno must be a UUID in lower case");
	check("dyno", "\"0190a5a0-0000-7000-8000-000000000001/..\"", "dyno must be a UUID");
	check("name", "\"web.1/\"", "name must be");
	check("name", "\"web.\"", "name must be");
	check("name", "\".1\"", "name must be");
	check("stack", "\"..\"", "stack must be");
	check("stack", "\"\"", "stack must be");
	check("stack", "\"a/b\"", "stack must be");
	check("command", "\"a\\u0000b\"", "command must be text");
	check("command", "null", "command is missing");
	check("env", "{\"A=\":\"x\"}", "env must be");
	check("env", "{\"\":\"x\"}", "env must be");
	check("env", "{\"A\":1}", "env must be");
	check("env", "[]", "env must be");
	check("hosts", "{\"db.localhost\":\"10.0.0.1\"}", NULL);
	check("hosts", "{\"db localhost\":\"10.0.0.1\"}", "hosts must be");
	check("hosts", "{\"db\":\"10.0.0.1\\n1.1.1.1\"}", "hosts must be");
	check("holes", "[\"10.0.0.1:5432\"]", NULL);
	check("holes", "[\"10.0.0.1:5432 accept\"]", "holes must be");
	check("holes", "[\"10.0.0.1:0\"]", "holes must be");
	check("slug", "null", NULL);
	check("more", "1", "takes no such argument");
	check("tty", "1", "tty must be true or false");
}

static void addresses(void **state)
{
	struct place p;
	char text[16];
	(void)state;
	place_of(&p);
	assert_int_equal(p.dynos_max, 1024);
	place_ip_text(place_host_ip(&p, 0), text);
	assert_string_equal(text, "10.9.0.1");
	place_ip_text(place_dyno_ip(&p, 65), text);
	assert_string_equal(text, "10.9.1.6");
	assert_int_equal(place_uid(&p, 3, UID_DYNO), 1900000048);
	place_clear(&p);
	static const char *const bad[] = { "10.9.0.0", "10.9.0.1/20", "10.9.0.0/31", "x/20", "10.9.0.0/x", "" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct place_options o = { .home = "/srv/updraft", .net = bad[i] };
		assert_int_equal(place_init(&p, &o, NULL), E_CONFIG);
	}
	const struct place_options spaces = { .home = "/srv/up draft" };
	assert_int_equal(place_init(&p, &spaces, NULL), E_CONFIG);
}

static void the_bundle(void **state)
{
	struct place p;
	(void)state;
	place_of(&p);
	CLEANUP(json_decrefp) json_t *args = args_of(order);
	CLEANUP(json_decrefp) json_t *config = bundle_config(&p, args, true);
	const json_t *process = jg(config, "process"), *memory = jg(jg(jg(config, "linux"), "resources"), "memory");
	assert_int_equal(jg_int(memory, "limit", 0), 1073741824);
	assert_int_equal(jg_int(memory, "swap", 0), 1073741824);
	assert_true(jg_bool(process, "noNewPrivileges", false));
	assert_int_equal(json_object_size(jg(process, "capabilities")), 0);
	assert_int_equal(jg_int(jg(process, "user"), "uid", 0), 1900000048);
	/* what the platform says of a dyno is not the app's to say */
	size_t dynos = 0, i;
	json_t *pair;
	json_array_foreach(jg(process, "env"), i, pair)
		dynos += str_starts(json_string_value(pair), "DYNO=");
	assert_int_equal(dynos, 1);
	assert_string_equal(json_string_value(json_array_get(jg(process, "args"), 4)), "true");
	place_clear(&p);
}

static void groups(void **state)
{
	static const char v1[] = "12:pids:/a\n4:cpu,cpuacct:/b\n3:memory:/c/d\n0::/e\n";
	(void)state;
	CLEANUP(freep) char *pids = limits_group_of(v1, "pids"), *cpuacct = limits_group_of(v1, "cpuacct"), *v2 = limits_group_of(v1, "");
	assert_string_equal(pids, "/a");
	assert_string_equal(cpuacct, "/b");
	assert_string_equal(v2, "/e");
	assert_null(limits_group_of(v1, "cpua"));
	assert_null(limits_group_of("", "pids"));
	assert_int_equal(limits_field("oom 1\noom_kill 12\n", "oom_kill"), 12);
	assert_int_equal(limits_field("oom_kill 12\n", "oom"), -1);
	assert_int_equal(limits_field("anon 7", "anon"), 7);
}

static void listening(void **state)
{
	(void)state;
	static const struct { const char *line; bool listens; } lines[] = {
		{ "   0: 00000000:1388 00000000:0000 0A 0:0", true },
		{ "   0: 0100007F:1388 00000000:0000 0A 0:0", false },
		{ "   0: 0209D10A:1388 00000000:0000 0A 0:0", true },
		{ "   0: 00000000:1388 00000000:0000 01 0:0", false },
		{ "   0: 00000000:1389 00000000:0000 0A 0:0", false },
		{ "   0: 00000000000000000000000000000000:1388 00000000000000000000000000000000:0000 0A 0", true },
		{ "   0: 00000000000000000000000001000000:1388 00000000000000000000000000000000:0000 0A 0", false },
		{ "   0: 0000000000000000FFFF00000100007F:1388 00000000000000000000000000000000:0000 0A 0", false },
		{ "  sl  local_address rem_address   st", false }, { "", false }, { "0:", false }, { "0: :1388", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_int_equal(holder_listens(lines[i].line, 5000), lines[i].listens);
}

static void nameservers(void **state)
{
	char found[3][16];
	(void)state;
	assert_int_equal(network_nameservers("# c\nnameserver 127.0.0.53\nsearch x\nnameserver 9.9.9.9\nnameserver ::1\nnameserver\t8.8.8.8 # x\n", found, 3), 2);
	assert_string_equal(found[0], "9.9.9.9");
	assert_string_equal(found[1], "8.8.8.8");
}

/* a name of an app, one server up and one that leaves: what HAProxy reads after a crash is what runs now */
static void router_files(void **state)
{
	struct platform p = { .o = { .home = "/srv/updraft", .host = "127.0.0.1", .http_port = 8080 } };
	struct router_app a = { .state = "ok", .backend = 1 };
	struct router r = { .p = &p, .apps = &a, .backends = 2, .places = 3 };
	CLEANUP(buf_clear) struct buf config = {0}, hosts = {0}, states = {0};
	char host[] = "shop.localhost";
	(void)state;
	vec_push(&a.servers, ((struct router_server){ .used = true, .ip = "10.9.0.6", .port = 5001 }));
	vec_push(&a.servers, ((struct router_server){ .used = true, .draining = true, .ip = "10.9.0.10", .port = 5002 }));
	vec_push(&a.hosts, host);
	router_config_text(&r, &config);
	router_hosts_text(&r, &hosts);
	router_states_text(&r, &states);
	assert_non_null(strstr(config.data, "backend b0\n    balance random\n    server s1 127.0.0.1:1 disabled\n"));
	assert_non_null(strstr(config.data, "backend b1\n    balance random\n    server s1 10.9.0.6:5001\n    server s2 127.0.0.1:1 disabled\n    server s3 127.0.0.1:1 disabled\n"));
	assert_string_equal(hosts.data, "shop.localhost b1\n");
	assert_string_equal(states.data, "shop.localhost ok\n");
	vec_clear(&a.servers);
	vec_clear(&a.hosts);
}

static void a_line_of_a_log(void **state)
{
	CLEANUP(buf_clear) struct buf b = {0};
	(void)state;
	applog_format(&b, 1795893265000042, "app", "web.1", "text \"here\"", 11);
	assert_string_equal(b.data, "2026-11-28T19:14:25.000042+00:00 app[web.1]: text \"here\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments), cmocka_unit_test(addresses), cmocka_unit_test(the_bundle), cmocka_unit_test(groups),
		cmocka_unit_test(listening), cmocka_unit_test(nameservers), cmocka_unit_test(router_files), cmocka_unit_test(a_line_of_a_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
