/* base: what every room may use. No domain, no globals that change, no I/O but where a header says so.
 *
 * Conventions of the whole tree:
 *   - int results are 0 or a negative id of base/errors.def; ret_* outputs are untouched on failure.
 *   - the last parameter `struct err *` collects finished text for a person; NULL is allowed.
 *   - usec_t is microseconds since 1970-01-01T00:00:00Z, or a span in microseconds; USEC_NONE = absent.
 */
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>
#include "base/banned.h"

typedef int64_t usec_t;
#define USEC_NONE INT64_MIN
#define USEC_SEC ((usec_t)1000000)
#define USEC_MSEC ((usec_t)1000)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define MUST_USE __attribute__((warn_unused_result))

/* ---- errors (err.c; ids in errors.def) ---- */
enum {
#define ERROR(id, number, http, title) id = -(number),
#include "base/errors.def"
#undef ERROR
};
int error_http(int code);              /* HTTP status for a code; 500 for an unknown one */
const char *error_title(int code);

struct err { int code; char *text; };  /* zero-initialise; text is owned, free with err_clear */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);   /* replaces; returns code */
int err_context(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);         /* prepends "fmt: "; returns e->code (E_SYSTEM when e is NULL) */
int err_errno(struct err *e, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4); /* "fmt: strerror", E_SYSTEM (ENOSPC: E_NO_SPACE) */
void err_clear(struct err *e);
const char *err_text(const struct err *e);   /* never NULL */

/* ---- memory (mem.c): allocation never returns NULL; out of memory prints one line to fd 2 and aborts ---- */
_Noreturn void out_of_memory(void);            /* also for third-party calls that fail for lack of memory only */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);          /* overflow checked */
void *xrealloc_array(void *p, size_t n, size_t size);
char *xstrdup(const char *s);                  /* NULL -> NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);
void freep(void *pp);                          /* for CLEANUP(freep) on any pointer variable */

/* arena: freed as a whole; one per request, tick or DAG version */
struct arena { struct arena_block *head; size_t used_total; };
void *arena_alloc(struct arena *a, size_t n);  /* zeroed, 16-byte aligned */
char *arena_strdup(struct arena *a, const char *s);           /* NULL -> NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void arena_clear(struct arena *a);

/* growing byte buffer; data is always NUL-terminated once non-empty (NUL not counted) */
struct buf { char *data; size_t len, cap; };
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
void buf_consume(struct buf *b, size_t n);     /* drop n bytes from the front */
char *buf_steal(struct buf *b);                /* caller frees; "" if empty; buffer is reset */
void buf_reset(struct buf *b);                 /* len = 0, keeps memory */
void buf_clear(struct buf *b);                 /* frees */

/* dynamic array of T: `VEC(int) v = {0}; vec_push(&v, 3); v.at[i], v.n; vec_clear(&v)` */
#define VEC(T) struct { T *at; size_t n, cap; }
void vec_grow_(void **at, size_t *cap, size_t need, size_t size);
#define vec_push(v, x) (vec_grow_((void **)&(v)->at, &(v)->cap, (v)->n + 1, sizeof *(v)->at), (v)->at[(v)->n++] = (x))
#define vec_room(v, k) vec_grow_((void **)&(v)->at, &(v)->cap, (v)->n + (k), sizeof *(v)->at)
#define vec_clear(v) (freep(&(v)->at), (v)->n = (v)->cap = 0)

/* string-keyed hash map to void*; keys are copied; iteration in insertion order */
struct map { struct map_entry *entries; uint32_t *slots; size_t n, cap, nslots, live; };
struct map_entry { char *key; void *value; uint64_t hash; };   /* key NULL = deleted */
void *map_get(const struct map *m, const char *key);           /* NULL if absent */
void *map_getn(const struct map *m, const char *key, size_t n);
void *map_put(struct map *m, const char *key, void *value);    /* returns the old value or NULL */
void *map_del(struct map *m, const char *key);                 /* returns the removed value or NULL */
void map_clear(struct map *m);                                 /* values are not freed */
#define map_each(m, e) for (struct map_entry *e = (m)->entries; e && e < (m)->entries + (m)->n; e++) if (e->key)

/* binary heap ordered by an int64 key; items carry their own position so that removal is O(log n) */
struct heap_item { int64_t key; uint32_t pos; };               /* pos UINT32_MAX = not in a heap; initialise so */
struct heap { struct heap_item **at; size_t n, cap; };
void heap_put(struct heap *h, struct heap_item *it, int64_t key);  /* insert or move */
void heap_remove(struct heap *h, struct heap_item *it);            /* no-op when absent */
struct heap_item *heap_top(const struct heap *h);                  /* NULL when empty */
void heap_clear(struct heap *h);

/* ---- strings (str.c) ---- */
bool streq(const char *a, const char *b);               /* NULL equals NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_case_eq(const char *a, const char *b);         /* ASCII only, no locale */
int str_to_int64(const char *s, int64_t *ret);          /* whole string, base 10; E_INVALID otherwise */
int str_to_double(const char *s, double *ret);          /* whole string, '.' decimal point whatever the locale */
bool utf8_valid(const char *s, size_t n);
char *str_replace_all(const char *s, const char *what, const char *with);  /* malloc'd */
size_t str_edit_distance(const char *a, const char *b); /* Damerau-Levenshtein, for "did you mean" */
uint64_t hash64(const void *p, size_t n);               /* stable across runs and machines */
bool double_to_int64(double v, int64_t *ret);           /* false, *ret untouched: a fraction, beyond 64 bits, NaN */
usec_t usec_from_seconds(double seconds);              /* towards zero; NaN is 0; no further than some 146,000 years either way, so that sums still fit */
/* `double` shortest round trip, as Python's repr writes it ("1.0", "1e-07"); n >= 32 */
void double_format(double v, char *ret, size_t n);

/* ---- ids ---- */
struct uuid { uint8_t b[16]; };
void uuid_from(struct uuid *u, usec_t now, const uint8_t random[10]); /* version 7, pure */
void uuid_format(const struct uuid *u, char ret[37]);
int uuid_parse(const char *s, struct uuid *ret);
bool uuid_eq(const struct uuid *a, const struct uuid *b);
bool uuid_is_zero(const struct uuid *u);
