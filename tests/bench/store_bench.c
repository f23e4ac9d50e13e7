/* store_bench [DIRECTORY]: what the store does a second, singly and in batches, FULL and NORMAL. Never pass or fail.
 * The directory should be on the disk that matters, not in memory; the default is the current one. */
#include <time.h>
#include <unistd.h>
#include "store/rows.h"

#define TASKS 2000

struct bench { struct store *store; struct dag dag; struct dag_task tasks[TASKS]; char names[TASKS][12]; struct dag_run run; struct task_instance ti[TASKS]; };

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int rc, const struct err *err)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "store_bench: %s\n", err_text(err));
	exit(1);
}

static int server_pid;                           /* of our connection's process, when it is on this machine */

/* CPU of this process and of its server's, seconds: what tells on a busy machine */
static double cpu_seconds(void)
{
	struct timespec t;
	unsigned long user = 0, system = 0;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	CLEANUP(freep) char *path = xasprintf("/proc/%d/stat", server_pid);
	FILE *f = server_pid ? fopen(path, "r") : NULL;
	if (f) {
		if (fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
			user = system = 0;
		fclose(f);
	}
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9 + (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_before;

static void report(const char *what, const char *sync, int n, double took)
{
	printf("%-34s %-7s %9.0f /s   %8.2f us each   %8.2f us CPU\n", what, sync, n / took, took / n * 1e6, (cpu_seconds() - cpu_before) / n * 1e6);
	cpu_before = cpu_seconds();
}

static int find_server(struct store *s, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(s, "SELECT pg_backend_pid()", NULL, 0, &r, err);
	if (rc == 0)
		rc = rows_next(&r, err);
	return rc < 0 ? rc : (int)row_int(&r, 0);
}

static void make_dag(struct bench *b)
{
	b->dag = (struct dag){ .refs = 1, .dag_id = "bench", .tasks = b->tasks, .n_tasks = TASKS, .version_id = { { 1 } } };
	for (int i = 0; i < TASKS; i++) {
		snprintf(b->names[i], sizeof b->names[i], "task_%d", i);
		b->tasks[i] = (struct dag_task){ .task_id = b->names[i] };
	}
}

static void make_run(struct bench *b, int64_t id)
{
	static char run_id[40];
	snprintf(run_id, sizeof run_id, "manual__%lld", (long long)id);
	b->run = (struct dag_run){ .id = id, .run_id = run_id, .dag = &b->dag, .type = RUN_MANUAL, .state = RUN_RUNNING, .logical_date = id,
				   .run_after = id, .is_new = true };
	for (int i = 0; i < TASKS; i++) {
		b->ti[i] = (struct task_instance){ .run = &b->run, .task = (uint32_t)i, .map_index = -1, .pool = "default_pool", .pool_slots = 1,
						   .priority_weight = 1, .is_new = true, .hostname = "host.example.com", .unixname = "airflow" };
		int64_t n = id * TASKS + i;
		for (int k = 0; k < 8; k++)
			b->ti[i].id.b[k] = (uint8_t)(n >> (56 - 8 * k));
	}
}

static double insert_run(struct bench *b, int64_t id, struct err *err)
{
	make_run(b, id);
	double t = seconds();
	must(store_begin(b->store, err), err);
	must(store_save_run(b->store, &b->run, 1, err), err);
	for (int i = 0; i < TASKS; i++)
		must(store_save_ti(b->store, &b->ti[i], 1, err), err);
	must(store_commit(b->store, err), err);
	t = seconds() - t;
	for (int i = 0; i < TASKS; i++)
		b->ti[i].is_new = false;
	return t;
}

/* each of `n` updates moves one task instance to its next state, `batch` of them a commit */
static double update(struct bench *b, int n, int batch, struct err *err)
{
	static const enum ti_state next[] = { TI_SCHEDULED, TI_QUEUED, TI_RUNNING, TI_SUCCESS };
	double t = seconds();
	for (int i = 0; i < n; i++) {
		struct task_instance *ti = &b->ti[i % TASKS];
		if (i % batch == 0)
			must(store_begin(b->store, err), err);
		ti->state = next[(i / TASKS) % (int)ARRAY_LEN(next)];
		ti->start_date = i;
		must(store_save_ti(b->store, ti, i, err), err);
		if (i % batch == batch - 1 || i == n - 1)
			must(store_commit(b->store, err), err);
	}
	return seconds() - t;
}

static int count_ti(void *arg, const struct ti_row *row)
{
	(void)row;
	++*(int *)arg;
	return 0;
}

static void measure(struct bench *b, const char *url, enum store_sync sync)
{
	static const struct { int batch, n; } cases[] = { { 1, 1000 }, { 10, 4000 }, { 50, 20000 }, { 500, 100000 } };
	const struct store_options o = { .sync = sync, .any_schema = true };
	const char *name = sync == STORE_FULL ? "FULL" : "NORMAL";
	struct err err = {0};
	int n = 0;
	must(store_open(url, &o, &b->store, &err), &err);
	must(store_migrate(b->store, NULL, NULL, &err), &err);
	if (!store_is_file(b->store))
		must(server_pid = find_server(b->store, &err), &err);
	cpu_before = cpu_seconds();
	double took = insert_run(b, sync == STORE_FULL ? 1 : 2, &err);
	report("insert a run of 2,000 tasks", name, TASKS, took);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char what[40];
		snprintf(what, sizeof what, "state updates, %d a commit", cases[i].batch);
		report(what, name, cases[i].n, (took = update(b, cases[i].n, cases[i].batch, &err)));
	}
	double t = seconds();
	must(store_load_tis(b->store, b->run.id, count_ti, &n, &err), &err);
	report("load the run again", name, n, seconds() - t);
	t = seconds();
	must(store_begin(b->store, &err), &err);
	must(store_delete_run(b->store, b->run.id, &err), &err);
	must(store_commit(b->store, &err), &err);
	report("delete it", name, n, seconds() - t);
	store_close(b->store);
}

int main(int argc, char **argv)
{
	CLEANUP(freep) char *dir = xasprintf("%s/store-bench-XXXXXX", argc > 1 ? argv[1] : ".");
	static struct bench b;
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	CLEANUP(freep) char *path = xasprintf("%s/airflow.db", dir);
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s", path);
	make_dag(&b);
	if (argc > 2) {                                  /* the URL of an empty database on a server */
		measure(&b, argv[2], STORE_FULL);
		rmdir(dir);
		return 0;
	}
	measure(&b, url, STORE_FULL);
	measure(&b, url, STORE_NORMAL);
	unlink(path);
	rmdir(dir);
	return 0;
}
