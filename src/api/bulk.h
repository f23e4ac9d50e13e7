/* bulk: PATCH of many runs or task instances: each action is planned against the store, then done step by step through the
 * inbox; what fails is told in the answer, and ends its action. Inside this room only. */
#pragma once
#include "api/handlers.h"

struct bulk;
struct bulk_kind {
	const struct body_spec *entity;
	const char *no_create;          /* why "create" is refused */
	bool twice;                     /* its problems are told twice */
	/* reads the action's entities: steps into b with bulk_step_*, errors with bulk_error; <0: the store failed */
	int (*plan)(struct call *c, struct bulk *b, const json_t *action, struct err *err);
};
struct bulk {
	const struct bulk_kind *kind;
	json_t *answer, *part;          /* part: of the present action's kind */
	json_t *steps;                  /* of the present action */
	size_t action, step;
	struct call *call;              /* as it was kept last */
	bool asking, answered;
};
void bulk_begin(struct call *c, const struct bulk_kind *k);
void bulk_error(struct bulk *b, int status, const char *text);
/* a step: command (NULL: nothing is left to do), args (taken over), the name that stands under `success` ("": this is a part of what the next one names); `none`: without a command: this
 * step is a 409 with this text; NULL for none */
void bulk_step(struct bulk *b, const char *command, json_t *args, const char *name, const char *none);
/* what an action says about those that are not there */
bool bulk_skips(const json_t *action);
const char *bulk_dag(const struct call *c, const json_t *entity);      /* the entity's, or the path's */
