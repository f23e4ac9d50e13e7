/* proto: frames survive every way of being cut; impossible lengths are refused. channel: the official framing likewise. */
#include "exec/proto.h"
#include "python/channel.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct { enum proto_kind kind; uint64_t child; const char *payload; size_t n; } frames[] = {
	{ PROTO_HELLO, 0, "{}", 2 }, { PROTO_ACK, UINT64_MAX, "", 0 }, { PROTO_FRAME, 1, "\0\xff\0", 3 }, { PROTO_EXIT, 1ull << 40, "{\"status\":0}", 12 },
};

static void written(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(frames); i++)
		proto_put(out, frames[i].kind, frames[i].child, frames[i].payload, frames[i].n);
}

static void test_round_trip(void **state)
{
	(void)state;
	struct buf b = {0};
	written(&b);
	size_t at = 0;
	struct proto_frame f;
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		assert_int_equal(proto_next(b.data, b.len, &at, &f, NULL), 1);
		assert_int_equal(f.kind, frames[i].kind);
		assert_true(f.child == frames[i].child);
		assert_int_equal(f.n, frames[i].n);
		assert_memory_equal(f.payload, frames[i].payload, f.n);
	}
	assert_int_equal(proto_next(b.data, b.len, &at, &f, NULL), 0);
	assert_int_equal(at, b.len);
	buf_clear(&b);
}

static void test_layout(void **state)
{
	(void)state;
	struct buf b = {0};
	proto_put(&b, PROTO_KILL, 0x0102030405060708, "ab", 2);
	static const char wanted[] = "\x0b\0\0\0" "\x05" "\x08\x07\x06\x05\x04\x03\x02\x01" "ab";
	assert_int_equal(b.len, sizeof wanted - 1);
	assert_memory_equal(b.data, wanted, b.len);
	buf_clear(&b);
}

static void test_cut_everywhere(void **state)
{
	(void)state;
	struct buf b = {0};
	written(&b);
	for (size_t cut = 0; cut <= b.len; cut++) {
		size_t at = 0, seen = 0;
		struct proto_frame f;
		while (proto_next(b.data, cut, &at, &f, NULL) == 1)
			seen++;
		while (proto_next(b.data, b.len, &at, &f, NULL) == 1)
			seen++;
		assert_int_equal(seen, ARRAY_LEN(frames));
	}
	buf_clear(&b);
}

static void test_impossible_lengths(void **state)
{
	(void)state;
	static const char *const bad[] = { "\0\0\0\0", "\x08\0\0\0", "\x01\0\0\x05", "\xff\xff\xff\xff" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};
		struct proto_frame f;
		size_t at = 0;
		assert_int_equal(proto_next(bad[i], 4, &at, &f, &err), E_PROTOCOL);
		assert_non_null(strstr(err_text(&err), "are allowed"));
		err_clear(&err);
	}
}

static void test_in_place(void **state)
{
	(void)state;
	struct buf a = {0}, b = {0};
	size_t start = proto_begin(&a, PROTO_SPAWN, 7);
	buf_adds(&a, "text");
	proto_end(&a, start);
	proto_put(&b, PROTO_SPAWN, 7, "text", 4);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	buf_clear(&a);
	buf_clear(&b);
}

/* ---- channel ---- */

static void test_channel(void **state)
{
	(void)state;
	struct buf b = {0};
	channel_put(&b, "\x91\x01", 2);
	channel_put(&b, "", 0);
	channel_put(&b, "\x92\xcd\x01\x00\xc0", 5);
	assert_memory_equal(b.data, "\0\0\0\2\x91\1\0\0\0\0\0\0\0\5", 14);
	for (size_t step = 1; step <= b.len; step++) {
		struct channel_reader r = { .cap = 100 };
		size_t seen = 0, n, sizes = 0;
		const char *p;
		for (size_t at = 0; at < b.len; at += step) {
			channel_feed(&r, b.data + at, step < b.len - at ? step : b.len - at);
			while (channel_next(&r, &p, &n, NULL) == 1) {
				seen++;
				sizes += n;
			}
		}
		assert_int_equal(seen, 3);
		assert_int_equal(sizes, 7);
		channel_clear(&r);
	}
	buf_clear(&b);
}

static void test_channel_limit(void **state)
{
	(void)state;
	struct channel_reader r = { .cap = 16 };
	struct err err = {0};
	const char *p;
	size_t n;
	channel_feed(&r, "\0\0\0\x11", 4);
	assert_int_equal(channel_next(&r, &p, &n, &err), E_LIMIT);
	assert_string_equal(err_text(&err), "a message of 17 bytes was announced on the supervisor channel; at most 16 are allowed");
	err_clear(&err);
	channel_clear(&r);
}

static const struct { const char *bytes; size_t n; int64_t id; } ids[] = {   /* id -1: refused */
	{ "\x91\x00", 2, 0 }, { "\x93\x7f", 2, 127 }, { "\x92\xcc\xff", 3, 255 }, { "\x92\xcd\x01\x02", 4, 258 }, { "\x92\xce\0\1\0\0", 6, 65536 },
	{ "\x92\xcf\0\0\0\1\0\0\0\0", 10, 1ll << 32 }, { "\xdc\0\2\x05\xc0", 5, 5 }, { "\xdd\0\0\0\2\x06", 6, 6 },
	{ "", 0, -1 }, { "\x92", 1, -1 }, { "\x80", 1, -1 }, { "\x92\xff", 2, -1 }, { "\x92\xcd\x01", 3, -1 }, { "\x92\xa1x", 3, -1 }, { "\xdc\0", 2, -1 },
	{ "\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 10, -1 }, { "abcd", 4, -1 },
};

static void test_channel_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		int64_t id = -1;
		int r = channel_id(ids[i].bytes, ids[i].n, &id);
		assert_int_equal(r, ids[i].id < 0 ? E_PROTOCOL : 0);
		assert_true(id == ids[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_layout), cmocka_unit_test(test_cut_everywhere), cmocka_unit_test(test_impossible_lengths),
		cmocka_unit_test(test_in_place), cmocka_unit_test(test_channel), cmocka_unit_test(test_channel_limit), cmocka_unit_test(test_channel_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
