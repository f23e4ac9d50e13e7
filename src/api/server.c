/* server: the role. Opens what requests need, listens, sends each request through login, permission and body to its handler. */
#include "api/ask.h"
#include "api/auth.h"
#include "api/beats.h"
#include "api/commands.h"
#include "api/execution.h"
#include "api/graph.h"
#include "api/handlers.h"
#include "api/kept.h"
#include "api/origin.h"
#include "api/accounts.h"
#include "api/permit.h"
#include "api/router.h"
#include "api/token_keys.h"
#include "api/web.h"
#include "api/web_apps.h"
#include "loop/workers.h"
#include "base/crypto.h"
#include "engine/answers.h"
#include "exec/lease.h"
#include "loop/log.h"
#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEAT (5 * USEC_SEC)
#define BEATS_AN_HOUR 720
#define DRAIN (2 * USEC_SEC)
#define FILES 10000
#define CONNECTIONS 4096

/* ---- one request ---- */

static void unknown_path(struct call *c, enum http_method served_with)
{
	if (served_with != HTTP_OTHER) {
		http_set_header(c->r, "Allow", http_method_name(served_with));
		call_fail(c, 405, "Method Not Allowed");
	} else if (str_starts(c->r->path, "/api/v1/")) {
		static const char gone[] = "{\"error\":\"/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead.\"}";
		http_reply(c->r, 404, "application/json", gone, sizeof gone - 1);
	} else if (str_starts(c->r->path, "/api/")) {
		static const char body[] = "{\"error\":\"API route not found\"}";
		http_reply(c->r, 404, "application/json", body, sizeof body - 1);
	} else if (c->r->method != HTTP_GET || str_starts(c->r->path, "/auth/") || str_starts(c->r->path, "/execution/") ||
	           str_starts(c->r->path, "/updraft/") || !web_page(c)) {
		call_fail(c, 404, "Not Found");
	}
}

void call_go(struct call *c)
{
	if (permitted(c) && (!c->route->body || body_read(c, c->route->body)) && permitted_body(c))
		c->route->handler(c);
	/* a handler that found a parameter wrong and returned: nobody waits for ever */
	if (!c->r->status && (c->problems.len || c->refused))
		call_problems(c);
	call_release(c);
}

void api_request(struct api *api, struct http_request *r)
{
	struct call c = { .api = api, .r = r };
	enum http_method allow;
	if (origins_answer(api->origins, r))
		return;
	if (web_apps_take(api->web_apps, r))
		return;
	if (execution_request(&c)) {
		call_release(&c);
		return;
	}
	c.route = route_match(&c, r->method, r->path, &allow);
	if (!c.route)
		unknown_path(&c, allow);
	else if (origins_foreign(api->origins, r))
		call_fail(&c, 403, "A page of another site asked for this change. If it may, name its origin in [api] access_control_allow_origins");
	else if (!login_basic(&c))
		call_go(&c);
	call_release(&c);
}

static void on_request(void *arg, struct http_request *r)
{
	api_request(arg, r);
}

/* ---- logging ---- */

static void on_access(void *arg, const struct http_access *a)
{
	metrics_request(&((struct api *)arg)->metrics, a->status, a->took);
	log_line(LOG_DEBUG, "%s \"%s %s\" %d %llu %.1fms", a->request->remote, http_method_name(a->request->method), a->request->target, a->status,
	         (unsigned long long)a->bytes, (double)a->took / 1e3);
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	log_line(LOG_DEBUG, "%s", text);
}

static void print_password(const char *line)
{
	printf("Simple auth manager | %s\n", line);
	fflush(stdout);
}

/* ---- the job's row ---- */

static void on_beat(void *arg)
{
	struct api *api = arg;
	CLEANUP(err_clear) struct err err = {0};
	if (store_run(api->db, SQL_job_beat, &err, v_int(api->job_id), v_time(loop_now())) < 0)
		api_note(api, "writing the heartbeat", &err);
	else if (++api->beats % BEATS_AN_HOUR == 0 &&
	         (store_run(api->db, SQL_token_trim, &err, v_time(loop_now())) < 0 || auth_forget(api->db, loop_now(), &err) < 0))
		api_note(api, "forgetting revoked tokens and failed logins", &err);
}

static void on_quiet(void *arg)
{
	struct api *api = arg;
	kept_forget(api->kept);
	store_idle(api->db);
}

static int job_begin(struct api *api, struct err *err)
{
	char host[256] = "localhost";
	gethostname(host, sizeof host - 1);
	const struct passwd *pw = getpwuid(getuid());
	snprintf(api->unixname, sizeof api->unixname, "%s", pw ? pw->pw_name : "");
	int rc = store_insert(api->db, SQL_job_start, &api->job_id, err, v_text("ApiServerJob"), v_text(host), v_text(pw ? pw->pw_name : NULL),
	                      v_int(getpid()), v_null(), v_time(loop_now()), v_null());
	if (rc < 0)
		return rc;
	api->beat = loop_timer(api->loop, on_beat, api);
	timer_every(api->beat, BEAT);
	loop_on_quiet(api->loop, QUIET_AFTER, on_quiet, api);
	return 0;
}

static void job_end(struct api *api)
{
	CLEANUP(err_clear) struct err err = {0};
	if (api->job_id && store_run(api->db, SQL_job_end, &err, v_int(api->job_id), v_time(loop_now()), v_text("success")) < 0)
		api_note(api, "ending the job", &err);
}

/* ---- where to listen ---- */

static bool is_loopback(const char *host)
{
	return streq(host, "localhost") || streq(host, "::1") || streq(host, "[::1]") || str_starts(host, "127.");
}

static int refuse_open_door(const struct api *api, const char *host, struct err *err)
{
	if (auth_mode(api->auth) != AUTH_SIMPLE_ALL_ADMINS || is_loopback(host) || api->o->i_know)
		return 0;
	return err_set(err, E_CONFIG, "[core] simple_auth_manager_all_admins (%s) lets everybody in as an administrator, and [api] host is %s, which other "
	               "machines reach. Set [api] host to 127.0.0.1, or turn all_admins off, or start with --i-know",
	               config_where(api->cfg, OPT_core_simple_auth_manager_all_admins), host);
}

/* the path of [api] base_url, without a trailing slash */
static const char *base_path(const struct config *cfg, struct arena *a)
{
	const char *url = config_str(cfg, OPT_api_base_url), *p = strstr(url, "://");
	p = strchr(p ? p + 3 : url, '/');
	size_t n = p ? strlen(p) : 0;
	while (n && p[n - 1] == '/')
		n--;
	return arena_strndup(a, n ? p : "", n);
}

static int listen_http(struct api *api, struct arena *a, struct err *err)
{
	const struct api_options *o = api->o;
	const char *host = o->host ? o->host : config_str(api->cfg, OPT_api_host);
	const char *cert = o->ssl_cert ? o->ssl_cert : config_str(api->cfg, OPT_api_ssl_cert);
	const char *key = o->ssl_key ? o->ssl_key : config_str(api->cfg, OPT_api_ssl_key);
	struct http_options h = { .host = host, .port = o->port >= 0 ? o->port : (int)config_int(api->cfg, OPT_api_port),
		.tls_cert = *cert ? cert : NULL, .tls_key = *key ? key : NULL, .base_path = base_path(api->cfg, a), .proxy_headers = o->proxy_headers,
		.proxies = getenv("FORWARDED_ALLOW_IPS"), .max_connections = CONNECTIONS, .access = on_access, .note = on_note, .log_arg = api };
	int rc = refuse_open_door(api, host, err);
	if (rc == 0)
		rc = http_server_new(api->loop, &h, on_request, api, &api->http, err);
	if (rc < 0)
		return rc;
	log_info("listening on %s://%s:%d%s", h.tls_cert ? "https" : "http", host, http_server_port(api->http), h.base_path);
	if (o->ready)
		o->ready(o->ready_arg, http_server_port(api->http));
	return 0;
}

/* ---- life ---- */

/* each open log tail holds two descriptors */
static void raise_file_limit(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= FILES)
		return;
	l.rlim_cur = l.rlim_max == RLIM_INFINITY || l.rlim_max > FILES ? FILES : l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) < 0)
		log_warning("open files: the limit stays as it is: %s", strerrordesc_np(errno));
}

static int make_runtime_folder(const struct config *cfg, struct err *err)
{
	CLEANUP(freep) char *path = xasprintf("%s/.updraft", config_home(cfg));
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "making %s", path);
	return 0;
}

static int first_user(struct api *api, struct err *err)
{
	CLEANUP(freep) char *name = NULL;
	int rc = people_from_environment(api->db, &name, err);
	if (name)
		log_info("made the user %s, whom the environment names", name);
	return rc;
}

static int open_all(struct api *api, struct err *err)
{
	const struct config *cfg = api->cfg;
	/* a small cache: one API process shares the machine with the tasks */
	struct store_options so = { .cache_kib = 1024, .busy_timeout_ms = 5000 };
	struct auth_setup as = { .cfg = cfg, .print = print_password };
	int rc = make_runtime_folder(cfg, err);
	if (rc == 0)
		rc = loop_new(&api->loop, err);
	if (rc == 0)
		rc = store_open_waiting(config_str(cfg, OPT_database_sql_alchemy_conn), &so, &api->db, err);
	if (rc == 0)
		rc = fernet_new(config_str(cfg, OPT_core_fernet_key), &api->fernet, err);
	as.db = api->db;
	if (rc == 0)
		rc = first_user(api, err);
	if (rc == 0)
		rc = token_keys_new(cfg, api->db, &api->token_keys, err);
	if (rc == 0)
		rc = token_keys_watch(api->token_keys, api->loop, err);
	as.keys = api->token_keys;
	if (rc == 0)
		rc = auth_new(&as, &api->auth, err);
	if (rc == 0)
		api->task_tokens = task_tokens_new(cfg, api->token_keys);
	if (rc == 0)
		api->answers = answers_new(cfg, api->db, api->fernet);
	if (rc == 0)
		api->task_beats = beats_new(api);
	if (rc == 0)
		rc = workers_new(api->loop, &api->workers, err);
	if (rc == 0)
		rc = commands_new(api, &api->commands, err);
	if (rc == 0) {
		api->audits = audits_new(api);
		api->asks = asks_new(api);
	}
	if (rc == 0)
		api->kept = kept_new(api->db);
	api->web_apps = web_apps_new(api);
	api->origins = origins_new(cfg);
	api->web = web_new(cfg);
	api->graphs = graphs_new();
	return rc;
}

static void close_all(struct api *api)
{
	workers_free(api->workers);
	asks_free(api->asks);
	connection_tests_free(api);
	commands_free(api->commands);     /* those that wait are told that we stop */
	http_server_drain(api->http, DRAIN);
	http_server_free(api->http);
	web_apps_free(api->web_apps);
	audits_free(api->audits);
	beats_free(api->task_beats);
	kept_free(api->kept);
	origins_free(api->origins);
	web_free(api->web);
	graphs_free(api->graphs);
	if (api->db)
		job_end(api);
	source_free(api->beat);
	auth_free(api->auth);
	answers_free(api->answers);
	task_tokens_free(api->task_tokens);
	token_keys_free(api->token_keys);
	file_tokens_clear(&api->file_tokens);
	config_list_clear(&api->mask_words);
	fernet_free(api->fernet);
	store_close(api->db);
	loop_free(api->loop);
}

static void on_signal(void *arg, int signo, int sender)
{
	(void)signo;
	(void)sender;
	loop_stop(arg);
}

static int run(struct api *api, struct err *err)
{
	CLEANUP(arena_clear) struct arena a = {0};
	int rc = open_all(api, err);
	if (rc < 0)
		return rc;
	/* before anybody is told that we listen */
	struct source *term = loop_signal(api->loop, SIGTERM, on_signal, api->loop);
	struct source *stop = loop_signal(api->loop, SIGINT, on_signal, api->loop);
	rc = job_begin(api, err);
	if (rc == 0)
		rc = listen_http(api, &a, err);
	if (rc == 0)
		web_apps_start(api->web_apps);
	if (rc == 0)
		rc = loop_run(api->loop, err);
	source_free(term);
	source_free(stop);
	return rc;
}

int api_server_main(const struct api_options *o)
{
	CLEANUP(err_clear) struct err err = {0};
	struct api api = { .o = o, .cfg = o->cfg, .started = loop_now(), .page_limit = config_int(o->cfg, OPT_api_fallback_page_limit),
		.page_limit_max = config_int(o->cfg, OPT_api_maximum_page_limit) };
	api.mask_words = config_list(o->cfg, OPT_core_sensitive_var_conn_names);
	api.mask = (struct mask){ !config_bool(o->cfg, OPT_core_hide_sensitive_var_conn_fields), api.mask_words.at, api.mask_words.n };
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	int rc = run(&api, &err);
	if (rc < 0)
		log_error("%s", err_text(&err));
	close_all(&api);
	return rc < 0 ? 1 : 0;
}
