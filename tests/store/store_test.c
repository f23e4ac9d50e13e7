#include <dirent.h>
#include <libpq-fe.h>
#include <unistd.h>
#include "store_test.h"

static char *sqlite_url(const char *dir)
{
	return xasprintf("sqlite:///%s/airflow.db", dir);
}

/* tests/postgres.py, which runs these programs, names the folder of a private server's socket; without it there is no PostgreSQL here. */
#define SERVER "UPDRAFT_TEST_POSTGRES"
#define POOLER "UPDRAFT_TEST_POOLER"             /* likewise of a PgBouncer before it */

static void ask_server(const char *database, const char *sql)
{
	CLEANUP(freep) char *where = xasprintf("host=%s user=postgres dbname=%s", getenv(SERVER), database);
	PGconn *c = PQconnectdb(where);
	PGresult *res = PQexec(c, sql);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		print_error("%s: %s\n", sql, PQerrorMessage(c));
	PQclear(res);
	PQfinish(c);
}

static char *server_url(const char *dir, const char *host)
{
	CLEANUP(freep) char *name = xasprintf("t%s", strrchr(dir, '-') + 1);
	CLEANUP(freep) char *sql = xasprintf("CREATE DATABASE \"%s\" TEMPLATE template0", name);
	ask_server("postgres", sql);
	return xasprintf("postgresql+psycopg2://postgres@/%s?host=%s", name, host);
}

static char *postgres_url(const char *dir)
{
	return server_url(dir, getenv(SERVER));
}

static char *pooled_url(const char *dir)
{
	return server_url(dir, getenv(POOLER));
}

static void drop_database(const char *url)
{
	const char *name = strstr(url, "@/") + 2;
	CLEANUP(freep) char *sql = xasprintf("DROP DATABASE \"%.*s\" WITH (FORCE)", (int)strcspn(name, "?"), name);
	ask_server("postgres", sql);
}

const struct backend_case backends[] = { { "sqlite", sqlite_url, NULL, NULL }, { "postgres", postgres_url, drop_database, SERVER }, { "pgbouncer", pooled_url, drop_database, POOLER } };
const size_t backend_count = ARRAY_LEN(backends);

bool on_postgres(const struct fixture *f)
{
	return f->backend->drop != NULL;
}

int fixture_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);
	f->backend = *state;
	snprintf(f->dir, sizeof f->dir, "/tmp/store-test-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->url = f->backend->new_url(f->dir);
	*state = f;
	const struct store_options o = { .any_schema = true, .sync = STORE_NORMAL };
	if (store_open(f->url, &o, &f->store, &f->err) < 0 || store_migrate(f->store, NULL, NULL, &f->err) < 0) {
		print_error("%s\n", err_text(&f->err));
		return -1;
	}
	return 0;
}

static void remove_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}

int fixture_down(void **state)
{
	struct fixture *f = *state;
	store_close(f->store);
	err_clear(&f->err);
	if (f->backend->drop)
		f->backend->drop(f->url);
	remove_files(f->dir);
	free(f->url);
	free(f);
	return 0;
}

struct store *open_again(struct fixture *f, const struct store_options *o)
{
	struct store *s = NULL;
	assert_ok(f, store_open(f->url, o, &s, &f->err));
	return s;
}

int run_over_backends(const char *suite, size_t n, const struct store_test *from)
{
	int failed = 0;
	struct CMUnitTest *tests = xcalloc(n, sizeof *tests);
	for (size_t b = 0; b < backend_count; b++) {
		struct backend_case chosen = backends[b];
		if (chosen.needs && !getenv(chosen.needs)) {
			print_message("%s on %s: left out, no %s (run it by tests/postgres.py)\n", suite, chosen.name, chosen.needs);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			tests[i] = (struct CMUnitTest){ from[i].name, from[i].fn, fixture_up, fixture_down, &chosen };
		CLEANUP(freep) char *name = xasprintf("%s on %s", suite, chosen.name);
		failed += _cmocka_run_group_tests(name, tests, n, NULL, NULL);
	}
	free(tests);
	return failed;
}

void tiny_dag_init(struct tiny_dag *t, const char *dag_id, uint32_t n_tasks)
{
	assert(n_tasks <= ARRAY_LEN(t->tasks));
	*t = (struct tiny_dag){ .dag = { .refs = 1, .dag_id = dag_id, .bundle_name = "dags-folder", .bundle_version = "v9", .version_number = 1 } };
	t->dag.version_id = uuid_of(1000);
	t->dag.tasks = t->tasks;
	t->dag.n_tasks = n_tasks;
	for (uint32_t i = 0; i < n_tasks; i++) {
		t->names[i][0] = (char)('a' + i);
		t->tasks[i] = (struct dag_task){ .task_id = t->names[i], .pool = "default_pool", .queue = "default", .task_type = "BashOperator",
						 .owner = "me", .pool_slots = 1, .priority_weight = 1, .group = NO_INDEX, .mapped_group = NO_INDEX };
	}
}

struct dag_run tiny_run(struct tiny_dag *t, int64_t id, const char *run_id)
{
	return (struct dag_run){ .id = id, .run_id = run_id, .dag = &t->dag, .type = RUN_MANUAL, .state = RUN_RUNNING, .logical_date = USEC_NONE,
		.interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = 1000 * id, .queued_at = USEC_NONE, .start_date = USEC_NONE,
		.end_date = USEC_NONE, .last_decision = USEC_NONE, .is_new = true };
}

struct task_instance tiny_ti(struct dag_run *run, uint32_t task, int map_index)
{
	return (struct task_instance){ .id = uuid_of(run->id * 1000000 + task * 10000 + map_index + 1), .run = run, .task = task,
		.map_index = map_index, .state = TI_NONE, .scheduled_at = USEC_NONE, .queued_at = USEC_NONE, .start_date = USEC_NONE,
		.end_date = USEC_NONE, .not_before = USEC_NONE, .first_start = USEC_NONE, .pool = "default_pool", .pool_slots = 1,
		.priority_weight = 1, .is_new = true };
}

struct uuid uuid_of(int64_t n)
{
	struct uuid u = { { 0x01 } };
	memcpy(u.b + 8, &n, sizeof n);
	return u;
}
