/* entities: what variables, connections and pools share: made, changed, deleted by name, one by one or in bulk. */
#pragma once
#include "api/table.h"

struct entity {
	const char *plural, *label;      /* "variables", "The Variable with key: `%s`" */
	const char *param, *key;         /* the path's parameter; the body's field that names it */
	const char *keys;                /* several of them, in texts; NULL: "<key>s" */
	const struct list_spec *list;
	const struct body_spec *body;
	/* the row as a body, secrets in plain text; E_NOT_FOUND */
	int (*load)(struct call *c, const char *name, json_t **ret, struct err *err);
	int (*insert)(struct call *c, const json_t *o, struct err *err);   /* E_EXISTS */
	int (*replace)(struct call *c, const json_t *o, struct err *err);
	int (*remove)(struct call *c, const char *name, struct err *err);
	/* an old value that a masked one ("***") stands for stays; may be NULL */
	void (*merge)(const json_t *old, json_t *merged);
	const char *mismatch;            /* 400 when the body names another */
};
void entity_post(struct call *c, const struct entity *e);
void entity_patch(struct call *c, const struct entity *e);
void entity_delete(struct call *c, const struct entity *e);
void entity_bulk(struct call *c, const struct entity *e);
/* connections.c: what tests of connections use, too */
int connection_load(struct call *c, const char *name, json_t **ret, struct err *err);   /* in plain text; E_NOT_FOUND */
int connection_insert(struct call *c, const json_t *o, struct err *err);
int connection_replace(struct call *c, const json_t *o, struct err *err);
void connection_merge(const json_t *old, json_t *o);      /* "***" stands for what is there */
/* "is encrypted" and the text to store: a Fernet token, or the text itself without a key. malloc'd */
char *entity_seal(struct call *c, const char *plain, bool *ret_sealed);
int entity_open(struct call *c, const char *stored, bool sealed, char **ret, struct err *err);   /* malloc'd */
