/* exec_probe: the supervisor as a program of its own, for tests that need neither configuration nor command line.
 *
 *   exec_probe HOME [name=value ...]     python, python_path, bin_dir, grace_ms, idle_ms, cap_parse, cap_other, holders, spares
 *   exec_probe --ensure HOME             starts `exec_probe HOME` as a daemon unless one answers; prints its pid
 *   exec_probe --survivors GRACE_MS TOKEN[,PID,TICKS] ...     ends them; prints the tokens found
 *   exec_probe --client SOCKET N PARALLEL COMMAND             N direct children through the C client; prints tasks/s */
#include "exec/client.h"
#include "exec/survivors.h"
#include <stdlib.h>
#include <unistd.h>

static bool option(struct supervisor_options *o, const char *text)
{
	const char *v = strchr(text, '=');
	int64_t n = 0;
	if (!v++)
		return false;
	bool number = str_to_int64(v, &n) == 0;
	if (str_starts(text, "python="))
		o->python = v;
	else if (str_starts(text, "python_path="))
		o->python_path = v;
	else if (str_starts(text, "bin_dir="))
		o->bin_dir = v;
	else if (str_starts(text, "grace_ms=") && number)
		o->kill_grace = n * USEC_MSEC;
	else if (str_starts(text, "idle_ms=") && number)
		o->holder_idle = n * USEC_MSEC;
	else if (str_starts(text, "cap_parse=") && number)
		o->frame_cap_parse = n;
	else if (str_starts(text, "cap_other=") && number)
		o->frame_cap_other = n;
	else if (str_starts(text, "holders=") && number)
		o->max_holders = (int)n;
	else if (str_starts(text, "spares=") && number)
		o->max_spares = (int)n;
	else
		return false;
	return true;
}

static int complain(struct err *err)
{
	fprintf(stderr, "exec_probe: %s\n", err_text(err));
	err_clear(err);
	return 1;
}

static int ensure(const char *self, const char *home)
{
	struct supervisor_options o;
	struct err err = {0};
	int pid = 0;
	exec_supervisor_defaults(&o);
	o.home = home;
	if (exec_supervisor_ensure(&o, (const char *const[]){ self, home, NULL }, 10 * USEC_SEC, &pid, &err))
		return complain(&err);
	printf("%d\n", pid);
	return 0;
}

static int end_survivors(int argc, char **argv)
{
	struct err err = {0};
	int64_t grace;
	if (argc < 1 || str_to_int64(argv[0], &grace))
		return 2;
	size_t n = (size_t)argc - 1;
	struct survivor *s = xcalloc(n, sizeof *s);
	for (size_t i = 0; i < n; i++) {
		char *save, *token = strtok_r(argv[i + 1], ",", &save), *pid = strtok_r(NULL, ",", &save), *ticks = strtok_r(NULL, ",", &save);
		int64_t v = 0;
		s[i].token = token;
		if (pid && !str_to_int64(pid, &v))
			s[i].pid = (int)v;
		if (ticks && !str_to_int64(ticks, &v))
			s[i].start_ticks = v;
	}
	int r = survivors_end(s, n, grace * USEC_MSEC, &err);
	for (size_t i = 0; i < n; i++)
		if (s[i].found)
			printf("%s\n", s[i].token);
	free(s);
	return r < 0 ? complain(&err) : 0;
}

/* ---- a client that runs one command many times ---- */

struct load { struct exec_client *client; struct loop *loop; int64_t left, running, parallel, bad; uint64_t next; const char *command; usec_t began; };

static void fill(struct load *l)
{
	while (l->running < l->parallel && l->left > 0) {
		char token[64];
		snprintf(token, sizeof token, "load-%llu/1", (unsigned long long)l->next);
		CLEANUP(freep) char *log = xasprintf("%s/exec_probe.%d/run_id=%llu/attempt=1.log", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", getpid(), (unsigned long long)l->next);
		struct exec_spawn s = { .kind = EXEC_DIRECT, .token = token, .umask = -1, .log_path = log,
			.argv = (const char *const[]){ "/usr/bin/bash", "-c", l->command, NULL }, .log_fields = "{\"dag_id\":\"load\",\"task_id\":\"t\",\"try_number\":1}",
			.env = (const char *const[]){ "AIRFLOW_CTX_DAG_ID=load", "AIRFLOW_CTX_TASK_ID=t", NULL } };
		if (exec_spawn(l->client, l->next++, &s))
			return;
		l->left--;
		l->running++;
	}
}

static void on_welcome(void *arg, const struct exec_welcome *w)
{
	struct load *l = arg;
	(void)w;
	l->began = loop_monotonic();
	fill(l);
}

static void on_exit_of(void *arg, uint64_t child, const struct exec_exit *e)
{
	struct load *l = arg;
	l->bad += e->status != 0;
	l->running--;
	exec_ack(l->client, child);
	fill(l);
	if (!l->running && !l->left)
		loop_stop(l->loop);
}

static void on_notice(void *arg, const char *level, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", level, text);
}

static int load(char **argv)
{
	static const struct exec_callbacks callbacks = { .welcome = on_welcome, .exit = on_exit_of, .notice = on_notice };
	struct load l = { .next = (uint64_t)getpid() << 24, .command = argv[3] };
	struct err err = {0};
	if (str_to_int64(argv[1], &l.left) || str_to_int64(argv[2], &l.parallel))
		return 2;
	int64_t all = l.left;
	if (loop_new(&l.loop, &err) || exec_client_new(l.loop, argv[0], "task", &callbacks, &l, &l.client, &err) || loop_run(l.loop, &err))
		return complain(&err);
	double seconds = (double)(loop_monotonic() - l.began) / 1e6;
	printf("%lld children, %lld failed, %.2f s, %.0f a second\n", (long long)all, (long long)l.bad, seconds, (double)all / seconds);
	exec_client_free(l.client);
	loop_turn(l.loop, 0, NULL);
	loop_free(l.loop);
	return l.bad != 0;
}

int main(int argc, char **argv)
{
	struct supervisor_options o;
	if (argc == 3 && streq(argv[1], "--ensure"))
		return ensure(argv[0], argv[2]);
	if (argc > 2 && streq(argv[1], "--survivors"))
		return end_survivors(argc - 2, argv + 2);
	if (argc == 6 && streq(argv[1], "--client"))
		return load(argv + 2);
	exec_supervisor_defaults(&o);
	o.foreground = true;
	for (int i = 2; i < argc; i++)
		if (!option(&o, argv[i])) {
			fprintf(stderr, "exec_probe: %s is no option\n", argv[i]);
			return 2;
		}
	if (argc < 2)
		return 2;
	o.home = argv[1];
	return supervisor_main(&o);
}
