/* msgpack: one pass from bytes to jansson values, and back. */
#include "base/msgpack.h"
#include "base/time.h"
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>

struct reader {
	const uint8_t *start, *at, *end;
	int depth;
	struct err *err;
	int code;
};

static json_t *read_value(struct reader *r);

static json_t *fail(struct reader *r, int code, const char *what)
{
	if (!r->code)
		r->code = err_set(r->err, code, "bad msgpack at byte %zu: %s", (size_t)(r->at - r->start), what);
	return NULL;
}

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* a big-endian unsigned of 1, 2, 4 or 8 bytes */
static bool read_be(struct reader *r, size_t size, uint64_t *ret)
{
	if (left(r) < size) {
		fail(r, E_PROTOCOL, "the message ends too early");
		return false;
	}
	uint64_t v = 0;
	for (size_t i = 0; i < size; i++)
		v = v << 8 | r->at[i];
	r->at += size;
	*ret = v;
	return true;
}

static json_t *read_unsigned(struct reader *r, size_t size)
{
	uint64_t v;
	if (!read_be(r, size, &v))
		return NULL;
	if (v > INT64_MAX) {
		char digits[24];
		return json_odd_number(digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, v));
	}
	return json_integer((json_int_t)v);
}

static json_t *read_signed(struct reader *r, size_t size)
{
	uint64_t v;
	if (!read_be(r, size, &v))
		return NULL;
	uint64_t sign = (uint64_t)1 << (size * 8 - 1);
	return json_integer((json_int_t)((v ^ sign) - sign));
}

static json_t *real_of(double v)
{
	const char *odd = isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
	return isfinite(v) ? json_real(v) : json_odd_number(odd, strlen(odd));
}

static json_t *read_float32(struct reader *r)
{
	uint64_t bits;
	float v;
	if (!read_be(r, 4, &bits))
		return NULL;
	uint32_t bits32 = (uint32_t)bits;
	memcpy(&v, &bits32, sizeof v);
	return real_of((double)v);
}

static json_t *read_float64(struct reader *r)
{
	uint64_t bits;
	double v;
	if (!read_be(r, 8, &bits))
		return NULL;
	memcpy(&v, &bits, sizeof v);
	return real_of(v);
}

static bool read_text(struct reader *r, size_t n, const char **ret)
{
	if (left(r) < n) {
		fail(r, E_PROTOCOL, "a string is longer than the message");
		return false;
	}
	*ret = (const char *)r->at;
	if (!utf8_valid(*ret, n)) {
		fail(r, E_PROTOCOL, "a string that is not UTF-8");
		return false;
	}
	r->at += n;
	return true;
}

static json_t *read_str(struct reader *r, size_t n)
{
	const char *s;
	return read_text(r, n, &s) ? json_stringn_nocheck(s, n) : NULL;
}

static json_t *read_array(struct reader *r, size_t n)
{
	if (n > left(r))   /* every element takes a byte at least */
		return fail(r, E_PROTOCOL, "an array has more elements than the message has bytes");
	if (++r->depth > MSGPACK_DEPTH_MAX)
		return fail(r, E_LIMIT, "nested deeper than 1000 levels");
	json_t *array = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *v = read_value(r);
		if (!v || json_array_append_new(array, v) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	r->depth--;
	return array;
}

/* the key's text; integers are spelled in `space` */
static bool read_key(struct reader *r, char space[24], const char **ret, size_t *ret_n)
{
	json_t *key = NULL;
	uint64_t n;
	if (!left(r))
		return fail(r, E_PROTOCOL, "the message ends too early");
	uint8_t c = *r->at;
	if ((c & 0xe0) == 0xa0) {
		r->at++;
		*ret_n = c & 0x1f;
		return read_text(r, *ret_n, ret);
	}
	if (c >= 0xd9 && c <= 0xdb) {
		r->at++;
		if (!read_be(r, (size_t)1 << (c - 0xd9), &n))
			return false;
		*ret_n = (size_t)n;
		return read_text(r, *ret_n, ret);
	}
	if (c < 0x80 || c >= 0xe0 || (c >= 0xcc && c <= 0xd3))
		key = read_value(r);
	if (!key)
		return fail(r, E_PROTOCOL, "a map key that is neither a string nor an integer");
	if (json_odd_text(key))
		*ret_n = (size_t)snprintf(space, 24, "%s", json_odd_text(key));
	else
		*ret_n = (size_t)snprintf(space, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(key));
	*ret = space;
	json_decref(key);
	return true;
}

static json_t *read_map(struct reader *r, size_t n)
{
	if (n > left(r) / 2)
		return fail(r, E_PROTOCOL, "a map has more members than the message has bytes");
	if (++r->depth > MSGPACK_DEPTH_MAX)
		return fail(r, E_LIMIT, "nested deeper than 1000 levels");
	json_t *map = json_object();
	for (size_t i = 0; i < n; i++) {
		char space[24];
		const char *key = NULL;
		size_t key_n = 0;
		json_t *v = read_key(r, space, &key, &key_n) ? read_value(r) : NULL;
		if (!v || json_object_setn_new_nocheck(map, key, key_n, v) < 0) {
			json_decref(map);
			return NULL;
		}
	}
	r->depth--;
	return map;
}

/* ext -1: 4 bytes seconds; 8 bytes nanoseconds << 34 | seconds; 12 bytes u32 nanoseconds, i64 seconds */
static json_t *read_timestamp(struct reader *r, size_t n)
{
	uint64_t a = 0, seconds = 0, nanoseconds = 0;
	bool ok = n == 12 ? read_be(r, 4, &nanoseconds) && read_be(r, 8, &seconds) : read_be(r, n, &a);
	if (!ok)
		return NULL;
	if (n == 4)
		seconds = a;
	if (n == 8) {
		seconds = a & 0x3ffffffffu;
		nanoseconds = a >> 34;
	}
	/* years 1 to 9999, as far as Python's datetime goes */
	if ((int64_t)seconds < -62135596800 || (int64_t)seconds > 253402300799 || nanoseconds > 999999999)
		return fail(r, E_PROTOCOL, "a timestamp out of range");
	char text[40];
	time_format((int64_t)seconds * USEC_SEC + (int64_t)(nanoseconds / 1000), TIME_ISO_Z, text);
	return json_string(text);
}

static json_t *read_ext(struct reader *r, size_t n)
{
	uint64_t type;
	if (!read_be(r, 1, &type))
		return NULL;
	if (type != 0xff || (n != 4 && n != 8 && n != 12))
		return fail(r, E_PROTOCOL, "an extension that is not a timestamp");
	return read_timestamp(r, n);
}

static json_t *read_sized(struct reader *r, size_t size, json_t *(*read)(struct reader *, size_t))
{
	uint64_t n;
	return read_be(r, size, &n) ? read(r, (size_t)n) : NULL;
}

static json_t *read_value(struct reader *r)
{
	if (!left(r))
		return fail(r, E_PROTOCOL, "the message ends too early");
	uint8_t c = *r->at++;
	if (c < 0x80)
		return json_integer(c);
	if (c < 0x90)
		return read_map(r, c & 0x0f);
	if (c < 0xa0)
		return read_array(r, c & 0x0f);
	if (c < 0xc0)
		return read_str(r, c & 0x1f);
	if (c >= 0xe0)
		return json_integer((int8_t)c);
	switch (c) {
	case 0xc0: return json_null();
	case 0xc2: return json_false();
	case 0xc3: return json_true();
	case 0xc4: case 0xc5: case 0xc6: return read_sized(r, (size_t)1 << (c - 0xc4), read_str);   /* bin */
	case 0xc7: case 0xc8: case 0xc9: return read_sized(r, (size_t)1 << (c - 0xc7), read_ext);
	case 0xca: return read_float32(r);
	case 0xcb: return read_float64(r);
	case 0xcc: case 0xcd: case 0xce: case 0xcf: return read_unsigned(r, (size_t)1 << (c - 0xcc));
	case 0xd0: case 0xd1: case 0xd2: case 0xd3: return read_signed(r, (size_t)1 << (c - 0xd0));
	case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return read_ext(r, (size_t)1 << (c - 0xd4));
	case 0xd9: case 0xda: case 0xdb: return read_sized(r, (size_t)1 << (c - 0xd9), read_str);
	case 0xdc: case 0xdd: return read_sized(r, (size_t)2 << (c - 0xdc), read_array);
	case 0xde: case 0xdf: return read_sized(r, (size_t)2 << (c - 0xde), read_map);
	default: return fail(r, E_PROTOCOL, "byte c1, which msgpack does not use");
	}
}

int msgpack_read(const void *p, size_t n, json_t **ret, struct err *err)
{
	struct reader r = { .start = p, .at = p, .end = n ? (const uint8_t *)p + n : p, .err = err };
	json_t *v = read_value(&r);
	if (v && r.at != r.end) {
		fail(&r, E_PROTOCOL, "something follows the message");
		json_decref(v);
		v = NULL;
	}
	if (!v)
		return r.code ? r.code : err_set(err, E_PROTOCOL, "bad msgpack");
	*ret = v;
	return 0;
}

/* ---- writing ---- */

static void put(struct buf *out, uint8_t head, uint64_t v, size_t size)
{
	char bytes[9] = { (char)head };
	for (size_t i = 0; i < size; i++)
		bytes[1 + i] = (char)(v >> (8 * (size - 1 - i)));
	buf_add(out, bytes, 1 + size);
}

static void put_int(struct buf *out, int64_t v)
{
	uint64_t u = (uint64_t)v;
	if (v >= 0) {
		if (v < 0x80)
			put(out, (uint8_t)v, 0, 0);
		else if (v <= UINT8_MAX)
			put(out, 0xcc, u, 1);
		else if (v <= UINT16_MAX)
			put(out, 0xcd, u, 2);
		else if (v <= UINT32_MAX)
			put(out, 0xce, u, 4);
		else
			put(out, 0xcf, u, 8);
	} else if (v >= -32) {
		put(out, (uint8_t)v, 0, 0);
	} else if (v >= INT8_MIN) {
		put(out, 0xd0, u, 1);
	} else if (v >= INT16_MIN) {
		put(out, 0xd1, u, 2);
	} else if (v >= INT32_MIN) {
		put(out, 0xd2, u, 4);
	} else {
		put(out, 0xd3, u, 8);
	}
}

/* a length: in the head byte below `fix_limit`, else `head8` (0: no such form), head8+1, head8+2 */
static void put_length(struct buf *out, uint8_t fix, size_t fix_limit, uint8_t head8, uint8_t head16, size_t n)
{
	assert(n <= UINT32_MAX);
	if (n < fix_limit)
		put(out, (uint8_t)(fix | n), 0, 0);
	else if (head8 && n <= UINT8_MAX)
		put(out, head8, n, 1);
	else if (n <= UINT16_MAX)
		put(out, head16, n, 2);
	else
		put(out, (uint8_t)(head16 + 1), n, 4);
}

static void put_text(struct buf *out, const char *s, size_t n)
{
	put_length(out, 0xa0, 32, 0xd9, 0xda, n);
	buf_add(out, s, n);
}

static void put_real(struct buf *out, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	put(out, 0xcb, bits, 8);
}

/* an integer beyond 64 bits with sign (as real when 64 bits without do not hold it either), nan, inf */
static void put_odd(struct buf *out, const char *text)
{
	char *end;
	errno = 0;
	uint64_t whole = strtoull(text, &end, 10);
	if (!*end && *text != '-' && errno != ERANGE)
		put(out, 0xcf, whole, 8);
	else
		put_real(out, strtod(text, NULL));
}

static void put_array(struct buf *out, const json_t *v)
{
	size_t n = json_array_size(v);
	put_length(out, 0x90, 16, 0, 0xdc, n);
	for (size_t i = 0; i < n; i++)
		msgpack_write(out, json_array_get(v, i));
}

static void put_map(struct buf *out, const json_t *v)
{
	union { const json_t *in; json_t *out; } o = { .in = v };   /* jansson's iterators want it mutable, change nothing */
	put_length(out, 0x80, 16, 0, 0xde, json_object_size(v));
	for (void *it = json_object_iter(o.out); it; it = json_object_iter_next(o.out, it)) {
		put_text(out, json_object_iter_key(it), json_object_iter_key_len(it));
		msgpack_write(out, json_object_iter_value(it));
	}
}

void msgpack_write(struct buf *out, const json_t *v)
{
	if (!v) {
		put(out, 0xc0, 0, 0);
		return;
	}
	switch (json_typeof(v)) {
	case JSON_OBJECT:  put_map(out, v); break;
	case JSON_ARRAY:   put_array(out, v); break;
	case JSON_STRING:
		if (json_odd_text(v))
			put_odd(out, json_odd_text(v));
		else
			put_text(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER: put_int(out, json_integer_value(v)); break;
	case JSON_REAL:    put_real(out, json_real_value(v)); break;
	case JSON_TRUE:    put(out, 0xc3, 0, 0); break;
	case JSON_FALSE:   put(out, 0xc2, 0, 0); break;
	case JSON_NULL:    put(out, 0xc0, 0, 0); break;
	}
}
