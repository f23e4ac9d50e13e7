/* logs: a try's log file as JSON, or as a stream of JSON lines. The file is read as it is sent, a piece at a time, so that a
 * large log costs no memory and a thousand open tails cost little. */
#include "api/ask.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "exec/logmerge.h"
#include "exec/logpath.h"
#include "loop/log.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)16 * 1024)        /* bytes of log read for one piece of the answer */
#define LONGEST_LINE ((size_t)1024 * 1024)
#define LOOK_AGAIN (USEC_SEC / 2)        /* a followed log is looked at so often, whether its try has ended and, without inotify, for lines */
#define SKIPS 10
#define NOT_SOONER (50 * USEC_MSEC)      /* after lines were sent: what is written meanwhile is sent together */

struct reader {
	struct call *c;
	struct source *timer;
	struct source *watch;            /* of the file, while it is followed; NULL: the timer alone looks */
	usec_t sent;                     /* monotonic: when lines were sent last */
	unsigned skipped;                /* looks in a row that were not worth it */
	uint64_t mark;                   /* the database as it was when the try was last seen alive */
	struct buf pending;              /* read, not yet a whole line */
	char *path;
	struct logmerge *merge;          /* what its triggers wrote comes in between; NULL: there is none */
	int fd;                          /* of the merge when there is one, and not ours then */
	int64_t at, end;                 /* offsets in the file; end: where a JSON answer stops. -1 while following */
	bool lines;                      /* x-ndjson */
	bool null_times;                 /* the JSON answer about a try without a log writes null timestamps, as Airflow's does */
	bool started, follow, comma;
	bool deferred;                   /* seen to wait for a trigger while it was followed */
	json_t *sources;                 /* where a remote log came from; NULL: it is a file of this host */
	char *token;                     /* of a JSON answer; NULL: the log has ended */
};

/* ---- which file ---- */

/* malloc'd; ids that would climb out of the folder are made harmless by log_path_format */
static char *log_path(struct call *c, int64_t map_index, int64_t try_number, struct err *err)
{
	const struct log_name n = { call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), (int)map_index, (int)try_number };
	CLEANUP(buf_clear) struct buf b = {0};
	buf_printf(&b, "%s/", config_str(c->api->cfg, OPT_logging_base_log_folder));
	return log_path_format(config_str(c->api->cfg, OPT_logging_log_filename_template), &n, &b, err) < 0 ? NULL : buf_steal(&b);
}

/* ---- what is known of the try ---- */

struct try_state { bool known, live; char state[24]; usec_t updated; char id[37], version[37]; };

static int find_try(struct call *c, int64_t map_index, int64_t try_number, struct try_state *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")), v_int(map_index),
	                   v_int(try_number) };
	int rc = store_query_text(c->api->db, "SELECT t.state, t.updated, t.id, t.version FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = ?1 "
		"AND r.run_id = ?2 AND t.task_id = ?3 AND t.map_index = ?4 AND t.try_number = ?5 UNION ALL SELECT t.state, t.updated, t.ti, t.version FROM task_try t "
		"JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = ?1 AND r.run_id = ?2 AND t.task_id = ?3 AND t.map_index = ?4 AND t.try_number = ?5 LIMIT 1",
		v, 5, &r, err);
	if (rc >= 0)
		rc = rows_next(&r, err);
	*ret = (struct try_state){ .known = rc > 0 };
	if (rc <= 0)
		return rc;
	snprintf(ret->state, sizeof ret->state, "%s", row_text(&r, 0) ? row_text(&r, 0) : "");
	ret->updated = row_time(&r, 1);
	struct uuid id;
	row_uuid(&r, 2, &id);
	uuid_format(&id, ret->id);
	row_uuid(&r, 3, &id);
	uuid_format(&id, ret->version);
	ret->live = streq(ret->state, "running") || streq(ret->state, "deferred") || streq(ret->state, "queued") || streq(ret->state, "restarting");
	return 0;
}

/* ---- lines to JSON ---- */

static void put_element(struct reader *x, struct buf *out, const char *text, size_t n)
{
	if (x->comma && !x->lines)
		buf_addc(out, ',');
	x->comma = true;
	buf_add(out, text, n);
	if (x->lines)
		buf_addc(out, '\n');
}

/* an event of ours, without a time */
static void put_event(struct reader *x, struct buf *out, const char *event)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	jw_init(&w, &b);
	jw_object(&w);
	if (x->lines || x->null_times)
		jw_knull(&w, "timestamp");
	jw_kstr(&w, "event", event);
	jw_end_object(&w);
	put_element(x, out, b.data, b.len);
}

/* the same object with timestamp, event, level first, as Airflow's model writes it */
static void put_ordered(struct reader *x, struct buf *out, json_t *line)
{
	static const char *const first[] = { "timestamp", "event", "level" };
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	const char *key;
	json_t *v;
	jw_init(&w, &b);
	jw_object(&w);
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		if ((v = json_object_get(line, first[i]))) {
			jw_key(&w, first[i]);
			jw_json(&w, v);
		}
	json_object_foreach(line, key, v) {
		if (streq(key, first[0]) || streq(key, first[1]) || streq(key, first[2]))
			continue;
		jw_key(&w, key);
		jw_json(&w, v);
	}
	jw_end_object(&w);
	put_element(x, out, b.data, b.len);
}

static void put_line(struct reader *x, struct buf *out, const char *text, size_t n)
{
	/* most lines are ours and in order already: they go through untouched */
	bool ours = n > 15 && !memcmp(text, "{\"timestamp\":\"", 14) && text[n - 1] == '}' && utf8_valid(text, n);
	CLEANUP(json_decrefp) json_t *line = n && *text == '{' ? json_loadb(text, n, 0, NULL) : NULL;
	if (line && json_is_string(json_object_get(line, "event")))
		put_ordered(x, out, line);
	else if (n && !(ours && line)) {
		CLEANUP(freep) char *plain = xstrndup(text, n);
		put_event(x, out, plain);
	}
}

static void put_lines(struct reader *x, struct buf *out, bool last)
{
	struct buf *p = &x->pending;
	size_t done = 0;
	for (char *nl; (nl = memchr(p->data + done, '\n', p->len - done)); done = (size_t)(nl - p->data) + 1)
		put_line(x, out, p->data + done, (size_t)(nl - p->data) - done);
	if ((last || p->len - done > LONGEST_LINE) && p->len > done) {
		put_line(x, out, p->data + done, p->len - done);
		done = p->len;
	}
	buf_consume(p, done);
}

/* ---- the stream ---- */

static void reader_free(void *arg)
{
	struct reader *x = arg;
	source_free(x->timer);
	source_free(x->watch);
	if (!x->merge)
		closep(&x->fd);
	logmerge_free(x->merge);
	buf_clear(&x->pending);
	freep(&x->path);
	freep(&x->token);
	json_decref(x->sources);
	call_release(x->c);
	free(x);
}

/* Nobody has committed anything since the try was seen alive, and inotify tells of lines: nothing to look at. Now and then it is
 * looked all the same, because only a stream that is woken notices that its client has gone. */
static bool nothing_new(struct reader *x)
{
	uint64_t mark;
	return x->watch && !x->merge && x->mark && ++x->skipped < SKIPS && store_mark(x->c->api->db, &mark) && mark == x->mark;
}

static void reader_tick(void *arg)
{
	struct reader *x = arg;
	if (nothing_new(x))
		timer_in(x->timer, LOOK_AGAIN);
	else
		http_wake(x->c->r);
}

static void on_written(void *arg, uint32_t mask, uint32_t cookie, const char *name)
{
	struct reader *x = arg;
	usec_t since = loop_monotonic() - x->sent;
	(void)cookie, (void)name;
	if (mask & IN_IGNORED) {
		source_free(x->watch);
		x->watch = NULL;
	}
	x->mark = 0;
	timer_in(x->timer, since >= NOT_SOONER ? 0 : NOT_SOONER - since);
}

/* before the first read, so that no line comes in between unseen */
static void watch(struct reader *x)
{
	CLEANUP(err_clear) struct err err = {0};
	if (x->watch || x->fd < 0 || loop_path(x->c->api->loop, x->path, IN_MODIFY, on_written, x, &x->watch, &err) == 0)
		return;
	log_line(LOG_DEBUG, "%s is looked at twice a second: %s", x->path, err_text(&err));
}

static void begin(struct reader *x, struct buf *out)
{
	x->started = true;
	if (!x->lines)
		buf_adds(out, "{\"content\":[");
	if (x->at > 0)
		return;   /* a later part of the same log */
	put_event(x, out, "::group::Log message source details");
	size_t i;
	json_t *source;
	json_array_foreach(x->sources, i, source)
		put_event(x, out, json_is_string(source) ? json_string_value(source) : "");
	if (x->fd >= 0 && !x->sources)
		put_event(x, out, x->path);
	for (i = 1; x->merge && logmerge_path(x->merge, i); i++)
		put_event(x, out, logmerge_path(x->merge, i));
	put_event(x, out, "::endgroup::");
}

static enum http_more finish(struct reader *x, struct buf *out)
{
	put_lines(x, out, !x->token);
	if (!x->lines) {
		buf_adds(out, "],\"continuation_token\":");
		if (x->token)
			buf_printf(out, "\"%s\"}", x->token);
		else
			buf_adds(out, "null}");
	}
	return HTTP_END;
}

/* the state of the try, asked again while its log is followed */
static bool still_live(struct reader *x)
{
	struct try_state s;
	CLEANUP(err_clear) struct err err = {0};
	int64_t map_index = -1, try_number = 0;
	query_int(x->c, "map_index", INT64_MIN, &map_index);
	str_to_int64(call_param(x->c, "try_number"), &try_number);
	x->skipped = 0;
	if (!store_mark(x->c->api->db, &x->mark))
		x->mark = 0;
	if (find_try(x->c, map_index, try_number, &s, &err) < 0)
		return false;
	x->deferred = x->deferred || streq(s.state, "deferred");
	return s.live;
}

/* From here on the file is read together with those of the triggers, if there are any */
static bool merge_from(struct reader *x, int64_t at)
{
	x->merge = logmerge_open(x->path, at);
	if (!x->merge)
		return false;
	closep(&x->fd);
	x->fd = logmerge_fd(x->merge);
	return true;
}

/* A task that has gone to wait for its trigger while it was followed */
static void follow_triggers(struct reader *x, bool live)
{
	if (!x->merge && merge_from(x, x->at - (int64_t)x->pending.len)) {
		x->at = 0;
		buf_clear(&x->pending);
	}
	if (x->merge)
		logmerge_more(x->merge, !live);
}

static enum http_more pull(void *arg, struct buf *out)
{
	struct reader *x = arg;
	if (!x->started)
		begin(x, out);
	if (x->fd < 0 && x->follow)
		x->fd = open(x->path, O_RDONLY | O_CLOEXEC);
	if (x->follow)
		watch(x);
	size_t want = x->follow || x->end - x->at > (int64_t)PIECE ? PIECE : (size_t)(x->end - x->at);
	bool live = x->follow && still_live(x);   /* before the read: what it wrote last is seen */
	if (x->follow && (x->merge || x->deferred))
		follow_triggers(x, live);
	buf_reserve(&x->pending, want);
	ssize_t n = x->fd < 0 || !want ? 0 : pread(x->fd, x->pending.data + x->pending.len, want, x->at);
	if (n < 0)
		return HTTP_BREAK;
	x->pending.len += (size_t)n;
	x->pending.data[x->pending.len] = '\0';
	x->at += n;
	if (n == 0 && !live)
		return finish(x, out);
	put_lines(x, out, false);
	if (n > 0) {
		x->sent = loop_monotonic();
		return HTTP_MORE;
	}
	if (!x->pending.len)
		buf_clear(&x->pending);
	timer_in(x->timer, LOOK_AGAIN);
	return HTTP_WAIT;
}

/* ---- the request ---- */

/* a log that may still grow ends with its last whole line */
static int64_t whole_lines(int fd, int64_t from, int64_t size)
{
	char piece[4096];
	while (size > from) {
		int64_t start = size - from > (int64_t)sizeof piece ? size - (int64_t)sizeof piece : from;
		ssize_t n = pread(fd, piece, (size_t)(size - start), start);
		char *nl = n > 0 ? memrchr(piece, '\n', (size_t)n) : NULL;
		if (nl)
			return start + (nl - piece) + 1;
		size = start;
	}
	return from;
}

static char *continuation(struct call *c, int64_t at, bool full)
{
	char *json = arena_printf(&c->r->arena, "{\"download_logs\":%s,\"end_of_log\":false,\"log_pos\":%lld}", full ? "true" : "false", (long long)at);
	return token_sign(c->api->auth, json, strlen(json));
}

/* offset to go on from; false when it has answered */
static bool read_token(struct call *c, int64_t *ret_at, bool *inout_full)
{
	const char *token = http_query(c->r, "token");
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	*ret_at = 0;
	if (!token || !*token)
		return true;
	if (token_open(c->api->auth, token, &b) < 0 || json_read(b.data ? b.data : "", b.len, &o, NULL) < 0) {
		call_fail(c, 400, "Bad Signature. Please use only the tokens provided by the API.");
		return false;
	}
	*ret_at = jg_int(o, "log_pos", 0);
	if (*ret_at < 0)
		*ret_at = 0;
	*inout_full = *inout_full || jg_bool(o, "download_logs", false);
	return true;
}

/* 1: x-ndjson, 0: JSON, -1: neither is acceptable */
static int wants_lines(const struct call *c)
{
	const char *accept = http_header(c->r, "Accept");
	if (!accept || !*accept || strstr(accept, "*/*") || strstr(accept, "application/json") || strstr(accept, "application/*"))
		return accept && str_starts(accept, "application/x-ndjson") ? 1 : 0;
	return strstr(accept, "application/x-ndjson") ? 1 : -1;
}

static void start_stream(struct call *c, struct reader *x)
{
	bool lines = x->lines;
	if (x->follow)
		http_plain(c->r);
	x->c = call_keep(c);
	x->timer = loop_timer(c->api->loop, reader_tick, x);
	http_stream(c->r, 200, lines ? "application/x-ndjson" : "application/json", pull, reader_free, x);
}

/* try 0: the task was skipped or never got to run */
static void reply_no_try(struct call *c, const struct try_state *s, bool lines)
{
	const char *why = streq(s->state, "skipped") ? "Task was skipped, no logs available."
	                : streq(s->state, "upstream_failed") ? "Task did not run because upstream task(s) failed."
	                                                     : "No logs available for this task.";
	struct reader x = { .fd = -1, .lines = lines, .null_times = true };
	struct buf *out = &c->r->out;
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	buf_reset(out);
	if (!lines)
		buf_adds(out, "{\"content\":[");
	put_event(&x, out, "::group::Log message source details");
	put_event(&x, out, "::endgroup::");
	jw_init(&w, &b);
	jw_object(&w);
	jw_ktime(&w, "timestamp", s->updated);
	jw_kstr(&w, "event", why);
	jw_end_object(&w);
	put_element(&x, out, b.data, b.len);
	if (!lines)
		buf_adds(out, "],\"continuation_token\":null}");
	http_reply_out(c->r, 200, lines ? "application/x-ndjson" : "application/json");
	call_release(c);
}

static void send_reader(struct call *c, struct reader *x, const struct try_state *s, bool full)
{
	struct stat st = {0};
	if (!x->sources && merge_from(x, 0))
		logmerge_more(x->merge, !s->live);
	if (x->fd >= 0 && fstat(x->fd, &st) == 0)
		x->end = s->live && !x->follow ? whole_lines(x->fd, x->at, st.st_size) : st.st_size;
	if (x->end < x->at)
		x->end = x->at;
	if (s->live && !x->lines)
		x->token = continuation(c, x->end, full);
	start_stream(c, x);
}

/* ---- a log that only the remote store has ---- */

struct wanted { struct reader *x; struct try_state s; bool full; };

static void on_fetched(struct call *c, const json_t *result, const char *error)
{
	struct wanted *w = c->state;
	const char *file = jg_str(result, "file", NULL);
	if (error)
		log_warning("the remote log of %s: %s", w->x->path, error);
	w->x->sources = error ? json_pack("[s+]", "The remote log could not be read: ", error) : json_incref(json_object_get(result, "sources"));
	if (file && (w->x->fd = open(file, O_RDONLY | O_CLOEXEC)) >= 0)
		unlink(file);
	send_reader(c, w->x, &w->s, w->full);
	call_release(c);
}

static json_t *remote_question(struct call *c, const char *path, int64_t map_index, int64_t try_number, const struct try_state *s)
{
	const size_t root = strlen(config_str(c->api->cfg, OPT_logging_base_log_folder)) + 1;
	return json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:s}}", "what", "fetch_log", "path", path + root, "ti", "id", s->id, "dag_id", call_param(c, "dag_id"),
		"run_id", call_param(c, "dag_run_id"), "task_id", call_param(c, "task_id"), "map_index", (json_int_t)map_index, "try_number",
		(json_int_t)try_number, "hostname", "", "dag_version_id", s->version);
}

static void send_log(struct call *c, int64_t map_index, int64_t try_number, const struct try_state *s, bool lines)
{
	bool full = false, follow = false;
	int64_t at;
	query_bool(c, "full_content", &full);
	/* ours: as Airflow ends the lines of a running try at what is there, and its UI asks again, following is asked for */
	query_bool(c, "follow", &follow);
	if (call_problems(c) || !read_token(c, &at, &full))
		return;
	CLEANUP(err_clear) struct err err = {0};
	char *path = log_path(c, map_index, try_number, &err);
	if (!path) {
		call_fail_err(c, &err);
		return;
	}
	struct reader *x = xcalloc(1, sizeof *x);
	*x = (struct reader){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .lines = lines, .at = lines ? 0 : at, .follow = lines && s->live && follow };
	if (x->fd >= 0 || s->live || !config_bool(c->api->cfg, OPT_logging_remote_logging)) {
		send_reader(c, x, s, full);
		return;
	}
	struct wanted *w = arena_alloc(&c->r->arena, sizeof *w);
	*w = (struct wanted){ x, *s, full };
	c->state = w;
	call_ask(c, remote_question(c, path, map_index, try_number, s), false, on_fetched);
}

void get_log(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct try_state s = {0};
	int64_t map_index = -1, try_number = 0;
	int lines = wants_lines(c);
	path_int(c, "try_number", 0, &try_number);
	query_int(c, "map_index", INT64_MIN, &map_index);
	if (call_problems(c))
		return;
	if (lines < 0) {
		call_fail(c, 406, "Only application/json or application/x-ndjson is supported");
		return;
	}
	if (find_try(c, map_index, try_number, &s, &err) < 0)
		call_fail_err(c, &err);
	else if (!s.known)
		call_fail(c, 404, "TaskInstance not found");
	else if (try_number == 0)
		reply_no_try(c, &s, lines);
	else
		send_log(c, map_index, try_number, &s, lines);
}
