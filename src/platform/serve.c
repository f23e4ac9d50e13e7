#include "platform/serve.h"
#include "loop/log.h"
#include "platform/files.h"
#include "platform/helper.h"
#include "platform/helper_serve.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER_DEFAULT "updraft"
#define AGAIN_FIRST USEC_SEC
#define AGAIN_MOST (60 * USEC_SEC)

struct person { uid_t uid; gid_t gid; char name[64]; };

/* ---- becoming somebody else ---- */

static int become(const struct person *who, struct err *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 || setresuid(who->uid, who->uid, who->uid) < 0)
		return err_errno(err, errno, "becoming the user %s", who->name);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, errno, "giving up privileges");
	return 0;
}

int serve_become_owner(const char *home, struct err *err)
{
	CLEANUP(freep) char *db = xasprintf("%s/platform.db", home);
	struct stat st;
	if (geteuid() != 0)
		return 0;
	if (stat(db, &st) < 0)
		return err_errno(err, errno, "%s", db);
	struct person who = { .uid = st.st_uid, .gid = st.st_gid };
	snprintf(who.name, sizeof who.name, "%d", (int)st.st_uid);
	return st.st_uid ? become(&who, err) : 0;
}

static int make_user(const char *name, const char *home, struct err *err)
{
	union { const char *in[12]; char *const out[12]; } argv = { .in = { "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin", name, NULL } };
	int pid, status;
	int bad = posix_spawnp(&pid, "useradd", NULL, NULL, argv.out, environ);
	if (bad)
		return err_errno(err, bad, "making the user %s: useradd (Debian's package passwd)", name);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "making the user %s", name);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : err_set(err, E_SYSTEM, "the user %s could not be made: useradd failed; make it, or name another by --user", name);
}

static int find_user(const char *name, const char *home, struct person *ret, struct err *err)
{
	struct passwd *pw = getpwnam(name);
	int rc = pw ? 0 : make_user(name, home, err);
	if (rc < 0)
		return rc;
	if (!pw && !(pw = getpwnam(name)))
		return err_set(err, E_SYSTEM, "the user %s was made and cannot be found", name);
	if (!pw->pw_uid)
		return err_set(err, E_CONFIG, "--user %s: the platform does not run as root; name a user of its own", name);
	*ret = (struct person){ .uid = pw->pw_uid, .gid = pw->pw_gid };
	snprintf(ret->name, sizeof ret->name, "%s", name);
	return 0;
}

/* HOME is its user's. One that is another's is refused: nothing is taken over by accident */
static int make_home(const char *home, const struct person *who, struct err *err)
{
	struct stat st;
	int rc = dir_make(home, 0711, err);
	if (rc < 0)
		return rc;
	if (stat(home, &st) < 0)
		return err_errno(err, errno, "%s", home);
	if (st.st_uid == who->uid)
		return 0;
	CLEANUP(freep) char *db = xasprintf("%s/platform.db", home);
	if (st.st_uid != 0 || file_exists(db))
		return err_set(err, E_CONFIG, "%s belongs to another user (uid %d): name a folder of the platform's own by --home, or its user by --user", home, (int)st.st_uid);
	return chown(home, who->uid, who->gid) < 0 ? err_errno(err, errno, "giving %s to %s", home, who->name) : 0;
}

/* ---- the platform process ---- */

static void on_stop(void *arg, int signo, int sender)
{
	(void)signo;
	(void)sender;
	loop_stop(arg);
}

static void on_quiet(void *arg)
{
	struct platform *p = arg;
	store_idle(p->db);
}

/* helper: our end of the root helper's socket; -1: there is none */
static int run(const struct platform_options *given, int helper, struct err *err)
{
	struct loop *l = NULL;
	int rc = loop_new(&l, err);
	if (rc < 0)
		return rc;
	CLEANUP(platform_freep) struct platform *p = NULL;
	struct platform_options options = *given, *o = &options;
	if (helper >= 0)
		rc = helper_new(l, helper, &options.helper, err);
	loop_signal(l, SIGTERM, on_stop, l);
	loop_signal(l, SIGINT, on_stop, l);
	if (rc == 0)
		rc = platform_open(o, l, &p, err);
	if (rc == 0)
		rc = platform_start(p, err);
	if (rc == 0) {
		char url[300];
		loop_on_quiet(l, QUIET_AFTER, on_quiet, p);
		log_info("the platform in %s answers at %s", p->o.home, platform_url(p, url));
		rc = loop_run(l, err);
	}
	platform_freep(&p);
	helper_free(options.helper);
	loop_free(l);
	return rc;
}

/* ---- the parent ---- */

struct parent { struct loop *loop; const struct platform_options *o; const struct person *who; struct source *child, *again; int pid; bool stopping; usec_t wait, began; int result; };

static void start(struct parent *w);

static void on_child(void *arg, int pid, int status, const struct rusage *ru)
{
	struct parent *w = arg;
	(void)pid;
	(void)ru;
	source_free(w->child);
	w->child = NULL;
	w->pid = 0;
	bool crashed = !WIFEXITED(status);
	if (w->stopping || !crashed) {
		w->result = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : w->stopping ? 0 : E_SYSTEM;
		loop_stop(w->loop);
		return;
	}
	w->wait = loop_monotonic() - w->began > AGAIN_MOST ? AGAIN_FIRST : w->wait * 2 < AGAIN_MOST ? w->wait * 2 : AGAIN_MOST;
	log_error("the platform process was ended by signal %d; it starts again in %lld s, apps go on", WIFSIGNALED(status) ? WTERMSIG(status) : 0, (long long)(w->wait / USEC_SEC));
	timer_in(w->again, w->wait);
}

static _Noreturn void be_platform(const struct parent *w, int helper)
{
	CLEANUP(err_clear) struct err err = {0};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	int rc = become(w->who, &err);
	if (rc == 0)
		rc = run(w->o, helper, &err);
	if (rc < 0)
		log_error("%s", err_text(&err));
	err_clear(&err);
	exit(rc < 0 ? 1 : 0);               /* not _exit: a sanitizer looks for leaks on the way out */
}

static void on_helper_end(void *arg, int pid, int status, const struct rusage *ru)
{
	(void)arg, (void)pid, (void)ru;
	if (status)
		log_error("the root helper ended with status 0x%x; what needs it fails until the platform is restarted", (unsigned)status);
}

/* ours: the end for the platform process; -1 after an error that was logged */
static int start_helper(struct parent *w)
{
	CLEANUP(err_clear) struct err err = {0};
	int pair[2];
	if (unix_pair(SOCK_SEQPACKET, pair, &err) < 0) {
		log_error("the root helper cannot be started: %s", err_text(&err));
		return -1;
	}
	int pid = fork();
	if (pid == 0) {
		close(pair[1]);
		_exit(helper_serve(w->o, w->who->uid, w->who->gid, pair[0]));
	}
	close(pair[0]);
	if (pid < 0 || loop_child(w->loop, pid, on_helper_end, w, NULL, &err) < 0) {
		log_error("the root helper cannot be started: %s", pid < 0 ? strerror(errno) : err_text(&err));
		closep(&pair[1]);
		return -1;
	}
	fd_nonblock(pair[1], true);
	return pair[1];
}

static void start(struct parent *w)
{
	CLEANUP(err_clear) struct err err = {0};
	w->began = loop_monotonic();
	fflush(NULL);
	CLEANUP(closep) int helper = start_helper(w);
	w->pid = fork();
	if (w->pid == 0)
		be_platform(w, helper);
	if (w->pid < 0 || loop_child(w->loop, w->pid, on_child, w, &w->child, &err) < 0) {
		log_error("the platform process cannot be started: %s", w->pid < 0 ? strerror(errno) : err_text(&err));
		timer_in(w->again, w->wait);
	}
}

static void on_again(void *arg)
{
	start(arg);
}

static void on_stop_parent(void *arg, int signo, int sender)
{
	struct parent *w = arg;
	(void)signo;
	(void)sender;
	w->stopping = true;
	if (w->pid)
		kill(w->pid, SIGTERM);
	else
		loop_stop(w->loop);
}

static int watch(const struct platform_options *o, const struct person *who, struct err *err)
{
	struct parent w = { .o = o, .who = who, .wait = AGAIN_FIRST };
	int rc = loop_new(&w.loop, err);
	if (rc < 0)
		return rc;
	loop_signal(w.loop, SIGTERM, on_stop_parent, &w);
	loop_signal(w.loop, SIGINT, on_stop_parent, &w);
	w.again = loop_timer(w.loop, on_again, &w);
	start(&w);
	rc = loop_run(w.loop, err);
	loop_free(w.loop);
	return rc < 0 ? rc : w.result < 0 ? err_set(err, w.result, "the platform process left; its last line says why") : 0;
}

int serve_platform(const struct platform_options *o, const char *user, struct err *err)
{
	struct person who;
	if (geteuid() != 0) {
		log_warning("not started as root: the platform answers, but runs no dynos and makes no add-ons");
		return run(o, -1, err);
	}
	int rc = find_user(user ? user : USER_DEFAULT, o->home, &who, err);
	if (rc == 0)
		rc = make_home(o->home, &who, err);
	return rc < 0 ? rc : watch(o, &who, err);
}
