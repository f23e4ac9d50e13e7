/* platform/helper.h: the root helper and its client. The helper stays root and does what verbs of helper.def say, no more; it hears one
 * socket (SEQPACKET, one JSON object a message, descriptors beside it) whose other end the unprivileged platform process has. It checks every
 * argument again by the verb's own list, and builds every path itself from ids: no path comes over the socket.
 *
 *   {"n": 7, "verb": "dyno_start", "args": {...}}  ->  {"n": 7, "result": {...}}  or  {"n": 7, "code": -1, "error": "..."} */
#pragma once
#include "base/json.h"
#include "loop/loop.h"
#include "platform/place.h"

#define HELPER_MESSAGE_MAX ((size_t)192 << 10)
#define HELPER_FDS_MAX 4

/* ---- arguments (helper_args.c; pure) ---- */
enum helper_verb {
#define VERB(name, args, fn) HELPER_##name,
#include "platform/helper.def"
#undef VERB
	HELPER_VERBS
};
const char *helper_verb_name(enum helper_verb v);
int helper_verb_find(const char *name, enum helper_verb *ret);
/* E_INVALID names the argument, what it was and what is allowed; arguments that the verb has not are refused too */
int helper_args_check(enum helper_verb v, const json_t *args, struct err *err);

/* ---- the root side (helper_root.c) ---- */
struct helper_root;
struct helper_in { uint64_t n; enum helper_verb verb; const json_t *args; int *fds; size_t nfds; };  /* a verb that keeps an fd sets it to -1 */
#define HELPER_LATER 1                    /* a verb's answer that comes by helper_root_answer */
typedef int (*helper_verb_fn)(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err);   /* ret: new reference, or left NULL */
#define VERB(name, args, fn) int fn(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err);
#include "platform/helper.def"
#undef VERB

struct helper_root_options {
	const struct place *place;
	const char *program;             /* what holders are started from: this very file */
	const char *runc, *haproxy, *nft, *ip;   /* NULL: found in /usr/sbin:/usr/bin:/sbin:/bin */
};
/* serves sock until it ends: then the loop is stopped. sock is the root side's from then on, also on failure */
int helper_root_new(struct loop *l, const struct helper_root_options *o, int sock, struct helper_root **ret, struct err *err);
void helper_root_free(struct helper_root *h);
void helper_root_answer(struct helper_root *h, uint64_t n, int code, const json_t *result, const char *error);
const struct place *helper_root_place(const struct helper_root *h);
const struct helper_root_options *helper_root_options(const struct helper_root *h);
struct loop *helper_root_loop(const struct helper_root *h);

/* ---- the platform's side (helper.c) ---- */
struct helper;
/* result: borrowed, NULL when there is none or code < 0 (then err has the text) */
typedef void (*helper_fn)(void *arg, int code, const json_t *result, const struct err *err);
/* sock is the client's from then on. When the helper ends, every call that waits is answered with E_CLOSED */
int helper_new(struct loop *l, int sock, struct helper **ret, struct err *err);
void helper_free(struct helper *h);       /* callbacks that wait are called with E_CLOSED */
/* calls with this arg are answered to nobody any more, without a word */
void helper_forget(struct helper *h, const void *arg);
/* args: stolen, NULL is {}. fds stay the caller's. fn is called once, never before helper_call returns; NULL: nobody asks (errors are printed) */
void helper_call(struct helper *h, enum helper_verb verb, json_t *args, const int *fds, size_t nfds, helper_fn fn, void *arg);
