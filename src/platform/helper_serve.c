#include "platform/helper_serve.h"
#include "loop/log.h"
#include "platform/helper.h"
#include "platform/proc.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct found { char *program, *runc, *haproxy, *nft, *ip; };

static void found_clear(struct found *f)
{
	char *all[] = { f->program, f->runc, f->haproxy, f->nft, f->ip };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]);
}

/* what is missing is said by the verb that needs it */
static void find(struct found *f)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	f->program = xstrndup(self, n > 0 ? (size_t)n : 0);
	proc_find("runc", "runc", &f->runc, NULL);
	proc_find("haproxy", "haproxy", &f->haproxy, NULL);
	proc_find("nft", "nftables", &f->nft, NULL);
	proc_find("ip", "iproute2", &f->ip, NULL);
}

static int serve(const struct place *place, int sock, struct err *err)
{
	CLEANUP(found_clear) struct found f = {0};
	struct loop *loop = NULL;
	struct helper_root *root = NULL;
	find(&f);
	int rc = loop_new(&loop, err);
	const struct helper_root_options ro = { .place = place, .program = f.program, .runc = f.runc, .haproxy = f.haproxy, .nft = f.nft, .ip = f.ip };
	if (rc == 0)
		rc = helper_root_new(loop, &ro, sock, &root, err);
	if (rc == 0)
		rc = loop_run(loop, err);
	helper_root_free(root);
	loop_free(loop);
	return rc;
}

int helper_serve(const struct platform_options *o, unsigned user, unsigned group, int sock)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(place_clear) struct place place = {0};
	const struct place_options po = { .home = o->home, .user = user, .group = group, .uid_base = o->uid_base, .net = o->net };
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_IGN);                         /* a terminal's ^C is for the parent; we end with the platform process */
	umask(022);
	fd_nonblock(sock, true);
	int rc = place_init(&place, &po, &err);
	if (rc == 0)
		rc = serve(&place, sock, &err);
	if (rc < 0)
		log_error("the root helper: %s", err_text(&err));
	return rc < 0;
}
