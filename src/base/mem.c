/* mem: allocation that does not fail, arenas, byte buffers, growing arrays. */
#include "base/base.h"
#include <unistd.h>

#define ARENA_FIRST_BLOCK ((size_t)2048)
#define ARENA_LAST_BLOCK ((size_t)256 * 1024)
#define ARENA_ALIGN ((size_t)16)

_Noreturn void out_of_memory(void)
{
	static const char line[] = "out of memory\n";
	ssize_t n = write(2, line, sizeof line - 1);
	(void)n;   /* nothing is left to try */
	abort();
}

static size_t checked_mul(size_t n, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory();
	return total;
}

static size_t checked_add(size_t a, size_t b)
{
	size_t total;
	if (__builtin_add_overflow(a, b, &total))
		out_of_memory();
	return total;
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc_array(void *p, size_t n, size_t size)
{
	size_t total = checked_mul(n, size);
	void *q = realloc(p, total ? total : 1);
	if (!q)
		out_of_memory();
	return q;
}

char *xstrndup(const char *s, size_t n)
{
	if (!s)
		return NULL;
	size_t len = strnlen(s, n);
	char *p = xmalloc(checked_add(len, 1));
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *xstrdup(const char *s)
{
	return s ? xstrndup(s, strlen(s)) : NULL;
}

char *xasprintf(const char *fmt, ...)
{
	struct buf b = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return buf_steal(&b);
}

void freep(void *pp)
{
	void *p;
	memcpy(&p, pp, sizeof p);   /* pp points to a pointer of any type */
	free(p);
	p = NULL;
	memcpy(pp, &p, sizeof p);
}

/* ---- arena ---- */

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	size_t pad;                 /* keeps data 16-byte aligned */
	unsigned char data[];
};
_Static_assert(offsetof(struct arena_block, data) % ARENA_ALIGN == 0, "arena data must be aligned");

static struct arena_block *block_new(size_t cap)
{
	struct arena_block *b = xcalloc(1, checked_add(sizeof *b, cap));
	b->cap = cap;
	return b;
}

/* a request larger than a quarter of a block gets its own, behind the head, so that the head's rest is not lost */
static void *arena_alloc_slow(struct arena *a, size_t n)
{
	size_t cap = a->head ? a->head->cap * 2 : ARENA_FIRST_BLOCK - sizeof(struct arena_block);
	if (cap > ARENA_LAST_BLOCK)
		cap = ARENA_LAST_BLOCK;
	if (n > cap / 4) {
		struct arena_block *own = block_new(n);
		own->used = n;
		if (a->head) {
			own->next = a->head->next;
			a->head->next = own;
		} else {
			a->head = own;
		}
		return own->data;
	}
	struct arena_block *b = block_new(cap);
	b->next = a->head;
	b->used = n;
	a->head = b;
	return b->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
	n = checked_add(n ? n : 1, ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	a->used_total += n;
	struct arena_block *b = a->head;
	if (!b || b->cap - b->used < n)
		return arena_alloc_slow(a, n);
	void *p = b->data + b->used;
	b->used += n;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	if (!s)
		return NULL;
	size_t len = strnlen(s, n);
	char *p = arena_alloc(a, checked_add(len, 1));
	memcpy(p, s, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	char small[256];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	char *p = arena_alloc(a, (size_t)n + 1);
	if ((size_t)n < sizeof small)
		memcpy(p, small, (size_t)n + 1);
	else
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

void arena_clear(struct arena *a)
{
	for (struct arena_block *b = a->head, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	a->head = NULL;
	a->used_total = 0;
}

/* ---- buf ---- */

void buf_reserve(struct buf *b, size_t more)
{
	size_t need = checked_add(checked_add(b->len, more), 1);
	if (need <= b->cap)
		return;
	size_t cap = b->cap < 64 ? 64 : b->cap + b->cap / 2;
	if (cap < need)
		cap = need;
	b->data = xrealloc_array(b->data, cap, 1);
	b->cap = cap;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->data[b->len++] = c;
	b->data[b->len] = '\0';
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	buf_reserve(b, 128);
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	assert(n >= 0);   /* only a bad format of ours fails */
	if ((size_t)n >= b->cap - b->len) {
		buf_reserve(b, (size_t)n);
		vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
	}
	va_end(again);
	b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (!n)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len + 1);
}

char *buf_steal(struct buf *b)
{
	char *p = b->data ? b->data : xcalloc(1, 1);
	*b = (struct buf){0};
	return p;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

void buf_clear(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

/* ---- VEC ---- */

void vec_grow_(void **at, size_t *cap, size_t need, size_t size)
{
	if (need <= *cap)
		return;
	size_t grown = *cap < 8 ? 8 : checked_add(*cap, *cap / 2);
	if (grown < need)
		grown = need;
	void *p;   /* *at is a T *, not a void *: moved bytewise */
	memcpy(&p, at, sizeof p);
	p = xrealloc_array(p, grown, size);
	memcpy(at, &p, sizeof p);
	*cap = grown;
}
