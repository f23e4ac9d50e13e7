/* builds: the queue, one build from its row to its release, and what is kept of it. */
#include "platform/builds.h"
#include "loop/log.h"
#include "platform/box.h"
#include "platform/files.h"
#include "platform/packs.h"
#include "platform/procfile.h"
#include "platform/share.h"
#include "platform/stacks.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOG_MAX ((off_t)32 << 20)
#define LINE_MAX_ ((size_t)8 << 10)

enum step { QUEUED, ASKED, RUNNING, RELEASING, MOVING };
struct build {
	struct build *next;                     /* in the queue of all */
	struct platform *p;
	struct uuid id, slug, release;
	char text_id[37];
	struct app app;
	struct account user;
	char *commit, *url, *version, *packs, stack[16];
	enum step step;
	struct build_listener l;
	bool cancelled;
	bool abandoned;                         /* the platform ends; whoever still calls frees it */
	int log;
	off_t logged;
	/* while it runs */
	struct source *said_watch, *result_watch;
	int said, result;
	struct buf part, results;
	bool answered;
	int net;                                /* which of the builds' addresses it has */
	int exit_code;
	struct build_result found;
	struct reader *readers;
};
struct builds { struct build *first, *last; char *known; bool stopping; };

static void schedule(struct platform *p);

/* ---- what is said ---- */

static void wake_readers(struct build *b);

static void say_n(struct build *b, const char *text, size_t n)
{
	if (b->log >= 0 && b->logged < LOG_MAX) {
		CLEANUP(buf_clear) struct buf line = {0};
		buf_add(&line, text, n);
		buf_addc(&line, '\n');
		ssize_t k = write(b->log, line.data, line.len);
		b->logged += k > 0 ? k : LOG_MAX;        /* a full disk: what is said is shown, not kept */
	}
	if (b->l.line)
		b->l.line(b->l.arg, text, n);
	wake_readers(b);
}

PRINTF_LIKE(2, 3) static void say(struct build *b, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	say_n(b, text.data ? text.data : "", text.len);
}

/* a line of a sandbox: what a terminal would show of it after carriage returns */
static void say_line(struct build *b, const char *text, size_t n)
{
	while (n && text[n - 1] == '\r')
		n--;
	const char *back = n ? memrchr(text, '\r', n) : NULL;
	if (back) {
		n -= (size_t)(back + 1 - text);
		text = back + 1;
	}
	say_n(b, text, n);
}

/* ---- the end ---- */

static void unlink_build(struct build *b)
{
	struct builds *all = b->p->builds;
	struct build *before = NULL;
	for (struct build *at = all->first; at && at != b; at = at->next)
		before = at;
	if (before)
		before->next = b->next;
	else
		all->first = b->next;
	if (all->last == b)
		all->last = before;
}

static void end_readers(struct build *b);

/* nothing of the loop is left in it */
static void build_quiet(struct build *b)
{
	end_readers(b);
	source_free(b->said_watch);
	source_free(b->result_watch);
	b->said_watch = b->result_watch = NULL;
}

static void build_free(struct build *b)
{
	build_quiet(b);
	closep(&b->said);
	closep(&b->result);
	closep(&b->log);
	buf_clear(&b->part);
	buf_clear(&b->results);
	build_result_clear(&b->found);
	char *const texts[] = { b->commit, b->url, b->version, b->packs };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	free(b);
}

static void ended_row(struct build *b, bool good, const struct uuid *release)
{
	CLEANUP(err_clear) struct err e = {0};
	int rc = store_run(b->p->db, SQL_plat_build_ended, &e, v_uuid(&b->id), v_text(good ? "succeeded" : "failed"), good ? v_uuid(&b->slug) : v_null(),
			   release ? v_uuid(release) : v_null(), v_int(b->exit_code), v_int(loop_now()));
	if (rc < 0)
		log_error("the end of build %s of %s is not kept: %s", b->text_id, b->app.name, err_text(&e));
}

static void finish(struct build *b, int rc, const char *why, const struct uuid *release)
{
	struct platform *p = b->p;
	bool called_yet = (b->step != RUNNING || b->answered || b->said < 0) && b->step != RELEASING;
	ended_row(b, rc == 0, release);
	unlink_build(b);
	if (p->builds->stopping && !called_yet) {
		b->abandoned = true;
		build_quiet(b);
		return;
	}
	if (b->l.done)
		b->l.done(b->l.arg, rc, why);
	build_free(b);
	if (!p->builds->stopping)
		schedule(p);
}

static void fail(struct build *b, int rc, const char *why)
{
	say(b, " !     Push rejected to %s: %s.", b->app.name, why);
	finish(b, rc, why, NULL);
}

/* ---- slugs ---- */

static void on_slug_removed(void *arg, int code, const json_t *result, const struct err *err)
{
	(void)arg, (void)result;
	if (code < 0)
		log_warning("an old slug could not be removed: %s", err_text(err));
}

static void remove_slug(struct platform *p, const struct uuid *app, const struct uuid *slug)
{
	char app_id[37], id[37];
	uuid_format(app, app_id);
	uuid_format(slug, id);
	helper_call(p->helper, HELPER_slug_remove, json_pack("{s:s,s:s}", "app", app_id, "slug", id), NULL, 0, on_slug_removed, NULL);
}

static int drop_old_slugs(struct build *b, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	VEC(struct uuid) old = {0};
	int rc = store_query(b->p->db, SQL_plat_slug_old, &r, err, v_uuid(&b->app.id), v_int(SLUGS_KEPT));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		vec_push(&old, id);
		rc = 0;
	}
	rows_close(&r);
	for (size_t i = 0; rc == 0 && i < old.n; i++) {
		/* the row first: nothing is released from files that are on their way out */
		rc = store_run(b->p->db, SQL_plat_slug_dropped, err, v_uuid(&old.at[i]), v_int(loop_now()));
		if (rc == 0)
			remove_slug(b->p, &b->app.id, &old.at[i]);
	}
	vec_clear(&old);
	return rc;
}

static int insert_slug(struct build *b, struct err *err)
{
	CLEANUP(freep) char *types = json_dumps(b->found.types, JSON_COMPACT | JSON_PRESERVE_ORDER);
	char app_id[37], slug_id[37];
	usec_t now = loop_now();
	uuid_format(&b->app.id, app_id);
	uuid_format(&b->slug, slug_id);
	CLEANUP(freep) char *path = xasprintf("apps/%s/slugs/%s", app_id, slug_id);
	int rc = store_begin(b->p->db, err);
	if (rc == 0)
		rc = store_run(b->p->db, SQL_plat_slug_add, err, v_uuid(&b->slug), v_uuid(&b->app.id), v_text(b->commit ? b->commit : b->version), v_null(), v_text(b->app.build_stack), v_text(types),
			       v_text(b->found.packs), v_int(b->found.size_kib * 1024), v_null(), v_text(path), v_int(now));
	if (rc == 0)
		rc = store_run(b->p->db, SQL_plat_app_built, err, v_uuid(&b->app.id), v_text(b->found.packs), v_int(b->found.size_kib * 1024), v_null(), v_int(now));
	if (rc == 0)
		rc = store_commit(b->p->db, err);
	if (rc < 0)
		store_rollback(b->p->db);
	return rc;
}

/* ---- the release ---- */

static void on_release_line(void *arg, const char *text, size_t n)
{
	struct build *b = arg;
	if (b->abandoned)
		return;
	for (const char *end; n; n -= (size_t)(end - text), text = end) {
		const char *newline = memchr(text, '\n', n);
		end = newline ? newline + 1 : text + n;
		say_line(b, text, (size_t)(newline ? newline - text : end - text));
	}
}

static void on_released(void *arg, int rc, const struct release *rel, const char *why)
{
	struct build *b = arg;
	CLEANUP(err_clear) struct err e = {0};
	if (b->abandoned) {
		build_free(b);
		return;
	}
	if (rc < 0) {
		say(b, "       Release v%lld failed: %s. The app stays as it was.", (long long)rel->version, why);
		fail(b, rc, "the release failed");
		return;
	}
	CLEANUP(freep) char *url = app_web_url(b->p, &b->app);
	say(b, "       Released v%lld", (long long)rel->version);
	say(b, "       %s deployed to updraft", url);
	say(b, "%s", "");
	if (drop_old_slugs(b, &e) < 0)
		log_warning("old slugs of %s stay: %s", b->app.name, err_text(&e));
	b->release = rel->id;
	b->step = MOVING;
	if (b->l.released)
		b->l.released(b->l.arg, b);
	else
		build_moved(b, true);
}

void build_moved(struct build *b, bool good)
{
	assert(b->step == MOVING);
	if (!good)
		say(b, " !     It is deployed, but the branch of the repository could not be moved: push again.");
	struct uuid id = b->release;
	finish(b, 0, "", &id);
}

static void say_types(struct build *b)
{
	CLEANUP(buf_clear) struct buf names = {0};
	const char *type;
	json_t *command;
	json_object_foreach(b->found.types, type, command)
		buf_printf(&names, "%s%s", names.len ? ", " : "", type);
	say(b, "-----> Discovering process types");
	say(b, "       %s -> %s", b->found.has_procfile ? "Procfile declares types" : "Default types", names.len ? names.data : "(none)");
	say(b, "%s", "");
	say(b, "-----> Compressing...");
	say(b, "       Done: %.1fM", (double)b->found.size_kib / 1024);
	say(b, "-----> Launching...");
}

static void release(struct build *b)
{
	CLEANUP(err_clear) struct err e = {0};
	char description[64];
	struct release rel;
	snprintf(description, sizeof description, "Deploy %.8s", b->commit ? b->commit : b->version && *b->version ? b->version : b->text_id);
	say_types(b);
	if (jg(b->found.types, "release"))
		say(b, " !     Release command declared: this new release will not be available until the command succeeds.");
	b->step = RELEASING;
	const struct release_request rq = { .app = &b->app, .slug = &b->slug, .description = description, .user = &b->user, .line = on_release_line };
	int rc = insert_slug(b, &e);
	if (rc == 0)
		rc = release_create(b->p, &rq, &rel, on_released, b, &e);
	if (rc < 0)
		fail(b, rc, err_text(&e));
}

/* ---- the sandbox's end ---- */

static const char *reason(const struct build *b, char room[80])
{
	static const struct { int code; const char *text; } reasons[] = {
		{ BOX_SLOW, "the build took longer than 15 minutes and was ended" },
		{ BOX_CANCELLED, "the build was cancelled" },
		{ BOX_MEMORY, "the build used more memory than it may and was ended" },
		{ BOX_BROKEN, BOX_BROKEN_TEXT },
		{ 1, "failed to compile" },
	};
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (b->exit_code == reasons[i].code)
			return reasons[i].text;
	snprintf(room, 80, "the build ended with status %d", b->exit_code);
	return room;
}

static void judge(struct build *b)
{
	CLEANUP(err_clear) struct err e = {0};
	char room[80];
	if (b->exit_code) {
		fail(b, E_CONFLICT, b->cancelled ? "the build was cancelled" : reason(b, room));
		return;
	}
	int rc = build_result_read(b->results.data ? b->results.data : "", b->results.len, &b->found, &e);
	if (rc == 0 && !b->found.done)
		rc = err_set(&e, E_PROTOCOL, "the build broke off");
	if (rc < 0) {
		remove_slug(b->p, &b->app.id, &b->slug);
		say(b, " !     %s", err_text(&e));
		fail(b, E_INVALID, "the build's result is not usable");
		return;
	}
	release(b);
}

/* all three have come: the helper's answer, and the ends of both pipes */
static void maybe_ended(struct build *b)
{
	if (!b->answered || b->said >= 0 || b->result >= 0)
		return;
	if (b->part.len)
		say_line(b, b->part.data, b->part.len);
	buf_reset(&b->part);
	judge(b);
}

static void on_helper(void *arg, int code, const json_t *result, const struct err *err)
{
	struct build *b = arg;
	if (b->abandoned) {
		build_free(b);
		return;
	}
	b->answered = true;
	b->exit_code = code < 0 ? BOX_BROKEN : (int)jg_int(result, "exit", 255);
	if (code < 0)
		say(b, " !     %s", err_text(err));
	maybe_ended(b);
}

static void on_said(void *arg, int fd, uint32_t events)
{
	struct build *b = arg;
	char text[16384];
	(void)events;
	ssize_t n = read(fd, text, sizeof text);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		source_free(b->said_watch);
		b->said_watch = NULL;
		closep(&b->said);
		maybe_ended(b);
		return;
	}
	buf_add(&b->part, text, (size_t)n);
	size_t used = 0;
	for (const char *end; (end = memchr(b->part.data + used, '\n', b->part.len - used)); used = (size_t)(end - b->part.data) + 1)
		say_line(b, b->part.data + used, (size_t)(end - b->part.data) - used);
	buf_consume(&b->part, used);
	if (b->part.len > LINE_MAX_) {
		say_line(b, b->part.data, b->part.len);
		buf_reset(&b->part);
	}
}

static void on_result(void *arg, int fd, uint32_t events)
{
	struct build *b = arg;
	char text[16384];
	(void)events;
	ssize_t n = read(fd, text, sizeof text);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		if (b->results.len <= BUILD_RESULT_MAX)      /* more is read, so that the build does not hang, and refused later */
			buf_add(&b->results, text, (size_t)n);
		return;
	}
	source_free(b->result_watch);
	b->result_watch = NULL;
	closep(&b->result);
	maybe_ended(b);
}

/* ---- the sandbox's begin ---- */

static int make_pipe(struct build *b, int *ret_read, int *ret_write, struct source **watch, fd_fn fn, struct err *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "the build's output");
	fd_nonblock(ends[0], true);
	*ret_read = ends[0];
	*ret_write = ends[1];
	*watch = loop_fd(b->p->loop, ends[0], EPOLLIN, fn, b);
	return *watch ? 0 : err_errno(err, errno, "the build's output");
}

static json_t *order(struct build *b, struct err *err)
{
	CLEANUP(json_decrefp) json_t *config = NULL;
	char app_id[37], slug_id[37];
	if (app_config(b->p, &b->app.id, &config, err) < 0)
		return NULL;
	uuid_format(&b->app.id, app_id);
	uuid_format(&b->slug, slug_id);
	json_t *o = json_pack("{s:s,s:s,s:s,s:I,s:i,s:s,s:s,s:s,s:O,s:I,s:I,s:i,s:i,s:i,s:i}", "build", b->text_id, "app", app_id, "slug", slug_id, "slot", (json_int_t)b->app.number,
		"net", b->net, "stack", b->stack, "stack_name", b->app.build_stack, "packs", b->packs, "env", config, "memory", (json_int_t)BUILD_MEMORY, "disk", (json_int_t)BUILD_DISK,
		"pids", BUILD_PIDS, "shares", 512, "seconds", BUILD_SECONDS, "slug_kib", SLUG_KIB);
	if (o)
		json_object_set_new(o, b->commit ? "commit" : "url", json_string(b->commit ? b->commit : b->url));
	else
		err_set(err, E_INVALID, "the app's config vars are no UTF-8");
	return o;
}

static int launch(struct build *b, struct err *err)
{
	int fds[2] = { -1, -1 };
	if (!b->p->helper)
		return err_set(err, E_UNSUPPORTED, "this platform was not started as root: it builds nothing");
	int rc = stack_newest(b->p, b->stack, err);
	json_t *args = rc == 0 ? order(b, err) : NULL;
	if (!args)
		return rc < 0 ? rc : E_INVALID;
	rc = store_run(b->p->db, SQL_plat_build_started, err, v_uuid(&b->id), v_int(loop_now()));
	if (rc == 0)
		rc = make_pipe(b, &b->said, &fds[0], &b->said_watch, on_said, err);
	if (rc == 0)
		rc = make_pipe(b, &b->result, &fds[1], &b->result_watch, on_result, err);
	if (rc == 0)
		helper_call(b->p->helper, HELPER_build_start, args, fds, 2, on_helper, b);
	else
		json_decref(args);
	closep(&fds[0]);
	closep(&fds[1]);
	return rc;
}

static bool net_is_used(const struct builds *all, int net)
{
	for (const struct build *at = all->first; at; at = at->next)
		if (at->step == RUNNING && at->net == net)
			return true;
	return false;
}

void build_go(struct build *b)
{
	CLEANUP(err_clear) struct err e = {0};
	for (b->net = 0; net_is_used(b->p->builds, b->net);)
		b->net++;
	b->step = RUNNING;
	say(b, "-----> Building on the %s stack", b->app.build_stack);
	int rc = launch(b, &e);
	if (rc < 0)
		fail(b, rc, err_text(&e));
}

void build_drop(struct build *b, const char *why)
{
	fail(b, E_CONFLICT, why);
}

void build_forget(struct build *b)
{
	enum step step = b->step;
	b->l = (struct build_listener){0};
	if (step == ASKED)
		build_go(b);                            /* whom to ask has gone: what was pushed is built */
	else if (step == MOVING)
		build_moved(b, false);
}

/* ---- the queue ---- */

static bool app_is_building(const struct builds *all, const struct build *b)
{
	for (const struct build *at = all->first; at && at != b; at = at->next)
		if (uuid_eq(&at->app.id, &b->app.id))
			return true;                    /* it runs, or it waits before this one */
	return false;
}

static struct build *next_of(const struct builds *all)
{
	int busy = 0;
	for (const struct build *b = all->first; b; b = b->next)
		busy += b->step != QUEUED;
	for (struct build *b = all->first; b && busy < BUILDS_AT_ONCE; b = b->next)
		if (b->step == QUEUED && !app_is_building(all, b))
			return b;
	return NULL;
}

static void schedule(struct platform *p)
{
	for (struct build *b; (b = next_of(p->builds));) {
		b->step = ASKED;
		if (b->l.turn)
			b->l.turn(b->l.arg, b);
		else
			build_go(b);
	}
}

static int collect_packs(struct platform *p, struct build *b, struct buf *json, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf lines = {0};
	struct json_writer w;
	jw_init(&w, json);
	jw_array(&w);
	int rc = store_query(p->db, SQL_plat_pack_list, &r, err, v_uuid(&b->app.id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		CLEANUP(freep) char *place = NULL;
		jw_str(&w, row_text(&r, 1));
		rc = pack_place(p->builds->known, row_text(&r, 1), &place, err);
		if (rc == 0)
			buf_printf(&lines, "%s%s", lines.len ? "\n" : "", place);
	}
	jw_end_array(&w);
	b->packs = xstrdup(lines.data ? lines.data : "");
	return rc;
}

static int open_log(struct build *b, char **ret_path, struct err *err)
{
	int rc = platform_mkdir(b->p, "logs", 0700, err);
	if (rc == 0)
		rc = platform_mkdir(b->p, "logs/builds", 0700, err);
	if (rc < 0)
		return rc;
	*ret_path = platform_path(b->p, "logs/builds/%s.log", b->text_id);
	b->log = open(*ret_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return b->log < 0 ? err_errno(err, errno, "%s", *ret_path) : 0;
}

static int insert_row(struct build *b, struct err *err)
{
	CLEANUP(buf_clear) struct buf source = {0}, packs = {0};
	CLEANUP(freep) char *path = NULL;
	struct json_writer w;
	jw_init(&w, &source);
	jw_object(&w);
	if (b->commit)
		jw_kstr(&w, "commit", b->commit);
	else {
		jw_kstr(&w, "url", b->url);
		jw_kstr(&w, "version", b->version);
	}
	jw_end_object(&w);
	int rc = collect_packs(b->p, b, &packs, err);
	if (rc == 0)
		rc = open_log(b, &path, err);
	if (rc == 0)
		rc = store_run(b->p->db, SQL_plat_build_add, err, v_uuid(&b->id), v_uuid(&b->app.id), v_uuid(&b->user.id), v_text(source.data), v_text(packs.data), v_text(b->app.build_stack),
			       v_text(path), v_int(loop_now()));
	return rc < 0 ? rc : platform_audit(b->p, b->user.email, b->app.name, "build", err, "%s", b->commit ? b->commit : b->url);
}

static void uuid_fresh(struct uuid *ret)
{
	uint8_t random[10];
	random_bytes(random, sizeof random);
	uuid_from(ret, loop_now(), random);
}

int build_start(struct platform *p, const struct build_request *rq, const struct build_listener *l, struct build **ret, struct uuid *ret_id, struct err *err)
{
	struct builds *all = p->builds;
	struct build *b = xcalloc(1, sizeof *b);
	*b = (struct build){ .p = p, .app = *rq->app, .user = *rq->user, .commit = xstrdup(rq->commit), .url = xstrdup(rq->url), .version = xstrdup(rq->version), .log = -1, .said = -1, .result = -1 };
	if (l)
		b->l = *l;
	uuid_fresh(&b->id);
	uuid_fresh(&b->slug);
	uuid_format(&b->id, b->text_id);
	int rc = insert_row(b, err);
	if (rc < 0) {
		build_free(b);
		return rc;
	}
	*(all->last ? &all->last->next : &all->first) = b;
	all->last = b;
	if (ret)
		*ret = b;
	if (ret_id)
		*ret_id = b->id;
	if (app_is_building(all, b))
		say(b, "-----> Waiting for the build of %s before this one", b->app.name);
	schedule(p);
	return 0;
}

static struct build *find(struct platform *p, const struct uuid *id)
{
	for (struct build *b = p->builds->first; b; b = b->next)
		if (uuid_eq(&b->id, id))
			return b;
	return NULL;
}

static void stop_build(struct build *b)
{
	b->cancelled = true;
	if (b->step == QUEUED || b->step == ASKED)
		fail(b, E_CONFLICT, "the build was cancelled");
	else if (b->step == RUNNING && !b->answered)
		helper_call(b->p->helper, HELPER_build_kill, json_pack("{s:s}", "build", b->text_id), NULL, 0, NULL, NULL);
}

int build_cancel(struct platform *p, const struct uuid *id, struct err *err)
{
	struct build *b = find(p, id);
	if (!b || b->step >= RELEASING)
		return err_set(err, E_NOT_FOUND, b ? "This build is being released: it cannot be cancelled any more." : "This build does not run any more.");
	stop_build(b);
	return 0;
}

/* ---- its output for who has the URL ---- */

struct reader { struct reader *next; struct build *b; struct http_request *r; int fd; };

static void wake_readers(struct build *b)
{
	for (struct reader *at = b->readers; at; at = at->next)
		http_wake(at->r);
}

static void end_readers(struct build *b)
{
	for (struct reader *at = b->readers, *next; at; at = next) {
		next = at->next;
		at->b = NULL;                           /* it reads what is left, and ends */
		at->next = NULL;
		http_wake(at->r);
	}
	b->readers = NULL;
}

static enum http_more read_more(void *arg, struct buf *out)
{
	struct reader *at = arg;
	buf_reserve(out, 16384);
	ssize_t n = read(at->fd, out->data + out->len, 16384);
	if (n > 0) {
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		return HTTP_MORE;
	}
	return n < 0 ? HTTP_BREAK : at->b ? HTTP_WAIT : HTTP_END;
}

static void reader_done(void *arg)
{
	struct reader *at = arg;
	if (at->b)
		for (struct reader **link = &at->b->readers; *link; link = &(*link)->next)
			if (*link == at) {
				*link = at->next;
				break;
			}
	closep(&at->fd);
	free(at);
}

bool builds_takes(struct platform *p, const struct http_request *r)
{
	(void)p;
	return r->method == HTTP_GET && str_starts(r->path, "/build-output/");
}

void builds_handle(struct platform *p, struct http_request *r)
{
	static const char gone[] = "There is no such build.\n";
	struct uuid id;
	const char *at = r->path + sizeof "/build-output/" - 1;
	char text[37] = "";
	if (strlen(at) > 37)
		memcpy(text, at, 36);
	CLEANUP(freep) char *path = platform_path(p, "logs/builds/%s.log", text);
	int fd = uuid_parse(text, &id) == 0 && at[36] == '/' && url_secret_good(p, "build", text, at + 37) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		http_reply(r, 404, "text/plain", gone, sizeof gone - 1);
		return;
	}
	struct reader *reader = xcalloc(1, sizeof *reader);
	*reader = (struct reader){ .b = find(p, &id), .r = r, .fd = fd };
	if (reader->b) {
		reader->next = reader->b->readers;
		reader->b->readers = reader;
	}
	http_plain(r);
	http_stream(r, 200, "text/plain; charset=utf-8", read_more, reader_done, reader);
}

/* ---- stacks ---- */

int stack_newest(const struct platform *p, char ret[16], struct err *err)
{
	CLEANUP(freep) char *folder = platform_path(p, "stack");
	DIR *dir = opendir(folder);
	int64_t best = 0, n;
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (str_to_int64(e->d_name, &n) == 0 && n > best && n < 1000000000)
			best = n;
	if (dir)
		closedir(dir);
	if (!best)
		return err_set(err, E_NOT_FOUND, "there is no stack in %s: the administrator makes one with `updraft platform stack build --home %s`", folder, p->o.home);
	snprintf(ret, 16, "%d", (int)best);
	return 0;
}

/* ---- life ---- */

int builds_start(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *share = NULL, *path = NULL;
	CLEANUP(buf_clear) struct buf known = {0};
	int rc = share_folder(&share, err);
	if (rc < 0)
		return rc;
	path = xasprintf("%s/packs/known", share);
	rc = file_read(path, 1 << 20, &known, err);
	if (rc == 0)
		rc = store_run(p->db, SQL_plat_build_broken_off, err, v_int(loop_now()));
	if (rc < 0)
		return rc;
	if (p->helper) {
		helper_call(p->helper, HELPER_net_open, NULL, NULL, 0, NULL, NULL);
		helper_call(p->helper, HELPER_build_sweep, NULL, NULL, 0, NULL, NULL);
	}
	p->builds = xcalloc(1, sizeof *p->builds);
	p->builds->known = buf_steal(&known);
	return 0;
}

void builds_stop(struct platform *p)
{
	if (!p->builds)
		return;
	p->builds->stopping = true;
	while (p->builds->first) {
		struct build *b = p->builds->first;
		b->l = (struct build_listener){0};
		finish(b, E_CLOSED, "the platform was stopped", NULL);
	}
	free(p->builds->known);
	free(p->builds);
	p->builds = NULL;
}

/* ---- the end of an app ---- */

struct ending { void (*done)(void *arg, int rc, const char *why); void *arg; };

static void on_files_gone(void *arg, int code, const json_t *result, const struct err *err)
{
	struct ending *e = arg;
	(void)result;
	e->done(e->arg, code, err_text(err));
	free(e);
}

int builds_app_end(struct platform *p, const struct app *a, void (*done)(void *arg, int rc, const char *why), void *arg, struct err *err)
{
	char id[37];
	for (const struct build *b = p->builds->first; b; b = b->next)
		if (uuid_eq(&b->app.id, &a->id))
			return err_set(err, E_CONFLICT, "A build of %s runs. Wait for its end, or cancel it: heroku builds:cancel", a->name);
	if (!p->helper) {
		done(arg, 0, "");
		return 0;
	}
	struct ending *e = xcalloc(1, sizeof *e);
	*e = (struct ending){ done, arg };
	uuid_format(&a->id, id);
	helper_call(p->helper, HELPER_app_remove, json_pack("{s:s}", "app", id), NULL, 0, on_files_gone, e);
	return 0;
}
