/* platform/heroku: the Platform API v3 over the route table heroku.def. Private to this folder.
 *
 * A handler answers by writing JSON with c->w and returning 0 (status 200, or what it set c->status to), by returning an error, which
 * becomes Heroku's body {id, message, url}, or later: it calls call_later, returns CALL_LATER, and call_finish from a callback.
 * Lists are written item by item between list_item and the end; Range, order and max are done here. */
#pragma once
#include "http/http.h"
#include "platform/apps.h"

#define CALL_LATER 1
#define CALL_ARGS 3

enum need { NEED_NOTHING, NEED_ACCOUNT, NEED_APP /* theirs or shared with them; {app} is the first word in braces */, NEED_OWNER };
struct hcall;
typedef int (*h_fn)(struct hcall *c, struct err *err);
struct hroute { enum http_method method; const char *path; enum need need; h_fn fn; };

struct list_key { char text[64]; };                 /* compares as bytes: numbers are padded */
struct list_row { struct list_key id, other; size_t at, n; };
struct hcall {
	struct platform *p;
	struct http_request *r;
	const struct hroute *route;
	struct json_writer w;           /* into r->out */
	const char *arg[CALL_ARGS];     /* what stands for the braces, decoded */
	json_t *body;                   /* an object; NULL when there was none */
	struct account who;             /* unless NEED_NOTHING */
	struct uuid token;
	struct app app;                 /* NEED_APP, NEED_OWNER */
	int status;
	const char *error_id, *resource;/* more exact than the error's number says; NULL */
	bool is_list;
	const char *other_key;          /* of a list, besides id: "name", "version" */
	VEC(struct list_row) rows;
	struct later *later;
};

/* ---- answering later: the request may end before its answer is there, so what waits keeps this instead ---- */
struct later;
struct later *call_later(struct hcall *c);
struct hcall *call_resume(struct later *l);              /* frees l; NULL: the request is gone */
void call_finish(struct hcall *c, int rc, const struct err *err);
bool call_fresh_body(struct hcall *c);                   /* forgets what was written so far */

/* ---- lists ---- */
void list_begin(struct hcall *c, const char *other_key);
void list_item(struct hcall *c, const struct uuid *id, const char *other);   /* then the item's object */
void list_item_number(struct hcall *c, const struct uuid *id, int64_t other);
int list_finish(struct hcall *c, struct err *err);       /* call_finish's */

/* ---- reading what was sent ---- */
const char *body_str(struct hcall *c, const char *key);                       /* NULL: absent or null */
/* "x", {"name": "x"} or {"id": "x"}: how clients name things */
const char *body_named(const json_t *v);
int bad_params(struct hcall *c, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);    /* 422 invalid_params */
int not_found(struct hcall *c, struct err *err, const char *resource);        /* 404 "Couldn't find that X." */

/* ---- shared shapes ---- */
void write_app(struct hcall *c, const struct app *a);
void write_uuid(struct json_writer *w, const char *key, const struct uuid *id);
void write_ref(struct json_writer *w, const char *key, const struct uuid *id, const char *name);   /* {"id", "name"} */
void write_app_ref(struct json_writer *w, const struct app *a);
void write_user(struct json_writer *w, const struct uuid *id, const char *email);
/* a stable id of what has only a name: stacks, regions, plans, services, features */
void named_uuid(const char *kind, const char *name, struct uuid *ret);
void write_named(struct json_writer *w, const char *key, const char *kind, const char *name);

/* an add-on that who may see: of an app of theirs, or attached to `app`, which is (NULL: by id and name only) */
struct addon;
int call_addon(struct hcall *c, const struct app *app, const char *text, struct addon *ret, struct err *err);

#define ROUTE(method, path, need, fn) int fn(struct hcall *c, struct err *err);
#include "platform/heroku/heroku.def"
#undef ROUTE
