/* logfile: one try's log: lines gathered in memory, written with one write, masked on the way. */
#include "exec/logfile.h"
#include "exec/logtext.h"
#include "base/json.h"
#include "base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_WHILE_FAILING ((size_t)1 << 20)   /* bytes kept for later when the disk takes nothing */

static const struct log_caller subprocess_hook = { "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook", "subprocess.py", 106 };
static const struct log_caller from_source[LOG_SOURCES] = {
	[LOG_STDOUT] = { .logger = "task.stdout" }, [LOG_STDERR] = { .logger = "task.stderr" },
};

/* A file that lines name themselves: it is opened for each write, since a host of triggers has thousands */
struct route { char *path; struct buf lines; };

struct logfile {
	VEC(struct route) routes;
	bool may_route;
	int folder_mode, file_mode;
	int fd; char *path; bool to_memory, failing;
	size_t lost;                             /* bytes dropped while failing */
	usec_t now;                              /* of the last line */
	char *fields;                            /* ",\"dag_id\":..." */
	struct secrets secrets;
	struct buf out, partial[LOG_SOURCES], last_line;
	bool skipping[LOG_SOURCES];              /* inside a JSON line that is too long */
};

/* ---- opening ---- */

static int make_parents(char *path, int mode)
{
	char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return ENOENT;
	*slash = '\0';
	int failed = mkdir(path, (mode_t)mode) && errno != EEXIST ? errno : 0;
	if (failed == ENOENT) {
		failed = make_parents(path, mode);
		if (!failed && mkdir(path, (mode_t)mode) && errno != EEXIST)
			failed = errno;
	}
	*slash = '/';
	return failed;
}

static int open_file(const struct logfile_options *o, int *ret_fd, struct err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
	int fd = open(o->path, flags, (mode_t)o->file_mode);
	if (fd < 0 && errno == ENOENT) {
		CLEANUP(freep) char *copy = xstrdup(o->path);
		int failed = make_parents(copy, o->folder_mode);
		if (failed)
			return err_errno(err, failed, "cannot make the folder of the log file %s", o->path);
		fd = open(o->path, flags, (mode_t)o->file_mode);
	}
	if (fd < 0)
		return err_errno(err, errno, "cannot open the log file %s", o->path);
	*ret_fd = fd;
	return 0;
}

/* the members of a JSON object, with a comma in front; "" when there are none */
static char *members_of(const char *object)
{
	const char *open = object ? strchr(object, '{') : NULL, *close = object ? strrchr(object, '}') : NULL;
	if (!open || !close || close - open < 2)
		return xstrdup("");
	char *inner = xstrndup(open + 1, (size_t)(close - open - 1));
	char *text = xasprintf(",%s", inner);
	free(inner);
	return text;
}

int logfile_open(const struct logfile_options *o, struct logfile **ret, struct err *err)
{
	struct logfile *l = xcalloc(1, sizeof *l);
	l->fd = -1;
	l->path = xstrdup(o->path);
	l->to_memory = !o->path;
	l->fields = members_of(o->fields);
	l->may_route = o->routes;
	l->folder_mode = o->folder_mode;
	l->file_mode = o->file_mode;
	*ret = l;
	if (l->to_memory)
		return 0;
	int r = open_file(o, &l->fd, err);
	l->failing = r < 0;
	return r;
}

void logfile_close(struct logfile *l)
{
	if (!l)
		return;
	logfile_flush(l, NULL);
	if (l->fd >= 0)
		close(l->fd);
	secrets_clear(&l->secrets);
	vec_clear(&l->routes);                   /* each was emptied by the flush */
	for (int i = 0; i < LOG_SOURCES; i++)
		buf_clear(&l->partial[i]);
	buf_clear(&l->out);
	buf_clear(&l->last_line);
	free(l->fields);
	free(l->path);
	free(l);
}

void logfile_mask(struct logfile *l, const char *value, size_t n)
{
	secrets_add(&l->secrets, value, n);
}

/* ---- writing lines ---- */

static void put_time(struct buf *out, usec_t now)
{
	static usec_t second = -1;               /* one thread; the text of a second serves all its lines */
	static char text[32];
	usec_t rest = now % USEC_SEC;
	if (now / USEC_SEC != second) {
		struct civil c;
		usec_to_civil(now, &c);
		snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.", c.year, c.month, c.day, c.hour, c.minute, c.second);
		second = now / USEC_SEC;
	}
	buf_add(out, text, 20);
	char digits[7];
	for (int i = 5; i >= 0; i--, rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	digits[6] = 'Z';
	buf_add(out, digits, 7);
}

static void put_string(struct buf *out, const char *s, size_t n)
{
	struct json_writer w;
	jw_init(&w, out);
	jw_strn(&w, s, n);
}

static void put_line(struct logfile *l, const char *level, const struct log_caller *c, const char *event, size_t n, const char *extra, bool fields, usec_t now)
{
	struct buf *out = &l->out;
	l->now = now;
	if (l->failing && out->len > KEEP_WHILE_FAILING) {
		l->lost += n;
		return;
	}
	buf_adds(out, "{\"timestamp\":\"");
	put_time(out, now);
	buf_adds(out, "\",\"level\":\"");
	buf_adds(out, level);
	buf_adds(out, "\",\"event\":");
	put_string(out, event, n);
	if (extra) {
		buf_addc(out, ',');
		buf_adds(out, extra);
	}
	if (fields)
		buf_adds(out, l->fields);
	buf_adds(out, ",\"logger\":\"");
	buf_adds(out, c->logger);
	if (c->filename)
		buf_printf(out, "\",\"filename\":\"%s\",\"lineno\":%d}\n", c->filename, c->lineno);
	else
		buf_adds(out, "\"}\n");
}

void logfile_say(struct logfile *l, const char *level, const struct log_caller *c, const char *event, const char *extra, usec_t now)
{
	struct buf text = {0}, more = {0};
	secrets_mask(&l->secrets, false, event, strlen(event), &text);
	if (extra)
		secrets_mask(&l->secrets, true, extra, strlen(extra), &more);
	put_line(l, level, c, text.data ? text.data : "", text.len, extra ? more.data : NULL, true, now);
	buf_clear(&text);
	buf_clear(&more);
}

/* ---- lines of the streams ---- */

static void remember_last(struct logfile *l, const char *p, size_t n)
{
	buf_reset(&l->last_line);
	buf_add(&l->last_line, p, n);
}

static void stream_line(struct logfile *l, enum log_source s, const char *p, size_t n, usec_t now)
{
	static struct buf text, masked;          /* one thread; kept between lines */
	bool bash = s == LOG_BASH;
	if (!bash)
		n = text_rstrip(p, n, false);        /* the official supervisor strips bytes, the operator text */
	buf_reset(&text);
	text_decode(p, n, bash ? BAD_BACKSLASH : BAD_REPLACE, &text);
	const char *line = text.data ? text.data : "";
	size_t len = bash ? text_rstrip(line, text.len, true) : text.len;
	if (bash)
		remember_last(l, line, len);
	if (secrets_hit(&l->secrets, false, line, len)) {
		buf_reset(&masked);
		secrets_mask(&l->secrets, false, line, len, &masked);
		line = masked.data;
		len = masked.len;
	}
	put_line(l, s == LOG_STDERR ? "error" : "info", bash ? &subprocess_hook : &from_source[s], line, len, NULL, bash, now);
}

static void json_note(struct logfile *l, const char *what, const char *line, size_t n, usec_t now)
{
	static const struct log_caller caller = { .logger = "supervisor" };
	struct buf extra = {0}, quoted = {0};
	buf_adds(&extra, "\"line\":");
	put_string(&quoted, line, n);
	secrets_mask(&l->secrets, true, quoted.data, quoted.len, &extra);
	put_line(l, "error", &caller, what, strlen(what), extra.data, true, now);
	buf_clear(&quoted);
	buf_clear(&extra);
}

static struct buf *route_to(struct logfile *l, const char *path)
{
	for (size_t i = 0; i < l->routes.n; i++)
		if (streq(l->routes.at[i].path, path))
			return &l->routes.at[i].lines;
	struct route new = { .path = xstrdup(path) };
	vec_push(&l->routes, new);
	return &l->routes.at[l->routes.n - 1].lines;
}

/* The line that starts at `at` is taken out again when it names its own file */
static void reroute(struct logfile *l, size_t at)
{
	static const char key[] = "updraft_log";
	if (!l->may_route || !memmem(l->out.data + at, l->out.len - at, key, sizeof key - 1))
		return;
	CLEANUP(json_decrefp) json_t *line = json_loadb(l->out.data + at, l->out.len - at, JSON_DISABLE_EOF_CHECK, NULL);
	const char *path = jg_str(line, key, NULL);
	if (!path || *path != '/')
		return;
	struct buf *to = route_to(l, path);
	json_object_del(line, key);
	CLEANUP(freep) char *text = json_dumps(line, JSON_COMPACT);
	if (!text)
		return;
	buf_adds(to, text);
	buf_addc(to, '\n');
	l->out.len = at;
	l->out.data[at] = '\0';
}

/* The child's line goes on as it is, but its key "exception" is called "error_detail" in the file, as the official supervisor renames it */
static void json_line(struct logfile *l, const char *p, size_t n, usec_t now)
{
	static const char from[] = "exception", to[] = "\"error_detail\"";
	n = text_rstrip(p, n, false);
	size_t key;
	if (!n)
		return;
	if (!json_line_scan(p, n, from, &key)) {
		json_note(l, "Malformed json log line", p, n, now);
		return;
	}
	if (l->failing && l->out.len > KEEP_WHILE_FAILING) {
		l->lost += n;
		return;
	}
	size_t before = key == SIZE_MAX ? n : key, at = l->out.len;
	buf_add(&l->out, p, before);
	if (key != SIZE_MAX) {
		buf_add(&l->out, to, sizeof to - 1);
		key += sizeof from + 1;
		buf_add(&l->out, p + key, n - key);
	}
	buf_addc(&l->out, '\n');
	reroute(l, at);
}

static bool is_json(enum log_source s)
{
	return s == LOG_JSON || s >= LOG_RESENT;
}

static void one_line(struct logfile *l, enum log_source s, const char *p, size_t n, usec_t now)
{
	if (!is_json(s)) {
		stream_line(l, s, p, n, now);
		return;
	}
	if (!secrets_hit(&l->secrets, true, p, n)) {
		json_line(l, p, n, now);
		return;
	}
	struct buf masked = {0};
	secrets_mask(&l->secrets, true, p, n, &masked);
	json_line(l, masked.data, masked.len, now);
	buf_clear(&masked);
}

/* A line without end: what can be written is, but so much stays as a secret that is not yet whole could need */
static void cut_long(struct logfile *l, enum log_source s, usec_t now)
{
	struct buf *b = &l->partial[s];
	if (is_json(s)) {
		json_note(l, "A log line of more than 4 MiB was left out; it begins so", b->data, 200, now);
		l->skipping[s] = true;
		buf_clear(b);
		return;
	}
	struct buf masked = {0};
	secrets_mask(&l->secrets, false, b->data, b->len, &masked);
	size_t stay = l->secrets.longest && l->secrets.longest <= masked.len ? l->secrets.longest - 1 : 0;
	stream_line(l, s, masked.data, masked.len - stay, now);
	buf_reset(b);
	buf_add(b, masked.data + masked.len - stay, stay);
	buf_clear(&masked);
}

static void keep_partial(struct logfile *l, enum log_source s, const char *p, size_t n, usec_t now)
{
	struct buf *b = &l->partial[s];
	if (l->skipping[s])
		return;
	while (b->len + n >= LOG_MAX_LINE) {
		size_t take = LOG_MAX_LINE - b->len;
		buf_add(b, p, take);
		p += take;
		n -= take;
		cut_long(l, s, now);
		if (l->skipping[s])
			return;
	}
	buf_add(b, p, n);
}

static void finish_partial(struct logfile *l, enum log_source s, usec_t now)
{
	struct buf *b = &l->partial[s];
	if (l->skipping[s])
		l->skipping[s] = false;
	else
		one_line(l, s, b->data ? b->data : "", b->len, now);
	if (b->cap > 65536)
		buf_clear(b);
	buf_reset(b);
}

void logfile_feed(struct logfile *l, enum log_source s, const char *p, size_t n, usec_t now)
{
	const char *end = p + n;
	for (const char *newline; p < end && (newline = memchr(p, '\n', (size_t)(end - p))); p = newline + 1) {
		size_t len = (size_t)(newline - p);
		if (l->partial[s].len || l->skipping[s]) {
			keep_partial(l, s, p, len, now);
			finish_partial(l, s, now);
		} else {
			one_line(l, s, p, len, now);
		}
	}
	if (p < end)
		keep_partial(l, s, p, (size_t)(end - p), now);
}

void logfile_end(struct logfile *l, enum log_source s, usec_t now)
{
	if (l->partial[s].len || l->skipping[s])
		finish_partial(l, s, now);
}

const char *logfile_last_line(const struct logfile *l)
{
	return l->last_line.data ? l->last_line.data : "";
}

/* ---- to the disk ---- */

static void say_what_was_lost(struct logfile *l)
{
	static const struct log_caller caller = { .logger = "supervisor" };
	CLEANUP(freep) char *text = xasprintf("About %zu bytes of this log were lost while it could not be written", l->lost);
	l->failing = false;
	l->lost = 0;
	logfile_say(l, "error", &caller, text, NULL, l->now);
}

static void wrote(struct logfile *l, size_t n)
{
	buf_consume(&l->out, n);
	if (!l->out.len && l->out.cap > 65536)
		buf_clear(&l->out);
}

/* 0, or the first error; what could not be written is dropped */
static int flush_routes(struct logfile *l, struct err *err)
{
	int bad = 0;
	for (size_t i = 0; i < l->routes.n; i++) {
		struct route *r = &l->routes.at[i];
		struct logfile_options o = { .path = r->path, .folder_mode = l->folder_mode, .file_mode = l->file_mode };
		struct logfile *file;
		int rc = logfile_open(&o, &file, bad ? NULL : err);
		buf_add(&file->out, r->lines.data, r->lines.len);
		if (rc == 0)
			rc = logfile_flush(file, bad ? NULL : err);
		logfile_close(file);
		bad = bad ? bad : rc;
		buf_clear(&r->lines);
		free(r->path);
	}
	l->routes.n = 0;
	return bad;
}

int logfile_flush(struct logfile *l, struct err *err)
{
	int r = l->routes.n ? flush_routes(l, err) : 0;
	if (r < 0)
		return r;
	if (!l->out.len || l->to_memory)
		return 0;
	if (l->fd < 0) {                         /* never opened: said at logfile_open */
		l->lost += l->out.len;
		buf_reset(&l->out);
		return 0;
	}
	while (l->out.len) {
		ssize_t n = write(l->fd, l->out.data, l->out.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			bool known = l->failing;
			l->failing = true;
			return known ? 0 : err_errno(err, errno, "cannot write the log file %s; the task goes on, lines over 1 MiB are dropped until it can", l->path);
		}
		wrote(l, (size_t)n);
		if (l->lost)
			say_what_was_lost(l);
	}
	l->failing = false;
	return 0;
}

size_t logfile_pending(const struct logfile *l)
{
	return l->out.len;
}

void logfile_take(struct logfile *l, struct buf *out)
{
	buf_add(out, l->out.data, l->out.len);
	buf_reset(&l->out);
}
