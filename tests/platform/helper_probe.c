/* helper_probe HOME UID NET PROGRAM: a root helper and its client in one process, for tests that speak to it alone. Lines "VERB JSON" on the
 * standard input are called one after the other; each answer is a line "CODE JSON-or-text". */
#include "platform/helper.h"
#include "platform/proc.h"
#include <sys/socket.h>

static struct loop *loop;
static bool answered;

static void on_answer(void *arg, int code, const json_t *result, const struct err *err)
{
	(void)arg;
	CLEANUP(freep) char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
	printf("%d %s\n", code, code < 0 ? err_text(err) : text ? text : "null");
	fflush(stdout);
	answered = true;
}

static void call(struct helper *h, char *line, struct err *err)
{
	char *space = strchr(line, ' ');
	enum helper_verb verb;
	json_t *args = NULL;
	line[strcspn(line, "\n")] = '\0';
	if (space)
		*space++ = '\0';
	if (helper_verb_find(line, &verb) || (space && json_read(space, strlen(space), &args, err))) {
		printf("? %s\n", err_text(err));
		fflush(stdout);
		return;
	}
	answered = false;
	helper_call(h, verb, args, NULL, 0, on_answer, NULL);
	while (!answered && loop_turn(loop, -1, err) == 0)
		;
}

int main(int argc, char **argv)
{
	CLEANUP(err_clear) struct err e = {0};
	struct place place = {0};
	int64_t uid;
	int pair[2];
	struct helper_root *root = NULL;
	struct helper *client = NULL;
	CLEANUP(freep) char *runc = NULL, *haproxy = NULL, *nft = NULL, *ip = NULL, *line = NULL;
	size_t cap = 0;
	if (argc != 5 || str_to_int64(argv[2], &uid))
		return 2;
	const struct place_options o = { .home = argv[1], .user = (uid_t)uid, .group = (gid_t)uid, .net = argv[3] };
	int r = place_init(&place, &o, &e);
	if (r == 0)
		r = loop_new(&loop, &e);
	if (r == 0)
		r = unix_pair(SOCK_SEQPACKET, pair, &e);
	proc_find("runc", "runc", &runc, NULL);
	proc_find("haproxy", "haproxy", &haproxy, NULL);
	proc_find("nft", "nftables", &nft, NULL);
	proc_find("ip", "iproute2", &ip, NULL);
	const struct helper_root_options ro = { .place = &place, .program = argv[4], .runc = runc, .haproxy = haproxy, .nft = nft, .ip = ip };
	if (r == 0)
		r = helper_root_new(loop, &ro, pair[0], &root, &e);
	if (r == 0)
		r = helper_new(loop, pair[1], &client, &e);
	while (r == 0 && getline(&line, &cap, stdin) > 0)
		call(client, line, &e);
	if (r)
		fprintf(stderr, "helper_probe: %s\n", err_text(&e));
	helper_free(client);
	helper_root_free(root);
	loop_free(loop);
	place_clear(&place);
	return r ? 1 : 0;
}
