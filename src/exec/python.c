/* python: children of the forge: started from a spare, a holder or the forge itself; judged when their maker is gone. */
#include "exec/supervisor.h"
#include "exec/process.h"
#include "base/crypto.h"
#include "base/msgpack.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_AGAIN (20 * USEC_MSEC)
#define LOOKS_MAX 100

static const struct log_caller by_signal = { "task", "supervisor.py", 1228 };
static const struct log_caller by_segv = { "task", "supervisor.py", 1219 };
static const struct log_caller abnormal = { "task", "supervisor.py", 1232 };

int python_sockets(int ours[FORGE_FDS], int theirs[FORGE_FDS], struct err *err)
{
	for (int i = 0; i < FORGE_FDS; i++) {
		int pair[2];
		int r = unix_pair(SOCK_STREAM, pair, err);
		if (r) {
			for (int k = 0; k < i; k++) {
				close(ours[k]);
				close(theirs[k]);
			}
			return r;
		}
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	return 0;
}

/* ---- what the child is told first ---- */

static int decode_first(const struct child *c, struct buf *ret, struct err *err)
{
	const char *text = jg_str(c->spec, "first", NULL);
	if (!text)
		return 0;
	CLEANUP(freep) char *url = xstrdup(text);
	for (char *p = url; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	if (base64url_decode(url, strlen(url), ret))
		return err_set(err, E_PROTOCOL, "SPAWN: first is no base64");
	return 0;
}

static char *title_of(const struct child *c)
{
	const char *rel = jg_str(jg(c->spec, "file"), "rel", "");
	return xasprintf("updraft %s%s%s", exec_kind_name(c->kind), *rel ? " " : "", rel);
}

/* the frame that makes a spare this child */
static void assign(struct child *c)
{
	CLEANUP(freep) char *title = title_of(c);
	struct buf packed = {0};
	const json_t *env = jg(c->spec, "env");
	json_t *body = json_pack("[i,{s:s,s:s,s:s,s:O?}]", 0, "type", "UpdraftAssign", "token", c->token, "title", title, "env", env);
	msgpack_write(&packed, body);
	relay_send(c, packed.data, packed.len);
	buf_clear(&packed);
	json_decref(body);
}

/* ---- starting ---- */

static void limit_memory(struct child *c, int64_t bytes)
{
	struct err err = {0};
	char name[64];
	if (bytes <= 0 || !c->s->cgroups.version)
		return;
	snprintf(name, sizeof name, "%.8s-%llu", c->s->boot_id, (unsigned long long)c->id);
	if (cgroup_make(&c->s->cgroups, name, bytes, &c->cgroup, &err) || cgroup_enter(&c->cgroup, c->pid, &err))
		notice(c->s, "warning", "%s runs without its memory limit: %s", c->token, err_text(&err));
	err_clear(&err);
}

static void started(struct child *c, int pid)
{
	int64_t limit = jg_int(c->spec, "memory_limit_bytes", 0);
	int niceness = (int)jg_int(c->spec, "nice", 0);
	child_started(c, pid, loop_now());
	limit_memory(c, limit);
	if (niceness)
		setpriority(PRIO_PROCESS, (id_t)pid, niceness);   /* ESRCH: it is over already */
}

static void adopt(struct child *c, struct spare *spare, const struct holder *h, const struct buf *first)
{
	child_open_log(c);
	relay_open(c, spare->fds[FORGE_FD_REQUESTS], (int[STREAMS]){ spare->fds[FORGE_FD_STDOUT], spare->fds[FORGE_FD_STDERR], spare->fds[FORGE_FD_LOGS] });
	c->from = holder_link(h);
	assign(c);
	if (first->len)
		relay_send(c, first->data, first->len);
	started(c, spare->pid);
	free(spare);
}

static void ask_fork(struct child *c, struct forge_link *link, const int theirs[FORGE_FDS])
{
	json_t *env = json_object_get(c->spec, "env");
	size_t n = json_object_size(env), i = 0;
	CLEANUP(freep) const char **names = xcalloc(n + 1, sizeof *names);
	CLEANUP(freep) const char **values = xcalloc(n + 1, sizeof *values);
	CLEANUP(freep) char *title = title_of(c);
	const char *key;
	json_t *value;
	json_object_foreach(env, key, value) {
		names[i] = key;
		values[i++] = json_string_value(value);
	}
	struct forge_fork r = { .kind = exec_kind_name(c->kind), .env_names = names, .env_values = values, .nenv = n, .user = jg_str(c->spec, "user", NULL),
		.token = c->token, .title = title, .umask = (int)jg_int(c->spec, "umask", -1) };
	forge_link_fork(link, c->id, &r, theirs);
}

static int fork_from(struct child *c, struct forge_link *link, const struct buf *first, struct err *err)
{
	int ours[FORGE_FDS], theirs[FORGE_FDS];
	int r = python_sockets(ours, theirs, err);
	if (r)
		return r;
	child_open_log(c);
	relay_open(c, ours[FORGE_FD_REQUESTS], (int[STREAMS]){ ours[FORGE_FD_STDOUT], ours[FORGE_FD_STDERR], ours[FORGE_FD_LOGS] });
	c->state = CHILD_STARTING;
	c->from = link;
	if (first->len)
		relay_send(c, first->data, first->len);
	ask_fork(c, link, theirs);
	for (int i = 0; i < FORGE_FDS; i++)
		close(theirs[i]);
	return 0;
}

static struct holder *holder_for(struct child *c)
{
	const json_t *file = jg(c->spec, "file");
	bool may = c->kind == EXEC_TASK && !jg(c->spec, "user") && jg(file, "rel") && jg(file, "stamp");
	return may ? holder_use(c->s, file) : NULL;
}

void python_start(struct child *c)
{
	struct supervisor *s = c->s;
	if (!forge_host_possible(s)) {
		child_failed(c, "a child of kind %s needs Python, and no interpreter was found; see the option [updraft] python", exec_kind_name(c->kind));
		return;
	}
	struct holder *h = holder_for(c);
	struct forge_link *link = h ? holder_link(h) : forge_host_link(s);
	if (!link)
		return;   /* stays queued */
	struct err err = {0};
	struct buf first = {0};
	int r = decode_first(c, &first, &err);
	struct spare *spare = h && !r ? holder_take_spare(h) : NULL;
	if (spare)
		adopt(c, spare, h, &first);
	else if (!r)
		r = fork_from(c, link, &first, &err);
	if (h)
		holder_refill(h);
	buf_clear(&first);
	if (r)
		child_failed(c, "%s", err_text(&err));
	err_clear(&err);
}

/* ---- the queue: by child id, which is the order in which they were asked for ---- */

static bool queued(const struct child *c)
{
	return c->state == CHILD_QUEUED && c->kind != EXEC_DIRECT;
}

static int by_id(const void *a, const void *b)
{
	const struct child *const *x = a, *const *y = b;
	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static void each_queued(struct supervisor *s, void (*fn)(struct child *c, const char *why), const char *why)
{
	VEC(struct child *) list = {0};
	for (size_t b = 0; b < BUCKETS; b++)
		for (struct child *c = s->by_id[b]; c; c = c->next_id)
			if (queued(c))
				vec_push(&list, c);
	if (list.n)
		qsort(list.at, list.n, sizeof *list.at, by_id);
	for (size_t i = 0; i < list.n; i++)
		fn(list.at[i], why);
	vec_clear(&list);
}

static void start_one(struct child *c, const char *why)
{
	(void)why;
	python_start(c);
}

static void fail_one(struct child *c, const char *why)
{
	child_failed(c, "the Python forge does not start: %s", why);
}

void python_start_queued(struct supervisor *s)
{
	each_queued(s, start_one, NULL);
}

void python_fail_queued(struct supervisor *s, const char *why)
{
	each_queued(s, fail_one, why);
}

/* ---- the forge's answers ---- */

void python_forked(struct supervisor *s, const struct forge_link *from, uint64_t id, int pid, const char *error)
{
	if (id & FORK_OURS) {
		holder_forked(s, id, pid, error);
		return;
	}
	struct child *c = child_find(s, id);
	if (!c || c->state != CHILD_STARTING || c->from != from)
		return;
	if (pid)
		started(c, pid);
	else
		child_failed(c, "the Python forge could not fork: %s", error ? error : "it gave no reason");
}

/* ---- when the maker is gone ---- */

static bool same_process(const struct child *c)
{
	struct process p;
	return process_read(c->pid, &p) && p.start_ticks == c->start_ticks;
}

static void judge(struct child *c)
{
	if (c->state == CHILD_STARTING) {
		python_look(c);
	} else if (c->state == CHILD_RUNNING && !c->reaped && !same_process(c)) {
		/* its exit was collected by a forge that died before it could tell */
		if (!c->error)
			c->error = xstrdup("how it ended is not known: the Python forge died in the same moment");
		child_reaped(c, -255, loop_now(), 0, 0, 0);
	}
}

void python_judge_orphans(struct supervisor *s)
{
	for (size_t b = 0; b < BUCKETS; b++)
		for (struct child *c = s->by_id[b], *next; c; c = next) {
			next = c->next_id;
			if (c->orphan)
				judge(c);
		}
}

void python_link_gone(struct supervisor *s, const struct forge_link *from)
{
	for (size_t b = 0; b < BUCKETS; b++)
		for (struct child *c = s->by_id[b], *next; c; c = next) {
			next = c->next_id;
			if (c->from != from)
				continue;
			c->from = NULL;
			c->orphan = true;
			judge(c);
		}
}

/* Its channel was closed with its first frame unread, and it said nothing: no code of the user has run. Once more. */
static void queue_again(struct child *c)
{
	relay_close_requests(c);
	for (int i = 0; i < STREAMS_ALL; i++) {
		source_free(c->streams[i].watch);
		c->streams[i].watch = NULL;
		closep(&c->streams[i].fd);
	}
	c->state = CHILD_QUEUED;
	c->orphan = c->unread = false;
	c->look_tries = 0;
	c->look_at = USEC_NONE;
	if (c->killed_by_us)
		child_kill_hard(c);
	else
		python_start(c);
}

/* The forge died before it told this child's pid. Whoever holds the other end of its channel is it; its title has the token. */
void python_look(struct child *c)
{
	if (c->state != CHILD_STARTING)
		return;
	bool gone = relay_peer_gone(c);
	int pid = gone ? 0 : process_find_title(c->token);
	if (pid) {
		started(c, pid);
		return;
	}
	if (gone && c->unread && !c->heard) {
		queue_again(c);
		return;
	}
	if (gone || ++c->look_tries > LOOKS_MAX) {
		child_failed(c, "the Python forge died while it started this child");
		return;
	}
	c->look_at = loop_monotonic() + LOOK_AGAIN;
	child_arm(c);
}

/* ---- the end ---- */

static const char *signal_name(int signo, char *space, size_t n)
{
	const char *abbreviation = sigabbrev_np(signo);
	snprintf(space, n, "SIG%s", abbreviation ? abbreviation : "?");
	return space;
}

static void say_signal(struct child *c, int signo)
{
	char name[32];
	CLEANUP(freep) char *extra = xasprintf("\"signal\":%d,\"signal_name\":\"%s\"", -signo, signal_name(signo, name, sizeof name));
	CLEANUP(freep) char *text = xasprintf("Process terminated by signal.%s For more information, see "
		"https://airflow.apache.org/docs/apache-airflow/stable/troubleshooting.html#process-terminated-by-signal.",
		c->oom ? " The kernel ended it for want of memory (OOM)." : signo == SIGKILL ? " Likely out of memory error (OOM)." : "");
	logfile_say(c->log, signo == SIGKILL ? "critical" : "error", &by_signal, text, extra, loop_now());
}

/* what the official supervisor puts into the try's log when its process ended badly */
void python_end_lines(struct child *c)
{
	if (!c->log || (!c->status && !c->error) || c->kind == EXEC_PARSE)
		return;
	CLEANUP(freep) char *code = xasprintf("\"exit_code\":%d", c->status);
	if (c->error)
		logfile_say(c->log, "error", &abnormal, c->error, NULL, loop_now());
	else if (c->killed_by_us && c->status < 0)
		return;   /* we know why */
	else if (c->status == -SIGSEGV)
		logfile_say(c->log, "critical", &by_segv, "Received SIGSEGV: the process accessed memory that is not its own. Usually a library written in C is at fault; "
			"set the environment variable PYTHONFAULTHANDLER=true to see in the next try where it happens.", NULL, loop_now());
	else if (c->status < 0)
		say_signal(c, -c->status);
	else
		logfile_say(c->log, "warning", &abnormal, "Process exited abnormally", code, loop_now());
	child_dirty(c);
}
