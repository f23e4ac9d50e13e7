/* verbs_build: what the root helper does for git and builds: git http-backend under the app's git user, a build in its sandbox, and the
 * removal of what belongs to apps. */
#include "platform/box.h"
#include "platform/beneath.h"
#include "platform/share.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIT_BACKEND "/usr/lib/git-core/git-http-backend"
#define GIT "/usr/bin/git"
#define GIT_MEMORY ((rlim_t)8 << 30)           /* of addresses: packs are mapped */

/* ---- children ---- */

struct waited { struct helper_root *h; uint64_t n; struct kid kid; };
static VEC(struct waited *) kids;

static void on_kid_end(void *arg, int pid, int status, const struct rusage *ru)
{
	struct waited *w = arg;
	(void)ru;
	CLEANUP(json_decrefp) json_t *result = json_pack("{s:i}", "exit", status == CHILD_STATUS_UNKNOWN ? 255 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	for (size_t i = 0; i < kids.n; i++)
		if (kids.at[i] == w) {
			kids.at[i] = kids.at[--kids.n];
			break;
		}
	(void)pid;
	if (!kids.n)
		vec_clear(&kids);
	helper_root_answer(w->h, w->n, 0, result, NULL);
	free(w);
}

int kid_watch(struct helper_root *h, uint64_t n, int pid, const char *id, struct err *err)
{
	struct waited *w = xcalloc(1, sizeof *w);
	w->h = h;
	w->n = n;
	w->kid.pid = pid;
	snprintf(w->kid.id, sizeof w->kid.id, "%s", id);
	int r = loop_child(helper_root_loop(h), pid, on_kid_end, w, NULL, err);
	if (r) {
		free(w);
		kill(pid, SIGTERM);
		return r;
	}
	vec_push(&kids, w);
	return HELPER_LATER;
}

int kid_find(const char *id)
{
	for (size_t i = 0; i < kids.n; i++)
		if (streq(kids.at[i]->kid.id, id))
			return kids.at[i]->kid.pid;
	return 0;
}

void kid_begin(const int *keep, size_t n)
{
	sigset_t none;
	int high[8];
	assert(n <= ARRAY_LEN(high));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; i < n; i++)
		if ((high[i] = fcntl(keep[i], F_DUPFD, 20)) < 0)
			_exit(126);
	for (size_t i = 0; i < n; i++)
		if (dup2(high[i], 3 + (int)i) < 0)
			_exit(126);
	close_range(3 + (unsigned)n, ~0u, 0);
}

static int fds_wanted(const struct helper_in *in, size_t n, struct err *err)
{
	return in->nfds == n ? 0 : err_set(err, E_PROTOCOL, "%s comes with %zu descriptors, not %zu", helper_verb_name(in->verb), n, in->nfds);
}

/* ---- git ---- */

/* APP.git: its user's, so that git runs as nobody who could do more */
static int open_repository(const struct place *p, const char *app, uid_t uid, char **ret_path, struct err *err)
{
	CLEANUP(closep) int home = -1, git = -1, repository = -1;
	CLEANUP(freep) char *name = xasprintf("%s.git", app);
	int r = beneath_home(p, &home, err);
	if (r == 0)
		r = beneath_root_folder(home, "git", 0711, 0, &git, err);
	if (r)
		return r;
	if (mkdirat(git, name, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "the app's repository");
	if ((r = beneath_open(git, name, O_RDONLY | O_DIRECTORY, &repository, err)))
		return r;
	/* a build's user reads it, in its sandbox */
	if (fchown(repository, uid, uid) < 0 || fchmod(repository, 0755) < 0)
		return err_errno(err, errno, "the app's repository");
	*ret_path = place_path(p, "git/%s", name);
	return 0;
}

/* settings that no push can change: they come by the environment, which is stronger than the repository's own */
static void git_settings(struct buf *env)
{
	static const char *const settings[][2] = {
#define SETTING(key, value) { key, value },
#include "platform/git_settings.def"
#undef SETTING
	};
	buf_printf(env, "GIT_CONFIG_COUNT=%zu\n", ARRAY_LEN(settings) + 1);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		buf_printf(env, "GIT_CONFIG_KEY_%zu=%s\nGIT_CONFIG_VALUE_%zu=%s\n", i, settings[i][0], i, settings[i][1]);
	buf_printf(env, "GIT_CONFIG_KEY_%zu=core.hooksPath\n", ARRAY_LEN(settings));
}

static bool cgi_name(const char *name)
{
	static const char *const names[] = { "REQUEST_METHOD", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_CONTENT_ENCODING", "GIT_PROTOCOL", "REMOTE_USER",
		"REMOTE_ADDR", "UPDRAFT_PUSH", "UPDRAFT_SOCKET" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(name, names[i]))
			return true;
	return false;
}

static bool cgi_service(const char *path)
{
	return streq(path, "/info/refs") || streq(path, "/git-upload-pack") || streq(path, "/git-receive-pack");
}

/* lines of NAME=VALUE, as an array for exec; the text is changed */
static char **environment(struct buf *lines)
{
	VEC(char *) list = {0};
	char *save = NULL;
	for (char *line = strtok_r(lines->data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		vec_push(&list, line);
	vec_push(&list, NULL);
	return list.at;
}

static int git_environment(const struct helper_in *in, const char *program, const char *share, const char *repository, struct buf *env, struct err *err)
{
	const char *name;
	json_t *value;
	buf_printf(env, "PATH=/usr/bin:/bin\nHOME=/nonexistent\nLANG=C.UTF-8\nGIT_HTTP_EXPORT_ALL=1\nGIT_TERMINAL_PROMPT=0\nGIT_CONFIG_NOSYSTEM=1\n");
	buf_printf(env, "GIT_PROJECT_ROOT=%s\nPATH_INFO=%s\nUPDRAFT_PROGRAM=%s\n", repository, jg_str(in->args, "service", ""), program);
	git_settings(env);
	size_t settings = 0;
#define SETTING(key, value) settings++;
#include "platform/git_settings.def"
#undef SETTING
	buf_printf(env, "GIT_CONFIG_VALUE_%zu=%s/hooks\n", settings, share);
	json_object_foreach(jg(in->args, "env"), name, value) {
		if (!cgi_name(name) || strchr(json_string_value(value), '\n'))
			return err_set(err, E_INVALID, "git_serve: env may not hold %s, or not this value of it", name);
		buf_printf(env, "%s=%s\n", name, json_string_value(value));
	}
	return 0;
}

static void make_repository(const char *repository, char **env)
{
	CLEANUP(freep) char *head = xasprintf("%s/HEAD", repository);
	if (access(head, F_OK) == 0)
		return;
	int pid = fork(), status = 0;
	if (pid == 0) {
		dup2(2, 1);
		execle(GIT, "git", "init", "-q", "--bare", "--template=", "--initial-branch=main", repository, (char *)NULL, env);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		_exit(125);
}

static _Noreturn void become_git(const struct helper_in *in, uid_t uid, const char *repository, char **env)
{
	struct rlimit memory = { GIT_MEMORY, GIT_MEMORY }, core = { 0, 0 };
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (dup2(in->fds[0], 0) < 0 || dup2(in->fds[1], 1) < 0)
		_exit(126);
	kid_begin(NULL, 0);
	setsid();
	umask(022);
	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CORE, &core);
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 || chdir("/") < 0)
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGTERM);               /* forgotten with the change of the user */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	make_repository(repository, env);
	execle(GIT_BACKEND, "git-http-backend", (char *)NULL, env);
	dprintf(2, "git http-backend: %s: %s\n", GIT_BACKEND, strerror(errno));
	_exit(127);
}

int verb_git_serve(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	const struct place *p = helper_root_place(h);
	CLEANUP(freep) char *repository = NULL, *share = NULL;
	CLEANUP(buf_clear) struct buf lines = {0};
	uid_t uid = place_uid(p, (uint32_t)jg_int(in->args, "slot", 0), UID_BUILD);
	(void)ret;
	int r = fds_wanted(in, 2, err);
	if (r == 0 && !cgi_service(jg_str(in->args, "service", "")))
		r = err_set(err, E_INVALID, "git_serve: there is no service %s", jg_str(in->args, "service", ""));
	if (r == 0)
		r = share_folder(&share, err);
	if (r == 0)
		r = open_repository(p, jg_str(in->args, "app", ""), uid, &repository, err);
	if (r == 0)
		r = git_environment(in, helper_root_options(h)->program, share, repository, &lines, err);
	if (r)
		return r;
	CLEANUP(freep) char **env = environment(&lines);
	int pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "git http-backend");
	if (pid == 0)
		become_git(in, uid, repository, env);
	return kid_watch(h, in->n, pid, "", err);
}

/* ---- builds ---- */

static bool is_hash(const char *s)
{
	size_t n = strlen(s);
	return (n == 40 || n == 64) && strspn(s, "0123456789abcdef") == n;
}

int verb_build_start(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	const struct helper_root_options *o = helper_root_options(h);
	CLEANUP(freep) char *share = NULL;
	const char *commit = jg_str(in->args, "commit", NULL), *url = jg_str(in->args, "url", NULL);
	(void)ret;
	int r = fds_wanted(in, 2, err);
	if (r == 0 && (!commit == !url || (commit && !is_hash(commit)) || (url && !str_starts(url, "https://"))))
		r = err_set(err, E_INVALID, "build_start: there must be a commit of 40 or 64 hexadecimal digits, or an https URL");
	if (r == 0 && kid_find(jg_str(in->args, "build", "")))
		r = err_set(err, E_CONFLICT, "build_start: this build runs already");
	if (r == 0)
		r = share_folder(&share, err);
	if (r)
		return r;
	int pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "the build");
	if (pid == 0) {
		kid_begin(in->fds, 2);
		const struct box_order order = { .place = helper_root_place(h), .runc = o->runc, .ip = o->ip, .share = share, .args = in->args, .log = 3, .result = 4 };
		_exit(box_run(&order));
	}
	return kid_watch(h, in->n, pid, jg_str(in->args, "build", ""), err);
}

int verb_build_kill(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	int pid = kid_find(jg_str(in->args, "build", ""));
	(void)h, (void)ret;
	if (!pid)
		return err_set(err, E_NOT_FOUND, "this build does not run");
	return kill(pid, SIGTERM) < 0 ? err_errno(err, errno, "the build") : 0;
}

/* what boxes left that did not come to their own end. None runs yet when this is asked: the platform has just started */
int verb_build_sweep(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	CLEANUP(closep) int home = -1, builds = -1;
	struct uuid id;
	(void)in, (void)ret;
	if (kids.n)
		return err_set(err, E_CONFLICT, "build_sweep: something runs");
	int r = beneath_home(helper_root_place(h), &home, err);
	if (r == 0)
		r = beneath_root_folder(home, "builds", 0700, 0, &builds, err);
	int again = r == 0 ? openat(builds, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = again >= 0 ? fdopendir(again) : NULL;
	for (struct dirent *e; dir && r == 0 && (e = readdir(dir));)
		if (uuid_parse(e->d_name, &id) == 0)
			r = beneath_remove(builds, e->d_name, err);
	if (dir)
		closedir(dir);
	return r;
}

/* ---- what is removed ---- */

static int remove_below(const struct place *p, const char *folder, const char *name, struct err *err)
{
	CLEANUP(closep) int home = -1, at = -1;
	int r = beneath_home(p, &home, err);
	if (r == 0)
		r = beneath_open(home, folder, O_RDONLY | O_DIRECTORY, &at, err);
	if (r == E_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	return r ? r : beneath_remove(at, name, err);
}

int verb_slug_remove(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	CLEANUP(freep) char *folder = xasprintf("apps/%s/slugs", jg_str(in->args, "app", ""));
	(void)ret;
	return remove_below(helper_root_place(h), folder, jg_str(in->args, "slug", ""), err);
}

int verb_app_remove(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	const char *app = jg_str(in->args, "app", "");
	CLEANUP(freep) char *repository = xasprintf("%s.git", app);
	(void)ret;
	int r = remove_below(helper_root_place(h), "git", repository, err);
	return r ? r : remove_below(helper_root_place(h), "apps", app, err);
}

int verb_cache_remove(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	CLEANUP(freep) char *folder = xasprintf("apps/%s", jg_str(in->args, "app", ""));
	(void)ret;
	return remove_below(helper_root_place(h), folder, "build.disk", err);
}
