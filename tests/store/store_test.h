/* store_test: one suite over every backend. A test gets a fresh, migrated store in a private directory; the backends
 * are the rows of `backends` in store_test.c. */
#pragma once
#include <setjmp.h>
#include "store/rows.h"
#include <cmocka.h>

struct backend_case { const char *name; char *(*new_url)(const char *dir); void (*drop)(const char *url); const char *needs; };   /* drop: of a server only; needs: a variable of the environment */
struct fixture {
  const struct backend_case *backend;
  char dir[64];
  char *url;
  struct store *store;
  struct err err;
};
extern const struct backend_case backends[];
extern const size_t backend_count;

bool on_postgres(const struct fixture *f);
#define ONLY_SQLITE(f) do { if (on_postgres(f)) skip(); } while (0)   /* what the test looks at is a file */

int fixture_up(void **state);                    /* *state is the backend_case on entry, the fixture afterwards */
int fixture_down(void **state);
struct store *open_again(struct fixture *f, const struct store_options *o);   /* another connection; fails the test on error */
struct store_test { const char *name; void (*fn)(void **); };
#define T(fn) { #fn, fn }
int run_over_backends(const char *suite, size_t n, const struct store_test *tests);   /* the number of failures */

#define assert_ok(f, call) do { \
	int rc_ = (call); \
	if (rc_ < 0) \
		fail_msg("%s: %d, %s", #call, rc_, err_text(&(f)->err)); \
} while (0)
#define assert_fails(f, code, needle, call) do { \
	err_clear(&(f)->err); \
	assert_int_equal((call), (code)); \
	if (!strstr(err_text(&(f)->err), needle)) \
		fail_msg("%s: the text \"%s\" does not say \"%s\"", #call, err_text(&(f)->err), needle); \
	err_clear(&(f)->err); \
} while (0)

/* a DAG version by hand: tasks "a", "b", ... */
struct tiny_dag { struct dag dag; struct dag_task tasks[26]; char names[26][2]; };
void tiny_dag_init(struct tiny_dag *t, const char *dag_id, uint32_t n_tasks);
struct dag_run tiny_run(struct tiny_dag *t, int64_t id, const char *run_id);
struct task_instance tiny_ti(struct dag_run *run, uint32_t task, int map_index);
struct uuid uuid_of(int64_t n);
