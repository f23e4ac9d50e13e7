/* config: the table, reading, precedence, checks, lint, generated files. What Airflow itself answers to the same files
 * is compared in tests/conformance/test_config.py. */
#include "base/crypto.h"
#include "config/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define ENV_MAX 8

struct place { char home[64]; char *env[ENV_MAX + 4]; size_t n; };

static void put(struct place *p, const char *line)
{
	assert_true(p->n < ENV_MAX + 3);
	p->env[p->n++] = xstrdup(line);
}

static void write_file(const char *folder, const char *name, const char *text)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct place *place_new(const char *cfg, const char *const *env)
{
	struct place *p = xcalloc(1, sizeof *p);
	snprintf(p->home, sizeof p->home, "/tmp/test_config.XXXXXX");
	assert_non_null(mkdtemp(p->home));
	CLEANUP(freep) char *home = xasprintf("AIRFLOW_HOME=%s", p->home);
	put(p, home);
	put(p, "HOME=/nonexistent");
	put(p, "PATH=/usr/bin:/bin");
	for (; env && *env; env++)
		put(p, *env);
	if (cfg)
		write_file(p->home, "airflow.cfg", cfg);
	return p;
}

static void place_free(struct place *p)
{
	static const char *const names[] = {"airflow.cfg", "unittests.cfg"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP(freep) char *path = xasprintf("%s/%s", p->home, names[i]);
		unlink(path);
	}
	rmdir(p->home);
	for (size_t i = 0; i < p->n; i++)
		free(p->env[i]);
	free(p);
}

static struct config *load(struct place *p, unsigned flags)
{
	struct config *c = NULL;
	struct err e = {0};
	if (config_load(p->env, flags, &c, &e) < 0)
		fail_msg("%s", err_text(&e));
	return c;
}

/* ---- the table ---- */

static void test_table(void **state)
{
	(void)state;
	struct place *p = place_new(NULL, NULL);
	struct config *c = load(p, 0);
	struct err e = {0};
	assert_int_equal(config_check(c, &e), 0);
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct option_info *i = option_info((enum option)o);
		assert_int_equal(option_find(i->section, i->key), o);
		assert_true(strlen(i->help) > 10);
		if (i->handling == OPTION_ACCEPTED || i->handling == OPTION_REFUSED)
			assert_true(strlen(i->why) > 10);
		assert_true(config_source(c, (enum option)o) == (i->initial ? FROM_DEFAULT : FROM_NOWHERE));
		assert_null(strstr(config_str(c, (enum option)o), "$AIRFLOW_HOME"));
		assert_null(strstr(config_str(c, (enum option)o), "%%"));
		json_t *v = i->type == OPTION_JSON ? config_json(c, (enum option)o) : NULL;
		if (i->type == OPTION_JSON && *config_str(c, (enum option)o))
			assert_non_null(v);
		json_decrefp(&v);
	}
	assert_int_equal(option_find("core", "nothing"), -1);
	assert_int_equal(option_find("CORE", "Executor"), OPT_core_executor);
	config_free(c);
	place_free(p);
}

static void test_env_names(void **state)
{
	(void)state;
	struct buf b = {0};
	option_env_name("common.io", "xcom_objectstorage_path", &b);
	assert_string_equal(b.data, "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH");
	buf_clear(&b);
}

/* ---- values and where they came from ---- */

static void test_sources(void **state)
{
	(void)state;
	static const char *const env[] = {"AIRFLOW__CORE__PARALLELISM=9", "AIRFLOW__CORE__SQL_ALCHEMY_CONN=sqlite:////x.db",
	                                  "AIRFLOW__API_AUTH__JWT_SECRET_CMD=printf s%s ecret", NULL};
	struct place *p = place_new("[core]\n\ndags_folder = $AIRFLOW_HOME/d\nfernet_key_cmd = printf k\n", env);
	struct config *c = load(p, 0);
	CLEANUP(freep) char *line = xasprintf("%s/airflow.cfg line 3", p->home);
	CLEANUP(freep) char *dags = xasprintf("%s/d", p->home);
	assert_int_equal(config_int(c, OPT_core_parallelism), 9);
	assert_string_equal(config_where(c, OPT_core_parallelism), "environment variable AIRFLOW__CORE__PARALLELISM");
	assert_string_equal(config_where(c, OPT_database_sql_alchemy_conn), "environment variable AIRFLOW__CORE__SQL_ALCHEMY_CONN");
	assert_string_equal(config_str(c, OPT_core_dags_folder), dags);
	assert_string_equal(config_where(c, OPT_core_dags_folder), line);
	assert_string_equal(config_str(c, OPT_core_fernet_key), "k");
	assert_int_equal(config_source(c, OPT_core_fernet_key), FROM_COMMAND);
	assert_string_equal(config_str(c, OPT_api_auth_jwt_secret), "secret");
	assert_int_equal(config_source(c, OPT_api_auth_jwt_secret), FROM_ENV_COMMAND);
	assert_string_equal(config_where(c, OPT_core_executor), "the default");
	assert_false(config_is_set(c, OPT_api_secret_key));
	assert_true(config_is_set(c, OPT_core_executor));
	assert_string_equal(config_home(c), p->home);
	assert_true(config_file_exists(c));
	config_free(c);
	place_free(p);
}

static void test_no_commands(void **state)
{
	(void)state;
	struct place *p = place_new("[core]\nfernet_key_cmd = false\n", NULL);
	struct config *c = load(p, CONFIG_NO_COMMANDS);
	assert_false(config_is_set(c, OPT_core_fernet_key));
	assert_int_equal(config_source(c, OPT_core_fernet_key), FROM_COMMAND);
	config_free(c);
	place_free(p);
}

static void test_types(void **state)
{
	(void)state;
	static const char *const env[] = {"AIRFLOW__CORE__DAEMON_UMASK=0o027", "AIRFLOW__UPDRAFT__TASK_MEMORY_LIMIT=1.5G",
	                                  "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT=2.5", "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES= a ,b", NULL};
	struct place *p = place_new(NULL, env);
	struct config *c = load(p, 0);
	assert_int_equal(config_int(c, OPT_core_daemon_umask), 027);
	assert_int_equal(config_int(c, OPT_updraft_task_memory_limit), 3ll << 29);
	assert_int_equal(config_seconds(c, OPT_scheduler_task_queued_timeout), 2500000);
	struct config_list l = config_list(c, OPT_core_sensitive_var_conn_names);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.at[0], "a");
	assert_string_equal(l.at[1], "b");
	config_list_clear(&l);
	json_t *bundles = config_json(c, OPT_dag_processor_dag_bundle_config_list);
	assert_string_equal(jg_str(json_array_get(bundles, 0), "name", ""), "dags-folder");
	json_decrefp(&bundles);
	config_free(c);
	place_free(p);
}

static void test_auth(void **state)
{
	(void)state;
	static const struct { const char *env[3]; enum auth_kind kind; } cases[] = {
		{{NULL}, AUTH_SIMPLE},
		{{"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True"}, AUTH_SIMPLE_ALL_ADMINS},
		{{"AIRFLOW__WEBSERVER__AUTHENTICATE=True", "AIRFLOW__WEBSERVER__AUTH_BACKEND=airflow.contrib.auth.backends.password_auth"}, AUTH_PASSWORD},
		{{"AIRFLOW__WEBSERVER__AUTHENTICATE=False"}, AUTH_SIMPLE},
		{{"AIRFLOW_ADMIN_PASSWORD=x"}, AUTH_PASSWORD},
		{{"_AIRFLOW_WWW_USER_PASSWORD=x"}, AUTH_PASSWORD},
		{{"_AIRFLOW_WWW_USER_PASSWORD="}, AUTH_SIMPLE},
		{{"AIRFLOW_ADMIN_PASSWORD=x", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=bob:admin"}, AUTH_SIMPLE},
		{{"AIRFLOW_ADMIN_PASSWORD=x", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True"}, AUTH_SIMPLE_ALL_ADMINS},
		{{"AIRFLOW__WEBSERVER__RBAC=True"}, AUTH_PASSWORD},
		{{"AIRFLOW__CORE__AUTH_MANAGER=airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"}, AUTH_PASSWORD},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct place *p = place_new(NULL, cases[i].env);
		struct config *c = load(p, 0);
		struct err e = {0};
		assert_int_equal(config_auth(c), cases[i].kind);
		assert_int_equal(config_check(c, &e), 0);
		config_free(c);
		place_free(p);
	}
}

/* ---- what stops a start ---- */

struct refusal { const char *cfg, *env, *says[4]; };    /* says: all of these stand in the message */

static void refused(const struct refusal *r)
{
	const char *env[] = {r->env, NULL};
	struct place *p = place_new(r->cfg, env);
	struct config *c = NULL;
	struct err e = {0};
	int code = config_load(p->env, 0, &c, &e);
	if (code == 0)
		code = config_check(c, &e);
	if (code >= 0)
		fail_msg("taken: %s %s", r->cfg ? r->cfg : "", r->env ? r->env : "");
	for (size_t i = 0; i < 4 && r->says[i]; i++)
		if (!strstr(err_text(&e), r->says[i]))
			fail_msg("\"%s\" is not in: %s", r->says[i], err_text(&e));
	err_clear(&e);
	config_free(c);
	place_free(p);
}

static void test_refusals(void **state)
{
	(void)state;
	static const struct refusal cases[] = {
		{"[core]\nparallelism = 0\n", NULL, {"[core] parallelism = 0", "airflow.cfg line 2", "a whole number, 1 or more"}},
		{NULL, "AIRFLOW__API__PORT=99999", {"[api] port = 99999", "environment variable AIRFLOW__API__PORT", "from 0 to 65535"}},
		{NULL, "AIRFLOW__CORE__LOAD_EXAMPLES=maybe", {"maybe", "True or False"}},
		{NULL, "AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX=regex", {"one of regexp, glob"}},
		{NULL, "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=[", {"JSON"}},
		{NULL, "AIRFLOW__CORE__EXECUTOR=CeleryExecutor", {"CeleryExecutor", "not served", "executor = LocalExecutor"}},
		{NULL, "AIRFLOW__CORE__EXECUTOR=LocalExecutor,KubernetesExecutor", {"KubernetesExecutor"}},
		{"[traces]\notel_on = True\n", NULL, {"[traces] otel_on = True", "airflow.cfg line 2"}},
		{NULL, "AIRFLOW__CORE__AUTH_MANAGER=mine.Manager", {"mine.Manager", "simple auth manager"}},
		{NULL, "AIRFLOW__CORE__MULTI_TEAM=True", {"multi_team"}},
		{NULL, "AIRFLOW__SENTRY__SENTRY_ON=True", {"sentry_on"}},
		{NULL, "AIRFLOW__CORE__TASK_RUNNER=mine.Runner", {"[core] task_runner = mine.Runner", "environment variable"}},
		{"[core]\nenable_xcom_pickling = True\n", NULL, {"enable_xcom_pickling", "XComs are JSON"}},
		{"[api]\nauth_backends = airflow.api.auth.backend.session,airflow.api.auth.backend.deny_all\n", NULL, {"auth_backends"}},
		{NULL, "AIRFLOW__WEBSERVER__AUTH_BACKEND=airflow.contrib.auth.backends.ldap_auth", {"ldap_auth", "password_auth"}},
		{"[core]\nfernet_key = $(python \"contrib/generate_fernet_key.py\")\n", NULL,
		 {"fernet_key = $(python", "\n    fernet_key_cmd = python \"contrib/generate_fernet_key.py\"\n", "the same key every time"}},
		{NULL, "AIRFLOW__CORE__FERNET_KEY=`cat key`", {"\n    AIRFLOW__CORE__FERNET_KEY_CMD=cat key\n"}},
		{NULL, "AIRFLOW__CORE__FERNET_KEY=short", {"no Fernet key", "< hidden >", "44 characters"}},
		{NULL, "AIRFLOW__CORE__FERNET_KEY_SECRET=path", {"fernet_key", "secrets backend"}},
		{"[core]\nParallelism = 3\n", NULL, {"Parallelism", "lower case", "[core] parallelism"}},
		{"[core]\nairflow_home = /elsewhere\n", NULL, {"airflow_home", "AIRFLOW_HOME"}},
		{"[core]\ndags_folder = 5%\n", NULL, {"dags_folder", "airflow.cfg line 2", "%%"}},
		{NULL, "AIRFLOW__CORE__DAGS_FOLDER=$AIRFLOW__CORE__DAGS_FOLDER/x", {"dags_folder", "refer to themselves"}},
		{NULL, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=bob", {"bob", "viewer, user, op or admin"}},
		{NULL, "AIRFLOW__CORE__FERNET_KEY_CMD=sh -c 'echo no >&2; exit 7'", {"[core] fernet_key", "exit status 7", "no", "AIRFLOW__CORE__FERNET_KEY_CMD"}},
		{"[core]\nfernet_key_cmd = /no/such/program\n", NULL, {"fernet_key", "airflow.cfg line 2", "/no/such/program"}},
		{"[core]\nparallelism = 3\nparallelism = 4\n", NULL, {"line 3", "line 2", "parallelism"}},
		{"[core]\na = 1\n[core]\n", NULL, {"line 3", "[core]"}},
		{"x = 1\n", NULL, {"line 1", "[section]"}},
		{"[core]\nwhat\n\nelse\n", NULL, {"line 2: what", "line 4: else"}},
		{"[core]\nx = \xff\n", NULL, {"UTF-8"}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refused(&cases[i]);
}

static void test_all_at_once(void **state)
{
	(void)state;
	struct place *p = place_new("[core]\nexecutor = DaskExecutor\nparallelism = x\n[sentry]\nsentry_on = yes\n[traces]\notel_on = 1\n", NULL);
	struct config *c = load(p, 0);
	struct err e = {0};
	assert_int_equal(config_check(c, &e), E_CONFIG);
	static const char *const says[] = {"for 4 reasons", "executor = DaskExecutor", "parallelism = x", "sentry_on = yes", "otel_on = 1"};
	for (size_t i = 0; i < ARRAY_LEN(says); i++)
		assert_non_null(strstr(err_text(&e), says[i]));
	err_clear(&e);
	config_free(c);
	place_free(p);
}

/* A command that never ends is ended at the limit, with all that it started. */
static void test_command_limit(void **state)
{
	(void)state;
	static const char *const env[] = {"AIRFLOW__UPDRAFT__COMMAND_TIMEOUT=0.1", "AIRFLOW__CORE__FERNET_KEY_CMD=sh -c 'sleep 1000 & wait'", NULL};
	struct place *p = place_new(NULL, env);
	struct config *c = NULL;
	struct err e = {0};
	assert_int_equal(config_load(p->env, 0, &c, &e), E_TIMEOUT);
	assert_non_null(strstr(err_text(&e), "AIRFLOW__CORE__FERNET_KEY_CMD"));
	assert_non_null(strstr(err_text(&e), "0.1 seconds"));
	err_clear(&e);
	place_free(p);
}

/* The options that Airflow 1.10 and 2.10 wrote into every airflow.cfg by themselves start without a word. */
static void test_old_files(void **state)
{
	(void)state;
	struct place *p = place_new(
		"[core]\ndags_folder = /d\nhostname_callable = socket:getfqdn\nexecutor = SequentialExecutor\nsql_alchemy_conn = sqlite:////x/airflow.db\n"
		"sql_engine_encoding = utf-8\nbase_log_folder = /l\nremote_logging = False\nlogging_level = INFO\nlogging_config_class =\n"
		"log_filename_template = {{ ti.dag_id }}/{{ ti.task_id }}/{{ ts }}/{{ try_number }}.log\ndag_concurrency = 16\ndonot_pickle = True\n"
		"task_runner = StandardTaskRunner\nsecure_mode = False\nenable_xcom_pickling = False\nsecurity =\nnon_pooled_task_slot_count = 128\n"
		"[cli]\napi_client = airflow.api.client.local_client\n[api]\nauth_backend = airflow.api.auth.backend.default\n"
		"[webserver]\nauthenticate = False\nfilter_by_owner = False\nowner_mode = user\nrbac = False\nworker_class = sync\naccess_logfile = -\n"
		"secret_key = temporary_key\nexpose_config = True\npage_size = 100\n[scheduler]\nmax_threads = 2\nrun_duration = -1\nstatsd_on = False\n"
		"num_runs = -1\ndag_dir_list_interval = 300\ncatchup_by_default = True\n[celery]\nworker_concurrency = 16\n[ldap]\nuri =\n[mesos]\nmaster = x\n"
		"[kerberos]\nccache = /tmp/x\n[admin]\nhide_sensitive_variable_fields = True\n[smtp]\nsmtp_user = me\n", NULL);
	struct config *c = load(p, 0);
	struct err e = {0};
	if (config_check(c, &e) < 0)
		fail_msg("%s", err_text(&e));
	assert_string_equal(config_str(c, OPT_core_executor), "LocalExecutor");
	assert_string_equal(config_str(c, OPT_logging_base_log_folder), "/l");
	assert_int_equal(config_int(c, OPT_dag_processor_refresh_interval), 300);
	assert_true(str_starts(config_str(c, OPT_logging_log_filename_template), "dag_id={{ ti.dag_id }}/run_id="));
	config_free(c);
	place_free(p);
}

/* ---- lint ---- */

static const struct lint_row *find_row(const struct lint *l, enum lint_kind kind, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i].kind == kind && streq(l->at[i].key, key))
			return &l->at[i];
	return NULL;
}

static void test_lint(void **state)
{
	(void)state;
	static const char *const env[] = {"AIRFLOW__CORE__PARALELISM=3", "AIRFLOW__API__WORKER_TIMEOUT=60", "AIRFLOW__NONSENSE=1",
	                                  "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=file:///x", "AIRFLOW__CORE__FERNET_KEY_CMD=true", NULL};
	struct place *p = place_new("[core]\nsql_alchemy_conn = postgres://h/d\nexecutor = SequentialExecutor\ncheck_slas = True\n[celery]\nbroker_url = x\n"
	                            "[mine]\nkey = v\n[logging]\nsecret_mask_adapter = True\n[api]\nport = x\nworkers = 1\nfrobnicate = 1\n", env);
	struct config *c = load(p, 0);
	struct lint l = {0};
	config_lint(c, &l);
	static const struct { enum lint_kind kind; const char *key, *says; } rows[] = {
		{LINT_OLD_NAME, "sql_alchemy_conn", "[database] sql_alchemy_conn since Airflow 3.0"},
		{LINT_CHANGED_DEFAULT, "sql_alchemy_conn", "postgresql://"},
		{LINT_CHANGED_DEFAULT, "executor", "SequentialExecutor is outdated; LocalExecutor counts instead"},
		{LINT_GONE, "check_slas", "Airflow 3.0 no longer has it"},
		{LINT_ACCEPTED, "broker_url", "Celery"},
		{LINT_ACCEPTED, "worker_timeout", "no Python web server"},
		{LINT_REFUSED, "secret_mask_adapter", "not served"},
		{LINT_WRONG, "port", "a whole number from 0 to 65535"},
		{LINT_UNKNOWN, "paralelism", "did you mean parallelism?"},
		{LINT_UNKNOWN, "frobnicate", "your own code"},
		{LINT_UNKNOWN, "", "AIRFLOW__SECTION__KEY"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct lint_row *r = find_row(&l, rows[i].kind, rows[i].key);
		if (!r || !strstr(r->text, rows[i].says))
			fail_msg("%s %s: %s", lint_kind_name(rows[i].kind), rows[i].key, r ? r->text : "no row");
	}
	assert_int_equal(l.n, ARRAY_LEN(rows));
	lint_clear(&l);
	config_free(c);
	place_free(p);
}

/* ---- files ---- */

static void read_back(const char *home, const char *name, struct buf *ret, mode_t *ret_mode)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", home, name);
	struct stat st;
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	char chunk[4096];
	for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
		buf_add(ret, chunk, n);
	assert_int_equal(fstat(fileno(f), &st), 0);
	*ret_mode = st.st_mode & 07777;
	fclose(f);
}

static void test_make_home(void **state)
{
	(void)state;
	struct place *p = place_new(NULL, NULL);
	struct config *fresh = load(p, 0), *again = NULL;
	unsigned made = 0;
	struct buf first = {0}, second = {0};
	mode_t mode = 0;
	assert_int_equal(config_make_home(fresh, &made, NULL), 0);
	assert_int_equal(made, 3);
	read_back(p->home, "airflow.cfg", &first, &mode);
	assert_int_equal(mode, 0600);
	assert_non_null(strstr(first.data, "\ndags_folder = $AIRFLOW_HOME/dags\n"));
	assert_non_null(strstr(first.data, "\n# jwt_secret = \n"));
	assert_null(strstr(first.data, p->home));
	again = load(p, 0);
	struct lint l = {0};
	config_lint(again, &l);
	assert_int_equal(l.n, 0);
	struct err e = {0};
	assert_int_equal(config_check(again, &e), 0);
	struct fernet *f = NULL;
	assert_int_equal(fernet_new(config_str(again, OPT_core_fernet_key), &f, &e), 0);
	assert_false(fernet_is_noop(f));
	fernet_free(f);
	for (int o = 0; o < OPT_COUNT; o++) {
		bool trimmed = o == OPT_dag_processor_dag_bundle_config_list;   /* its line ends and indentation are layout */
		if (o != OPT_core_fernet_key && !trimmed)
			assert_string_equal(config_str(again, (enum option)o), config_str(fresh, (enum option)o));
	}
	json_t *a = config_json(fresh, OPT_dag_processor_dag_bundle_config_list), *b = config_json(again, OPT_dag_processor_dag_bundle_config_list);
	assert_true(json_equal(a, b));
	json_decrefp(&a);
	json_decrefp(&b);
	assert_int_equal(config_make_home(again, &made, NULL), 0);
	assert_int_equal(made, 0);
	read_back(p->home, "airflow.cfg", &second, &mode);
	assert_string_equal(first.data, second.data);
	buf_clear(&first);
	buf_clear(&second);
	lint_clear(&l);
	config_free(fresh);
	config_free(again);
	place_free(p);
}

static void collect(void *arg, const char *name, const char *value)
{
	buf_printf(arg, "%s=%s\n", name, value);
}

static void test_export(void **state)
{
	(void)state;
	struct place *p = place_new("[core]\nlogging_level = DEBUG\nsql_alchemy_conn = sqlite:////x.db\n", NULL);
	struct config *c = load(p, 0);
	struct buf b = {0};
	config_export(c, collect, &b);
	assert_non_null(strstr(b.data, "\nAIRFLOW__LOGGING__LOGGING_LEVEL=DEBUG\n"));
	assert_null(strstr(b.data, "SQL_ALCHEMY_CONN"));       /* Airflow reads this old name by itself */
	buf_clear(&b);
	config_free(c);
	place_free(p);
}

static void test_unit_test_mode(void **state)
{
	(void)state;
	static const char *const env[] = {"AIRFLOW__CORE__UNIT_TEST_MODE=True", NULL};
	struct place *p = place_new("[core]\nparallelism = 3\n[database]\nsql_alchemy_conn = sqlite:////real.db\n", env);
	write_file(p->home, "unittests.cfg", "[database]\nsql_alchemy_conn = sqlite:///$AIRFLOW_HOME/unittests.db\n");
	struct config *c = load(p, 0);
	struct buf b = {0};
	assert_true(str_ends(config_str(c, OPT_database_sql_alchemy_conn), "/unittests.db"));
	assert_int_equal(config_int(c, OPT_core_parallelism), 3);
	config_export(c, collect, &b);
	assert_non_null(strstr(b.data, "AIRFLOW__CORE__UNIT_TEST_MODE=False\n"));
	assert_non_null(strstr(b.data, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///"));
	buf_clear(&b);
	config_free(c);
	place_free(p);
}

/* ---- listing ---- */

static void test_print(void **state)
{
	(void)state;
	struct place *p = place_new("[core]\nfernet_key = geheim\ndags_folder = /a%%b\n[mine]\nkey = v\n", NULL);
	struct config *c = load(p, 0);
	struct buf b = {0};
	struct err e = {0};
	struct config_list_options o = {.section = "core", .values = true, .sources = true, .env_names = true, .hide_secrets = true};
	assert_int_equal(config_print(c, &o, &b, &e), 0);
	assert_true(str_starts(b.data, "[core]\n"));
	assert_non_null(strstr(b.data, "#\n# Source: airflow.cfg\n#\n# Variable: AIRFLOW__CORE__DAGS_FOLDER\ndags_folder = /a%%b\n"));
	assert_non_null(strstr(b.data, "fernet_key = < hidden >\n"));
	assert_null(strstr(b.data, "geheim"));
	buf_reset(&b);
	o = (struct config_list_options){.section = "mine", .values = true};
	assert_int_equal(config_print(c, &o, &b, &e), 0);
	assert_string_equal(b.data, "[mine]\nkey = v\n\n");
	o.section = "none";
	assert_int_equal(config_print(c, &o, &b, &e), E_NOT_FOUND);
	struct config_rows rows = {0};
	config_rows(c, "core", false, &rows);
	assert_string_equal(rows.at[0].key, "dags_folder");
	assert_string_equal(rows.at[0].value, "/a%b");
	assert_string_equal(rows.at[0].source, "airflow.cfg");
	config_rows_clear(&rows);
	err_clear(&e);
	buf_clear(&b);
	config_free(c);
	place_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_env_names), cmocka_unit_test(test_sources), cmocka_unit_test(test_no_commands),
		cmocka_unit_test(test_types), cmocka_unit_test(test_auth), cmocka_unit_test(test_refusals), cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_command_limit), cmocka_unit_test(test_old_files), cmocka_unit_test(test_lint), cmocka_unit_test(test_make_home),
		cmocka_unit_test(test_export), cmocka_unit_test(test_unit_test_mode), cmocka_unit_test(test_print),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
