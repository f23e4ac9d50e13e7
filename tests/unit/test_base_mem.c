/* base: errors, arenas, buffers, arrays, maps, heaps. */
#include "base/base.h"
#include <errno.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_error_table(void **state)
{
	(void)state;
	assert_int_equal(E_INVALID, -1);
	assert_int_equal(error_http(E_INVALID), 422);
	assert_int_equal(error_http(E_FENCED), 409);
	assert_int_equal(error_http(-1000), 500);
	assert_int_equal(error_http(3), 500);
	assert_string_equal(error_title(E_NOT_FOUND), "not found");
	assert_string_equal(error_title(0), "success");
	assert_string_equal(error_title(INT32_MIN), "unknown error");
}

static void test_error_text(void **state)
{
	(void)state;
	struct err e = {0};
	assert_string_equal(err_text(&e), "success");
	assert_string_equal(err_text(NULL), "");
	assert_int_equal(err_set(&e, E_NOT_FOUND, "no dag \"%s\"", "x"), E_NOT_FOUND);
	assert_int_equal(err_context(&e, "run %d", 7), E_NOT_FOUND);
	assert_string_equal(err_text(&e), "run 7: no dag \"x\"");
	err_set(&e, E_BUSY, "again: %s", err_text(&e));   /* the old text as an argument of the new one */
	assert_string_equal(err_text(&e), "again: run 7: no dag \"x\"");
	assert_int_equal(err_errno(&e, ENOENT, "open %s", "f"), E_SYSTEM);
	assert_string_equal(err_text(&e), "open f: No such file or directory");
	assert_int_equal(err_errno(&e, ENOSPC, "write"), E_NO_SPACE);
	assert_int_equal(err_errno(&e, 123456, "odd"), E_SYSTEM);
	assert_string_equal(err_text(&e), "odd: error 123456");
	err_clear(&e);
	assert_int_equal(e.code, 0);
	assert_int_equal(err_set(NULL, E_LIMIT, "nobody reads this"), E_LIMIT);
	assert_int_equal(err_errno(NULL, ENOSPC, "x"), E_NO_SPACE);
	assert_true(err_context(NULL, "x") < 0);
}

static void test_arena(void **state)
{
	(void)state;
	struct arena a = {0};
	for (size_t n = 0; n < 3000; n += 7) {
		unsigned char *p = arena_alloc(&a, n);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
	}
	unsigned char *big = arena_alloc(&a, 1 << 20);
	assert_int_equal(big[(1 << 20) - 1], 0);
	assert_string_equal(arena_strdup(&a, "hello"), "hello");
	assert_string_equal(arena_strndup(&a, "hello", 2), "he");
	assert_null(arena_strdup(&a, NULL));
	assert_null(arena_strndup(&a, NULL, 3));
	assert_string_equal(arena_printf(&a, "%s-%d", "x", 5), "x-5");
	char *longer = arena_printf(&a, "%0500d", 1);
	assert_int_equal(strlen(longer), 500);
	assert_true(a.used_total > 1 << 20);
	arena_clear(&a);
	assert_null(a.head);
	arena_clear(&a);
}

static void test_buf(void **state)
{
	(void)state;
	struct buf b = {0};
	CLEANUP(freep) char *empty = buf_steal(&b);
	assert_string_equal(empty, "");
	buf_reset(&b);
	buf_adds(&b, "abc");
	buf_addc(&b, 'd');
	buf_add(&b, NULL, 0);
	buf_printf(&b, "%0300d", 5);
	assert_int_equal(b.len, 304);
	assert_int_equal(b.data[304], 0);
	buf_consume(&b, 303);
	assert_string_equal(b.data, "5");
	buf_consume(&b, 1);
	assert_string_equal(b.data, "");
	for (int i = 0; i < 10000; i++)
		buf_addc(&b, 'x');
	assert_int_equal(strlen(b.data), 10000);
	buf_reset(&b);
	assert_string_equal(b.data, "");
	assert_true(b.cap >= 10000);
	buf_clear(&b);
	assert_null(b.data);
	CLEANUP(freep) char *text = xasprintf("%d%%", 5);
	assert_string_equal(text, "5%");
}

static void test_vec(void **state)
{
	(void)state;
	VEC(int) v = {0};
	for (int i = 0; i < 1000; i++)
		vec_push(&v, i);
	vec_room(&v, 500);
	assert_true(v.cap >= 1500);
	assert_int_equal(v.n, 1000);
	assert_int_equal(v.at[999], 999);
	vec_clear(&v);
	assert_null(v.at);
	assert_int_equal(v.n, 0);
}

static void key_of(int i, char text[16])
{
	snprintf(text, 16, "key%d", i);
}

static void test_map(void **state)
{
	(void)state;
	struct map m = {0};
	static int values[2000];
	char key[16];
	assert_null(map_get(&m, "x"));
	assert_null(map_del(&m, "x"));
	for (int i = 0; i < 2000; i++) {
		key_of(i, key);
		assert_null(map_put(&m, key, &values[i]));
	}
	assert_ptr_equal(map_put(&m, "key7", &values[8]), &values[7]);
	assert_ptr_equal(map_getn(&m, "key7xyz", 4), &values[8]);
	assert_null(map_getn(&m, "key7", 3));
	for (int i = 0; i < 2000; i += 2) {
		key_of(i, key);
		assert_ptr_equal(map_del(&m, key), &values[i]);
		assert_null(map_get(&m, key));
	}
	assert_int_equal(m.live, 1000);
	int seen = 0;
	map_each(&m, e) {   /* in order of insertion */
		key_of(seen * 2 + 1, key);
		assert_string_equal(e->key, key);
		seen++;
	}
	assert_int_equal(seen, 1000);
	map_clear(&m);
	map_each(&m, e)
		fail();
}

/* adding and removing without end must not grow the table */
static void test_map_churn(void **state)
{
	(void)state;
	struct map m = {0};
	char key[16];
	for (int i = 0; i < 100000; i++) {
		key_of(i, key);
		map_put(&m, key, &m);
		if (i >= 5) {
			key_of(i - 5, key);
			assert_ptr_equal(map_del(&m, key), &m);
		}
	}
	assert_int_equal(m.live, 5);
	assert_true(m.cap <= 64);
	map_clear(&m);
}

static void test_heap(void **state)
{
	(void)state;
	enum { N = 500 };
	static struct heap_item items[N];
	struct heap h = {0};
	uint64_t seed = 1;
	assert_null(heap_top(&h));
	for (int i = 0; i < N; i++) {
		items[i].pos = UINT32_MAX;
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		heap_put(&h, &items[i], (int64_t)(seed >> 40));
	}
	for (int i = 0; i < N; i += 3)
		heap_put(&h, &items[i], items[i].key - 5000000);   /* move */
	for (int i = 1; i < N; i += 3)
		heap_remove(&h, &items[i]);
	heap_remove(&h, &items[1]);
	assert_int_equal(h.n, N - (N + 1) / 3);
	int64_t last = INT64_MIN;
	for (struct heap_item *top; (top = heap_top(&h)); heap_remove(&h, top)) {
		assert_true(top->key >= last);
		last = top->key;
	}
	heap_put(&h, &items[0], 1);
	heap_clear(&h);
	assert_int_equal(items[0].pos, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_table), cmocka_unit_test(test_error_text), cmocka_unit_test(test_arena), cmocka_unit_test(test_buf),
		cmocka_unit_test(test_vec), cmocka_unit_test(test_map), cmocka_unit_test(test_map_churn), cmocka_unit_test(test_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
