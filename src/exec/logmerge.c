/* logmerge: see the header. */
#include "exec/logmerge.h"
#include "base/time.h"
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

struct part { char *path; int fd; int64_t at; struct buf pending; size_t done; usec_t when; };
struct logmerge { char *pattern; int fd; VEC(struct part) parts; struct buf out; };

static int unnamed_file(void)
{
	int fd = open(P_tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd >= 0 ? fd : memfd_create("log", MFD_CLOEXEC);
}

static void add_part(struct logmerge *m, const char *path, int64_t from)
{
	for (size_t i = 0; i < m->parts.n; i++)
		if (streq(m->parts.at[i].path, path))
			return;
	struct part p = { .path = xstrdup(path), .fd = open(path, O_RDONLY | O_CLOEXEC), .at = from };
	vec_push(&m->parts, p);
}

/* names of DAGs and runs may hold what a pattern gives a meaning */
static char *pattern_of(const char *path)
{
	struct buf b = {0};
	for (const char *p = path; *p; p++) {
		if (strchr("*?[\\", *p))
			buf_addc(&b, '\\');
		buf_addc(&b, *p);
	}
	buf_adds(&b, ".trigger.*.log");
	return buf_steal(&b);
}

static void look_for_parts(struct logmerge *m)
{
	glob_t found = {0};
	if (glob(m->pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_part(m, found.gl_pathv[i], 0);
	globfree(&found);
}

struct logmerge *logmerge_open(const char *path, int64_t from)
{
	struct logmerge *m = xcalloc(1, sizeof *m);
	m->fd = -1;
	m->pattern = pattern_of(path);
	add_part(m, path, from);
	look_for_parts(m);
	if (m->parts.n > 1 && (m->fd = unnamed_file()) >= 0)
		return m;
	logmerge_free(m);
	return NULL;
}

void logmerge_free(struct logmerge *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->parts.n; i++) {
		if (m->parts.at[i].fd >= 0)
			close(m->parts.at[i].fd);
		free(m->parts.at[i].path);
		buf_clear(&m->parts.at[i].pending);
	}
	vec_clear(&m->parts);
	if (m->fd >= 0)
		close(m->fd);
	buf_clear(&m->out);
	free(m->pattern);
	free(m);
}

int logmerge_fd(const struct logmerge *m) { return m->fd; }
const char *logmerge_path(const struct logmerge *m, size_t i) { return i < m->parts.n ? m->parts.at[i].path : NULL; }

static bool fill(struct part *p)
{
	if (p->fd < 0)
		p->fd = open(p->path, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0)
		return false;
	buf_consume(&p->pending, p->done);
	p->done = 0;
	buf_reserve(&p->pending, PIECE);
	ssize_t n = pread(p->fd, p->pending.data + p->pending.len, PIECE, p->at);
	if (n <= 0)
		return false;
	p->pending.len += (size_t)n;
	p->at += n;
	return true;
}

/* a line without a time belongs behind the one before it */
static void take_time(struct part *p, const char *line, size_t n)
{
	static const char key[] = "{\"timestamp\":\"";
	char text[40];
	const char *end = n > sizeof key ? memchr(line + sizeof key - 1, '"', n - (sizeof key - 1)) : NULL;
	if (!end || memcmp(line, key, sizeof key - 1) || (size_t)(end - line) - (sizeof key - 1) >= sizeof text)
		return;
	snprintf(text, sizeof text, "%.*s", (int)(end - line - (ptrdiff_t)(sizeof key - 1)), line + sizeof key - 1);
	usec_t when;
	if (time_parse(text, &when) == 0)
		p->when = when;
}

/* length of the next line with its end, 0: none yet */
static size_t next_line(struct part *p, bool last)
{
	for (;;) {
		size_t rest = p->pending.len - p->done;
		const char *from = rest ? p->pending.data + p->done : NULL, *nl = rest ? memchr(from, '\n', rest) : NULL;
		if (nl)
			return (size_t)(nl - from) + 1;
		if (!fill(p))
			return last ? p->pending.len - p->done : 0;
	}
}

static void flush_out(struct logmerge *m)
{
	for (size_t done = 0; done < m->out.len;) {
		ssize_t n = write(m->fd, m->out.data + done, m->out.len - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	buf_reset(&m->out);
}

void logmerge_more(struct logmerge *m, bool last)
{
	look_for_parts(m);
	for (;;) {
		struct part *first = NULL;
		size_t len = 0;
		for (size_t i = 0; i < m->parts.n; i++) {
			struct part *p = &m->parts.at[i];
			size_t n = next_line(p, last);
			if (!n)
				continue;
			take_time(p, p->pending.data + p->done, n);
			if (!first || p->when < first->when) {
				first = p;
				len = n;
			}
		}
		if (!first)
			break;
		buf_add(&m->out, first->pending.data + first->done, len);
		if (first->pending.data[first->done + len - 1] != '\n')
			buf_addc(&m->out, '\n');
		first->done += len;
		if (m->out.len > PIECE)
			flush_out(m);
	}
	flush_out(m);
}
