#include "api/web_apps.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "api/proxy.h"
#include "api/token_keys.h"
#include "base/crypto.h"
#include "loop/log.h"
#include "processor/processor.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_WITHIN (120 * USEC_SEC)
#define AGAIN_FIRST USEC_SEC
#define AGAIN_MOST (60 * USEC_SEC)
#define WAITING_MAX 1000
#define SAID_MAX ((size_t)1 << 20)
#define LISTENING 3                     /* the child's descriptors */
#define CONTROL 4

/* NONE: nothing is theirs. ASKING: Python is loading the plugins, nobody knows yet. STARTING: they are known, and not served yet.
 * BROKEN: they are known and could not be served; tried again */
enum web_state { WEB_NONE, WEB_ASKING, WEB_STARTING, WEB_SERVING, WEB_BROKEN };

struct web_apps {
	struct api *api;
	enum web_state state;
	bool holds;                     /* while asking: whatever comes waits, since a middleware may want it */
	char *socket, *log, secret[33];
	int listening, control, pid;
	struct source *watch, *timer;
	struct buf said;
	VEC(char *) prefixes;
	int64_t middlewares;
	VEC(struct http_request *) waiting;
	bool known;                     /* prefixes and middlewares have been said */
	usec_t pause;
};

static void start(struct web_apps *w);

/* ---- requests ---- */

static const char *trouble_text(const struct web_apps *w, struct arena *a)
{
	return arena_printf(a, "The web apps of plugins do not answer; %s says why", w->log);
}

static void refuse(struct web_apps *w, struct http_request *r)
{
	struct json_writer j;
	buf_reset(&r->out);
	jw_init(&j, &r->out);
	jw_object(&j);
	jw_kstr(&j, "detail", trouble_text(w, &r->arena));
	jw_end_object(&j);
	http_reply_out(r, 503, "application/json");
}

static void pass(struct web_apps *w, struct http_request *r)
{
	struct call c = { .api = w->api, .r = r };
	proxy_request(r, &(struct proxy_target){ w->api->loop, w->socket, auth_is_revoked(&c), trouble_text(w, &r->arena) });
}

static bool theirs(const struct web_apps *w, const struct http_request *r)
{
	/* what could not even be loaded may have been a middleware that lets nobody in */
	if (w->middlewares || (w->state == WEB_BROKEN && !w->known))
		return true;
	for (size_t i = 0; i < w->prefixes.n; i++) {
		size_t n = strlen(w->prefixes.at[i]);
		if (!strncmp(r->path, w->prefixes.at[i], n) && (r->path[n] == '/' || (n && w->prefixes.at[i][n - 1] == '/')))
			return true;
	}
	return false;
}

struct waiter { struct web_apps *w; struct http_request *r; };

static void forget(void *arg)
{
	const struct waiter *x = arg;
	for (size_t i = 0; i < x->w->waiting.n; i++)
		if (x->w->waiting.at[i] == x->r)
			x->w->waiting.at[i--] = x->w->waiting.at[--x->w->waiting.n];
}

static void wait_for_them(struct web_apps *w, struct http_request *r)
{
	struct waiter *x = arena_alloc(&r->arena, sizeof *x);
	*x = (struct waiter){ w, r };
	if (w->waiting.n >= WAITING_MAX) {
		refuse(w, r);
		return;
	}
	vec_push(&w->waiting, r);
	http_on_cancel(r, forget, x);
}

/* the state has changed: those that wait are looked at again. What is not theirs goes the usual way */
static void settle(struct web_apps *w)
{
	struct { struct http_request **at; size_t n, cap; } now = { w->waiting.at, w->waiting.n, w->waiting.cap };
	w->waiting.at = NULL;
	w->waiting.n = w->waiting.cap = 0;
	for (size_t i = 0; i < now.n; i++) {
		http_on_cancel(now.at[i], NULL, NULL);
		api_request(w->api, now.at[i]);
	}
	free(now.at);
}

/* ---- the inner door ---- */

static void drop_inner(struct http_request *r)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->headers.n; i++)
		if (strncasecmp(r->headers.at[i].name, "x-updraft-", 10))
			r->headers.at[kept++] = r->headers.at[i];
	r->headers.n = kept;
}

static bool came_by_inner_door(const struct web_apps *w, struct http_request *r)
{
	const char *secret = http_header(r, "X-Updraft-Inner");
	if (!secret || strlen(secret) != sizeof w->secret - 1 || !mem_eq_const_time(secret, w->secret, sizeof w->secret - 1))
		return false;
	const char *remote = http_header(r, "X-Updraft-Remote"), *scheme = http_header(r, "X-Updraft-Scheme");
	r->remote = remote ? remote : r->remote;
	r->scheme = scheme ? scheme : r->scheme;
	drop_inner(r);
	return true;
}

bool web_apps_take(struct web_apps *w, struct http_request *r)
{
	if (!w || w->state == WEB_NONE || came_by_inner_door(w, r))
		return false;
	switch (w->state) {
	case WEB_NONE: return false;
	case WEB_ASKING:
		if (w->holds)
			wait_for_them(w, r);
		return w->holds;
	case WEB_STARTING: case WEB_SERVING: case WEB_BROKEN: break;
	}
	if (!theirs(w, r))
		return false;
	if (w->state == WEB_SERVING)
		pass(w, r);
	else if (w->state == WEB_BROKEN)
		refuse(w, r);
	else
		wait_for_them(w, r);
	return true;
}

/* ---- the process ---- */

static void become(struct web_apps *w, enum web_state state)
{
	w->state = state;
	settle(w);
}

static void close_channel(struct web_apps *w)
{
	source_free(w->watch);
	w->watch = NULL;
	if (w->control >= 0)
		close(w->control);
	w->control = -1;
}

static void take_prefixes(struct web_apps *w, const json_t *said)
{
	const json_t *list = jg(said, "prefixes"), *errors = jg(said, "errors");
	for (size_t i = 0; i < w->prefixes.n; i++)
		free(w->prefixes.at[i]);
	w->prefixes.n = 0;
	for (size_t i = 0; i < json_array_size(list); i++)
		vec_push(&w->prefixes, xstrdup(json_string_value(json_array_get(list, i))));
	w->middlewares = jg_int(said, "middlewares", 0);
	w->known = true;
	for (size_t i = 0; i < json_array_size(errors); i++)
		log_error("plugins: %s", json_string_value(json_array_get(errors, i)));
	if (w->prefixes.n || w->middlewares)
		log_info("plugins bring %zu web app(s) and %lld middleware(s)", w->prefixes.n, (long long)w->middlewares);
	become(w, w->prefixes.n || w->middlewares ? WEB_STARTING : WEB_NONE);
}

static void take_line(struct web_apps *w, const char *line, size_t n)
{
	CLEANUP(json_decrefp) json_t *said = NULL;
	if (json_read(line, n, &said, NULL) < 0)
		return;
	if (jg(said, "prefixes"))
		take_prefixes(w, said);
	if (!jg(said, "ready"))
		return;
	w->pause = 0;
	timer_at(w->timer, USEC_NONE);
	become(w, WEB_SERVING);
}

static void on_control(void *arg, int fd, uint32_t events)
{
	struct web_apps *w = arg;
	(void)events;
	buf_reserve(&w->said, 65536);
	ssize_t n = read(fd, w->said.data + w->said.len, 65536);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || w->said.len > SAID_MAX) {   /* its end is on its way */
		close_channel(w);
		return;
	}
	w->said.len += (size_t)n;
	for (const char *end; w->said.len && (end = memchr(w->said.data, '\n', w->said.len));) {
		size_t k = (size_t)(end - w->said.data);
		CLEANUP(freep) char *line = xstrndup(w->said.data, k);
		buf_consume(&w->said, k + 1);
		take_line(w, line, k);
	}
}

static void on_left(void *arg, int pid, int status, const struct rusage *ru)
{
	struct web_apps *w = arg;
	(void)pid, (void)ru;
	w->pid = 0;
	close_channel(w);
	if (w->state == WEB_NONE)
		return;
	w->pause = !w->pause ? AGAIN_FIRST : w->pause * 2 > AGAIN_MOST ? AGAIN_MOST : w->pause * 2;
	log_error("the web apps of plugins ended (%s %d); they start again in %lld s. %s says more", WIFSIGNALED(status) ? "signal" : "status",
	          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)(w->pause / USEC_SEC), w->log);
	timer_in(w->timer, w->pause);
	/* one that has served comes back soon: who asks meanwhile waits. One that never got so far: nobody waits for it */
	bool waits = w->state == WEB_SERVING;
	if (!w->known && !w->holds)
		w->known = true;                  /* nothing of it speaks of apps: what there is goes on without */
	become(w, waits ? WEB_STARTING : WEB_BROKEN);
}

/* to start it again, or because it did not come up */
static void on_timer(void *arg)
{
	struct web_apps *w = arg;
	if (!w->pid) {
		start(w);
		return;
	}
	log_error("the web apps of plugins were not ready after %lld s; their process is ended", (long long)(START_WITHIN / USEC_SEC));
	kill(w->pid, SIGKILL);
}

/* what the child needs besides our own environment: where the Python part lies, the door, and what checks our tokens */
static char **child_env(const struct web_apps *w)
{
	VEC(char *) env = {0};
	const struct api *api = w->api;
	const char *secret = token_keys_secret(api->token_keys), *old = getenv("PYTHONPATH");
	for (char **e = environ; *e; e++)
		if (!str_starts(*e, "PYTHONPATH=") && !(secret && str_starts(*e, "AIRFLOW__API_AUTH__JWT_SECRET")))
			vec_push(&env, xstrdup(*e));
	vec_push(&env, xasprintf("PYTHONPATH=%s%s%s", api->o->python_path, old && *old ? ":" : "", old ? old : ""));
	vec_push(&env, xasprintf("UPDRAFT_INNER=%s", w->secret));
	vec_push(&env, xasprintf("UPDRAFT_ROOT_PATH=%s", http_server_base(api->http)));
	vec_push(&env, xstrdup("_AIRFLOW_PROCESS_CONTEXT=client"));
	if (secret)
		vec_push(&env, xasprintf("AIRFLOW__API_AUTH__JWT_SECRET=%s", secret));
	vec_push(&env, NULL);
	return env.at;
}

static char *core_url(const struct api *api)
{
	const char *host = api->o->host ? api->o->host : config_str(api->cfg, OPT_api_host);
	bool v6 = strchr(host, ':');
	if (!*host || streq(host, "0.0.0.0") || streq(host, "::") || streq(host, "[::]") || streq(host, "*"))
		host = v6 ? "::1" : "127.0.0.1";
	v6 = v6 && *host != '[';
	return xasprintf("%s://%s%s%s:%d", http_server_tls(api->http) ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", http_server_port(api->http));
}

static int spawn(struct web_apps *w, int control, int out, struct err *err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	CLEANUP(freep) char *python = python_program(w->api->cfg), *core = core_url(w->api);
	char listening[] = "3", channel[] = "4", dash_c[] = "-c";
	/* `-m` would put the folder we happen to run in at the front of sys.path */
	char code[] = "import sys, runpy; sys.path.pop(0); sys.argv[0] = 'updraft-web-apps'; runpy.run_module('updraft.web_apps', run_name='__main__', alter_sys=True)";
	char *argv[] = { python, dash_c, code, listening, channel, core, NULL };
	char **env = child_env(w);
	/* above what they become, so that none is overwritten on the way */
	CLEANUP(closep) int a = fcntl(w->listening, F_DUPFD_CLOEXEC, 10);
	CLEANUP(closep) int b = fcntl(control, F_DUPFD_CLOEXEC, 10);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	posix_spawn_file_actions_adddup2(&files, a, LISTENING);
	posix_spawn_file_actions_adddup2(&files, b, CONTROL);
	int bad = a < 0 || b < 0 ? errno : posix_spawnp(&w->pid, python, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	for (char **e = env; *e; e++)
		free(*e);
	free(env);
	if (bad)
		w->pid = 0;
	return bad ? err_errno(err, bad, "starting %s", python) : 0;
}

static int open_log(const struct web_apps *w, int *ret, struct err *err)
{
	CLEANUP(freep) char *folder = xasprintf("%s/host", config_str(w->api->cfg, OPT_logging_base_log_folder));
	mkdir(config_str(w->api->cfg, OPT_logging_base_log_folder), 0755);
	mkdir(folder, 0755);
	*ret = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return *ret < 0 ? err_errno(err, errno, "opening %s", w->log) : 0;
}

static int try_start(struct web_apps *w, struct err *err)
{
	int pair[2];
	CLEANUP(closep) int out = -1;
	int rc = open_log(w, &out, err);
	if (rc == 0)
		rc = unix_pair(SOCK_STREAM, pair, err);
	if (rc < 0)
		return rc;
	rc = spawn(w, pair[1], out, err);
	close(pair[1]);
	w->control = pair[0];
	buf_reset(&w->said);
	if (rc == 0) {
		fd_nonblock(w->control, true);
		w->watch = loop_fd(w->api->loop, w->control, EPOLLIN, on_control, w);
		rc = loop_child(w->api->loop, w->pid, on_left, w, NULL, err);
	}
	return rc;
}

static void start(struct web_apps *w)
{
	CLEANUP(err_clear) struct err err = {0};
	if (try_start(w, &err) == 0) {
		timer_in(w->timer, START_WITHIN);
		return;
	}
	close_channel(w);
	w->pause = AGAIN_MOST;
	log_error("the web apps of plugins cannot be started: %s", err_text(&err));
	timer_in(w->timer, AGAIN_MOST);
	become(w, WEB_BROKEN);
}

/* ---- life ---- */

struct web_apps *web_apps_new(struct api *api)
{
	struct web_apps *w = xcalloc(1, sizeof *w);
	uint8_t raw[16];
	random_bytes(raw, sizeof raw);
	for (size_t i = 0; i < sizeof raw; i++)
		snprintf(w->secret + 2 * i, 3, "%02x", raw[i]);
	w->api = api;
	w->listening = w->control = -1;
	w->socket = xasprintf("%s/.updraft/web.%d.sock", config_home(api->cfg), getpid());
	w->log = xasprintf("%s/host/web_apps.log", config_str(api->cfg, OPT_logging_base_log_folder));
	return w;
}

void web_apps_start(struct web_apps *w)
{
	CLEANUP(err_clear) struct err err = {0};
	enum plugin_files files = w->api->o->python_path ? plugin_files_look(w->api->cfg) : PLUGINS_NONE;
	if (files == PLUGINS_NONE)
		return;
	w->state = WEB_ASKING;
	w->holds = files == PLUGINS_WITH_APPS;
	w->timer = loop_timer(w->api->loop, on_timer, w);
	if (unix_listen(w->socket, SOCK_STREAM, 0600, &w->listening, &err) < 0) {
		log_error("the web apps of plugins cannot be served: %s", err_text(&err));
		w->state = WEB_BROKEN;
		return;
	}
	start(w);
}

void web_apps_free(struct web_apps *w)
{
	if (!w)
		return;
	w->state = WEB_NONE;
	close_channel(w);                         /* it ends by that */
	if (w->pid)
		kill(-w->pid, SIGTERM);
	if (w->listening >= 0) {
		close(w->listening);
		unlink(w->socket);
	}
	source_free(w->timer);
	for (size_t i = 0; i < w->prefixes.n; i++)
		free(w->prefixes.at[i]);
	vec_clear(&w->prefixes);
	vec_clear(&w->waiting);
	buf_clear(&w->said);
	free(w->socket);
	free(w->log);
	free(w);
}
