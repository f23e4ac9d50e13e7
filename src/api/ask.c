#include "api/ask.h"
#include "base/msgpack.h"
#include "exec/client.h"
#include "loop/log.h"
#include <unistd.h>

#define UNPROMPTED 4294967295u
#define DEADLINE (30 * USEC_SEC)
#define NO_SUPERVISOR (5 * USEC_SEC)   /* unconnected for so long: there is none */
#define IDLE (5 * 60 * USEC_SEC)

struct question { int64_t id; json_t *body; bool sent, keep; usec_t until; ask_fn fn; void *arg; };
struct asks {
	struct api *api;
	struct exec_client *exec;       /* NULL until something is asked */
	uint64_t child, last_child;     /* 0: none */
	bool ready;
	int64_t next;
	VEC(struct question) waiting;
	struct map kept;                /* kept_as -> json_t* */
	usec_t used;
	struct source *timer;
};

/* ---- questions ---- */

/* under what an answer is kept: what was asked, and of which version. Malloc'd */
static char *kept_as(const json_t *question)
{
	return xasprintf("%s %s", jg_str(question, "what", ""), jg_str(question, "version", ""));
}

static void answer(struct asks *a, size_t i, const json_t *result, const char *error)
{
	struct question q = a->waiting.at[i];
	memmove(&a->waiting.at[i], &a->waiting.at[i + 1], (a->waiting.n - i - 1) * sizeof q);
	a->waiting.n--;
	CLEANUP(freep) char *key = q.keep ? kept_as(q.body) : NULL;
	if (result && key)
		json_decref(map_put(&a->kept, key, json_incref((json_t *)(uintptr_t)result)));
	json_decref(q.body);
	q.fn(q.arg, result, error);
}

static void answer_all(struct asks *a, const char *error)
{
	while (a->waiting.n)
		answer(a, 0, NULL, error);
}

static void send_waiting(struct asks *a)
{
	for (size_t i = 0; a->ready && i < a->waiting.n; i++) {
		struct question *q = &a->waiting.at[i];
		CLEANUP(json_decrefp) json_t *frame = json_pack("[I,O]", (json_int_t)UNPROMPTED, q->body);
		CLEANUP(buf_clear) struct buf out = {0};
		if (q->sent)
			continue;
		msgpack_write(&out, frame);
		q->sent = exec_answer(a->exec, a->child, out.data, out.len) == 0;
	}
}

/* ---- the host ---- */

/* ids are unique for a home: those of API servers carry their process and lie apart from the scheduler's and the processor's */
static uint64_t new_child(struct asks *a)
{
	return (uint64_t)1 << 61 | (uint64_t)getpid() << 20 | (++a->last_child & 0xFFFFF);
}

static void start_host(struct asks *a)
{
	CLEANUP(freep) char *log = xasprintf("%s/host/api.log", config_str(a->api->cfg, OPT_logging_base_log_folder));
	struct exec_spawn s = { .kind = EXEC_ASK, .token = "python-ask", .umask = -1, .log_path = log };
	if (a->child || !a->waiting.n || !exec_client_connected(a->exec))
		return;
	a->child = new_child(a);
	if (exec_spawn(a->exec, a->child, &s) < 0)
		a->child = 0;
}

static void host_gone(struct asks *a)
{
	a->child = 0;
	a->ready = false;
	for (size_t i = 0; i < a->waiting.n; i++)
		a->waiting.at[i].sent = false;
}

static void on_welcome(void *arg, const struct exec_welcome *w)
{
	struct asks *a = arg;
	bool there = false;
	for (size_t i = 0; i < w->n; i++) {
		there = there || w->children[i].child == a->child;
		if (w->children[i].child == a->child)
			continue;
		exec_kill(a->exec, w->children[i].child, 0, "its API server is gone");
		exec_ack(a->exec, w->children[i].child);
	}
	if (a->child && !there)
		host_gone(a);
	start_host(a);
}

static void on_answer(struct asks *a, const json_t *body)
{
	for (size_t i = 0; i < a->waiting.n; i++)
		if (a->waiting.at[i].id == jg_int(body, "ask", -1)) {
			answer(a, i, jg(body, "result"), jg_str(body, "error", NULL));
			return;
		}
}

/* Whatever user code asks for on the way (variables at a file's top level) is not served here: nothing that is asked loads files. */
static void refuse(struct asks *a, int64_t id)
{
	CLEANUP(json_decrefp) json_t *frame = json_pack("[I,n,{s:s,s:s,s:n}]", (json_int_t)id, "type", "ErrorResponse", "error", "GENERIC_ERROR", "detail");
	CLEANUP(buf_clear) struct buf out = {0};
	msgpack_write(&out, frame);
	exec_answer(a->exec, a->child, out.data, out.len);
}

static void on_frame(void *arg, uint64_t child, const void *msgpack, size_t n)
{
	struct asks *a = arg;
	CLEANUP(json_decrefp) json_t *frame = NULL;
	CLEANUP(buf_clear) struct buf out = {0};
	if (child != a->child || msgpack_read(msgpack, n, &frame, NULL) < 0)
		return;
	int64_t id = json_integer_value(json_array_get(frame, 0));
	const json_t *body = json_array_get(frame, 1);
	const char *type = jg_str(body, "type", "");
	if (!streq(type, "UpdraftHostReady") && !streq(type, "Answer")) {
		refuse(a, id);
		return;
	}
	CLEANUP(json_decrefp) json_t *ack = json_pack("[I]", (json_int_t)id);
	msgpack_write(&out, ack);
	exec_answer(a->exec, child, out.data, out.len);
	if (streq(type, "Answer")) {
		on_answer(a, body);
		return;
	}
	a->ready = true;
	send_waiting(a);
}

static void on_exit_of(void *arg, uint64_t child, const struct exec_exit *x)
{
	struct asks *a = arg;
	exec_ack(a->exec, child);
	if (child != a->child)
		return;
	bool was_ready = a->ready;
	host_gone(a);
	if (!was_ready && !x->refused) {          /* it cannot start: so would the next one */
		CLEANUP(freep) char *text = xasprintf("Python could not be asked: %s", x->error ? x->error : "its process ended; see host/api.log in the log folder");
		answer_all(a, text);
	}
	start_host(a);
}

static void on_lost(void *arg, const char *why)
{
	(void)why;
	host_gone(arg);
}

static void on_notice(void *arg, const char *level, const char *text)
{
	(void)arg;
	(void)level;
	log_line(LOG_DEBUG, "supervisor: %s", text);
}

static const struct exec_callbacks callbacks = { .welcome = on_welcome, .frame = on_frame, .exit = on_exit_of, .lost = on_lost, .notice = on_notice };

static void close_client(struct asks *a)
{
	exec_client_free(a->exec);
	a->exec = NULL;
	host_gone(a);
}

/* ---- time ---- */

static void on_tick(void *arg)
{
	struct asks *a = arg;
	usec_t now = loop_monotonic();
	for (size_t i = 0; i < a->waiting.n;) {
		bool connected = exec_client_connected(a->exec);
		if (a->waiting.at[i].until > now + (connected ? 0 : DEADLINE - NO_SUPERVISOR)) {
			i++;
			continue;
		}
		answer(a, i, NULL, connected ? "Python did not answer in time" : "no supervisor answers, so Python cannot be asked");
		i = 0;
	}
	if (!a->waiting.n && a->used + IDLE <= now) {
		close_client(a);
		timer_at(a->timer, USEC_NONE);
		return;
	}
	timer_in(a->timer, USEC_SEC);
}

struct asks *asks_new(struct api *api)
{
	struct asks *a = xcalloc(1, sizeof *a);
	a->api = api;
	a->timer = loop_timer(api->loop, on_tick, a);
	return a;
}

void asks_free(struct asks *a)
{
	if (!a)
		return;
	answer_all(a, "the API server is stopping");
	exec_client_free(a->exec);
	map_each(&a->kept, e)
		json_decref(e->value);
	map_clear(&a->kept);
	vec_clear(&a->waiting);
	source_free(a->timer);
	free(a);
}

/* ---- asking ---- */

/* A client that another API server has replaced does not come back by itself: it is made anew. */
static int connect_client(struct asks *a, struct err *err)
{
	CLEANUP(buf_clear) struct buf path = {0};
	if (a->exec && !exec_client_connected(a->exec) && !a->waiting.n)
		close_client(a);
	if (a->exec)
		return 0;
	int rc = a->api->o->ensure_supervisor ? a->api->o->ensure_supervisor(a->api->cfg, err) : 0;
	if (rc < 0)
		return rc;
	exec_supervisor_socket(config_home(a->api->cfg), &path);
	return exec_client_new(a->api->loop, path.data, "ask", &callbacks, a, &a->exec, err);
}

void ask_python(struct asks *a, json_t *question, bool keep, ask_fn fn, void *arg)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *key = keep ? kept_as(question) : NULL;
	const json_t *known = key ? map_get(&a->kept, key) : NULL;
	if (known || connect_client(a, &err) < 0) {
		json_decref(question);
		fn(arg, known, known ? NULL : err_text(&err));
		return;
	}
	struct question q = { .id = ++a->next, .body = question, .keep = keep, .until = loop_monotonic() + DEADLINE, .fn = fn, .arg = arg };
	json_object_set_new(question, "type", json_string("Ask"));
	json_object_set_new(question, "ask", json_integer(q.id));
	vec_push(&a->waiting, q);
	a->used = loop_monotonic();
	timer_in(a->timer, USEC_SEC);
	start_host(a);
	send_waiting(a);
}

struct asking { struct call *call; asked_fn then; };

static void call_asked(void *arg, const json_t *result, const char *error)
{
	struct asking *x = arg;
	x->then(x->call, result, error);
}

void call_ask(struct call *c, json_t *question, bool keep, asked_fn then)
{
	struct asking *x = arena_alloc(&c->r->arena, sizeof *x);
	*x = (struct asking){ call_keep(c), then };
	ask_python(c->api->asks, question, keep, call_asked, x);
}
