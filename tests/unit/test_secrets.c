/* Connections as URIs and JSON against what real Airflow makes of them (data/make_secret_cases.py); where they are looked for. */
#include "processor/secrets.h"
#include "recorded.h"
#include <sys/stat.h>
#include <unistd.h>

/* Airflow's "" and None are one here: both say that there is none. */
static json_t *fields(const struct connection *c)
{
	const struct { const char *name, *value; } all[] = {{"conn_type", c->conn_type}, {"description", c->description}, {"host", c->host},
		{"schema", c->schema}, {"login", c->login}, {"password", c->password}, {"extra", c->extra}};
	json_t *o = json_object();
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].value && *all[i].value)
			json_object_set_new(o, all[i].name, json_string(all[i].value));
	if (c->port)
		json_object_set_new(o, "port", json_integer(c->port));
	return o;
}

static size_t compare_reading(const json_t *cases)
{
	size_t wrong = 0;
	recorded_each(cases, i, one) {
		const char *text = json_string_value(json_array_get(one, 0));
		json_t *wanted = json_array_get(one, 1);
		struct connection c = {0};
		struct err err = {0};
		int r = connection_parse("c", text, &c, &err);
		bool refuses = json_object_get(wanted, "error") != NULL;
		if (json_integer_value(json_object_get(wanted, "port")) == 0)
			json_object_del(wanted, "port");
		CLEANUP(json_decrefp) json_t *got = fields(&c);
		CLEANUP(freep) char *ours = json_dumps(got, JSON_SORT_KEYS), *theirs = json_dumps(wanted, JSON_SORT_KEYS);
		if (refuses ? r != E_INVALID || !strstr(err_text(&err), "connection c") : r < 0 || !json_equal(got, wanted)) {
			print_error("%s: %s %s\n  Airflow: %s\n", text, ours, err_text(&err), theirs);
			wrong++;
		}
		connection_clear(&c);
		err_clear(&err);
	}
	return wrong;
}

static void test_reading(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("secret_cases.json");
	assert_int_equal(compare_reading(json_object_get(all, "uris")), 0);
	assert_int_equal(compare_reading(json_object_get(all, "jsons")), 0);
}

static char *field(const json_t *o, const char *name) { return xstrdup(jg_str(o, name, NULL)); }

static void test_writing(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("secret_cases.json");
	size_t wrong = 0;
	recorded_each(json_object_get(all, "written"), i, one) {
		const json_t *o = json_array_get(one, 0);
		struct connection c = {.conn_type = field(o, "conn_type"), .host = field(o, "host"), .schema = field(o, "schema"), .login = field(o, "login"),
			.password = field(o, "password"), .extra = field(o, "extra"), .port = (int)jg_int(o, "port", 0)};
		CLEANUP(freep) char *uri = connection_uri(&c);
		if (!streq(uri, json_string_value(json_array_get(one, 1)))) {
			print_error("%s\n  Airflow: %s\n", uri, json_string_value(json_array_get(one, 1)));
			wrong++;
		}
		connection_clear(&c);
	}
	assert_int_equal(wrong, 0);
}

/* What was written is read back as it was. */
static void test_there_and_back(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("secret_cases.json");
	recorded_each(json_object_get(all, "uris"), i, one) {
		struct connection first = {0}, second = {0};
		if (connection_parse("c", json_string_value(json_array_get(one, 0)), &first, NULL) < 0)
			continue;
		CLEANUP(freep) char *uri = connection_uri(&first);
		assert_int_equal(connection_parse("c", uri, &second, NULL), 0);
		CLEANUP(json_decrefp) json_t *a = fields(&first), *b = fields(&second);
		if (!json_equal(a, b))
			fail_msg("%s and %s differ", json_string_value(json_array_get(one, 0)), uri);
		connection_clear(&first);
		connection_clear(&second);
	}
}

/* ---- a store, and the environment over it ---- */

struct kit { char dir[40]; struct store *db; struct fernet *f; };

static int setup(void **state)
{
	struct kit *k = xcalloc(1, sizeof *k);
	struct store_options any = { .any_schema = true };
	struct err err = {0};
	snprintf(k->dir, sizeof k->dir, "/tmp/updraft-secrets-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s/a.db", k->dir), *key = fernet_generate_key();
	if (store_open(url, &any, &k->db, &err) < 0 || store_migrate(k->db, NULL, NULL, &err) < 0 || fernet_new(key, &k->f, &err) < 0)
		fail_msg("%s", err_text(&err));
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct kit *k = *state;
	static const char *const names[] = {"a.db", "a.db-wal", "a.db-shm"};
	store_close(k->db);
	fernet_free(k->f);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP(freep) char *path = xasprintf("%s/%s", k->dir, names[i]);
		unlink(path);
	}
	rmdir(k->dir);
	free(k);
	return 0;
}

static char *host_by_name(struct kit *k, const char *id, bool *env)
{
	struct connection c = {0};
	if (connection_find(k->db, k->f, id, &c, env, NULL) < 0)
		return NULL;
	char *host = xstrdup(c.host);
	connection_clear(&c);
	return host;
}

static void test_where_connections_come_from(void **state)
{
	struct kit *k = *state;
	struct connection c = {0};
	bool env;
	assert_int_equal(connection_parse("MY_DB", "postgres://u:p@stored/db", &c, NULL), 0);
	assert_int_equal(connection_save(k->db, k->f, &c, NULL), 0);
	connection_clear(&c);
	static const struct { const char *name, *value, *id, *host; bool env; } steps[] = {
		{NULL, NULL, "MY_DB", "stored", false},
		{"MY_DB", "postgres://plain/db", "MY_DB", "stored", false},          /* a plain variable comes after the store */
		{"AIRFLOW_CONN_MY_DB", "postgres://given/db", "MY_DB", "given", true},
		{"AIRFLOW_CONN_MY_DB", "{\"conn_type\": \"a\", \"host\": \"json\"}", "MY_DB", "json", true},
		{NULL, NULL, "my_db", "json", true},                                  /* AIRFLOW_CONN_ in capitals, whatever the id */
		{"DATABASE_URL", "postgres://u:p@heroku:5432/d", "DATABASE_URL", "heroku", true},
		{"DATABASE_URL", "no uri", "DATABASE_URL", NULL, false},
		{NULL, NULL, "absent", NULL, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (steps[i].name)
			setenv(steps[i].name, steps[i].value, 1);
		CLEANUP(freep) char *host = host_by_name(k, steps[i].id, &env);
		if (!steps[i].host)
			assert_null(host);
		else
			assert_string_equal(host, steps[i].host);
		assert_true(!steps[i].host || env == steps[i].env);
	}
	unsetenv("AIRFLOW_CONN_MY_DB");
	unsetenv("MY_DB");
	unsetenv("DATABASE_URL");
}

static void test_where_variables_come_from(void **state)
{
	struct kit *k = *state;
	char *value = NULL;
	bool env = true;
	assert_int_equal(variable_find(k->db, k->f, "v", &value, &env, NULL), E_NOT_FOUND);
	assert_int_equal(variable_save(k->db, k->f, "v", "stored", "what for", NULL), 0);
	assert_int_equal(variable_find(k->db, k->f, "v", &value, &env, NULL), 0);
	assert_string_equal(value, "stored");
	assert_false(env);
	free(value);
	setenv("AIRFLOW_VAR_V", "", 1);                          /* set to nothing is set */
	assert_int_equal(variable_find(k->db, k->f, "v", &value, &env, NULL), 0);
	assert_string_equal(value, "");
	assert_true(env);
	free(value);
	unsetenv("AIRFLOW_VAR_V");
}

/* Values lie encrypted in the store; with another key they are refused by name, not shown as they lie there. */
static void test_fernet(void **state)
{
	struct kit *k = *state;
	struct connection c = {0};
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *key = fernet_generate_key(), *raw = NULL;
	struct fernet *other;
	char *value = NULL;
	assert_int_equal(fernet_new(key, &other, NULL), 0);
	assert_int_equal(variable_save(k->db, k->f, "sealed", "secret text", NULL, NULL), 0);
	assert_int_equal(connection_parse("sealed", "a://u:pass%20word@h?token=xyz", &c, NULL), 0);
	assert_int_equal(connection_save(k->db, k->f, &c, NULL), 0);
	connection_clear(&c);
	assert_int_equal(store_get_text(k->db, SQL_variable_get, &raw, NULL, v_text("sealed")), 0);
	assert_null(strstr(raw, "secret"));
	assert_int_equal(connection_find(k->db, k->f, "sealed", &c, NULL, NULL), 0);
	assert_string_equal(c.password, "pass word");
	assert_string_equal(c.extra, "{\"token\": \"xyz\"}");
	connection_clear(&c);
	assert_true(variable_find(k->db, other, "sealed", &value, NULL, &err) < 0);
	assert_non_null(strstr(err_text(&err), "variable sealed"));
	assert_non_null(strstr(err_text(&err), "fernet_key"));
	err_clear(&err);
	assert_true(connection_find(k->db, other, "sealed", &c, NULL, &err) < 0);
	assert_non_null(strstr(err_text(&err), "connection sealed"));
	fernet_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading), cmocka_unit_test(test_writing), cmocka_unit_test(test_there_and_back),
		cmocka_unit_test_setup_teardown(test_where_connections_come_from, setup, teardown),
		cmocka_unit_test_setup_teardown(test_where_variables_come_from, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fernet, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
