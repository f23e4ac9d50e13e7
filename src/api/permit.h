/* permit: who may do what. From the tables needs.def (what an operation asks), resources.def (which role may) and, for users with
 * passwords, what their roles were granted beyond that: custom roles and the DAGs' own access_control. Pure but for one lookup: the
 * DAG behind a backfill's or an event's number. */
#pragma once
#include "api/call.h"

struct where;
enum action { READ, CREATE, EDIT, DELETE, EACH };          /* EACH: one by one, in the body */
const char *action_name(enum action a);                    /* "can_read" ... */
const char *resource_name(enum resource res);

bool may(const struct call *c, enum resource res, enum action a);
bool may_dag(const struct call *c, const char *dag_id, enum action a);    /* the DAG itself */
bool may_menu(const struct call *c, enum resource res);    /* FAB's menu_access: what the navigation shows */
bool sees_every_dag(const struct call *c);                 /* else lists are narrowed */

/* Both answer 401 or 403 and say false when not. Before the body is read; and what only the body tells. */
bool permitted(struct call *c);
bool permitted_body(struct call *c);

/* `column` IN the DAGs that may be read; nothing for whoever sees every DAG. null_too: rows of no DAG stay */
void where_dags(const struct call *c, struct where *w, const char *column, bool null_too);

struct need { enum http_method method; const char *template; enum resource resource; enum action action; };
/* what the route asks: rows of needs.def, else one made from the route itself */
size_t route_needs(const struct route *r, const struct need **ret);
size_t need_rows(const struct need **ret);                 /* the table, for tests */
/* the least role that has it without grants */
enum role least_role(enum resource res, enum action a, bool passwords);
