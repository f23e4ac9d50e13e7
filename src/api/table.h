/* table: what an answer's rows look like and how a list is asked for, as constant tables. A list endpoint is a row in
 * routes.def, a list_spec and a field table; nothing else. */
#pragma once
#include "api/call.h"

/* ---- fields: columns -> JSON ---- */
enum field_kind { FIELD_END, FIELD_TEXT, FIELD_INT, FIELD_BOOL, FIELD_DOUBLE, FIELD_TIME, FIELD_UUID, FIELD_JSON, FIELD_SECONDS,
                  FIELD_NULL, FIELD_OBJECT, FIELD_CALL };
struct field;
/* writes one value; `col` is the first of the field's columns */
typedef void (*field_fn)(struct call *c, struct json_writer *w, const struct rows *r, int col);
struct field {
	const char *name;               /* in JSON */
	enum field_kind kind;
	const char *sql;                /* expression(s) over the spec's FROM */
	const struct field *sub;        /* FIELD_OBJECT: its fields; null when its first column is NULL */
	field_fn fn;                    /* FIELD_CALL */
	int columns;                    /* FIELD_CALL: how many expressions `sql` has; 0 counts as 1 */
};
#define TEXT(name, sql) { name, FIELD_TEXT, sql }
#define INT(name, sql) { name, FIELD_INT, sql }
#define BOOL(name, sql) { name, FIELD_BOOL, sql }
#define DOUBLE(name, sql) { name, FIELD_DOUBLE, sql }
#define TIME(name, sql) { name, FIELD_TIME, sql }
#define UUID(name, sql) { name, FIELD_UUID, sql }
#define JSON(name, sql) { name, FIELD_JSON, sql }
#define SECONDS(name, sql) { name, FIELD_SECONDS, sql }      /* microseconds -> a JSON number of seconds */
#define NOTHING(name) { name, FIELD_NULL }
#define OBJECT(name, fields) { name, FIELD_OBJECT, NULL, fields }
#define COMPUTED(name, count, sql, fn) { name, FIELD_CALL, sql, NULL, fn, count }
#define END { NULL, FIELD_END }

int fields_columns(const struct field *f);                 /* how many columns the table takes */
void fields_sql(const struct field *f, struct buf *out);   /* "a, b, c" */
int fields_write(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col);  /* members only; next column */
int fields_write_known(struct call *c, struct json_writer *w, const struct field *f, const struct rows *r, int col);   /* without those that are NULL */

/* ---- filters: query parameters -> WHERE ---- */
enum filter_kind { FILTER_END, FILTER_TEXT, FILTER_INT, FILTER_BOOL, FILTER_IN, FILTER_IN_INT, FILTER_NOT_IN, FILTER_SEARCH,
                   FILTER_SEARCH_LITERAL, FILTER_CONTAINS, FILTER_TIMES, FILTER_TIMES_OPEN, FILTER_SECONDS, FILTER_STATE, FILTER_CALL };
struct where;
typedef void (*filter_fn)(struct call *c, struct where *w, const char *value);
struct filter {
	/* SEARCH: "x" takes x_pattern and x_prefix_pattern; TIMES and SECONDS: x_gte, x_gt, x_lte, x_lt. TIMES_OPEN: a NULL
	 * column counts as now. SEARCH_LITERAL: '|' is a character, not "or". CONTAINS: a substring */
	const char *name;
	enum filter_kind kind;
	const char *sql;                /* the column or expression; FILTER_BOOL: the condition's 0/1 expression */
	const char *choices;            /* FILTER_IN, FILTER_TEXT: "a|b|c"; others are refused */
	filter_fn fn;                   /* FILTER_CALL: value NULL when absent */
	const char *label;              /* FILTER_STATE: what the refusal calls it */
	bool bounded; int64_t least;    /* FILTER_INT */
};

/* the WHERE of one question: text from tables, values only ever as ? */
struct where { struct arena *a; struct buf text; VEC(struct val) values; };
void where_add(struct where *w, const char *condition);    /* AND condition */
void where_value(struct where *w, struct val v);
void where_clear(struct where *w);
void filters_apply(struct call *c, const struct filter *f, struct where *w);   /* problems go to the call */

/* ---- lists ---- */
/* empty: the column may be NULL; NULLs come last, and first when the order is turned round, as PostgreSQL has it */
struct order { const char *name, *sql; bool empty; };
struct count_from { const char *aliases, *from; };   /* for conditions over these one-letter aliases alone */
struct path_filter { const char *param, *sql; };           /* `~` matches all */
struct list_spec {
	const char *key;                /* of the array in the answer */
	const struct field *fields;
	const char *from;               /* FROM with its joins, for rows */
	const char *count_from;         /* FROM for counting; NULL: `from`. Joins only what filters need */
	const struct count_from *counts;/* smaller ones to count over, the smallest first; NULL ends */
	const char *where;              /* always; NULL for none */
	const struct filter *filters;
	const struct order *orders;     /* allowed order_by, first NULL name ends */
	const char *order;              /* default order_by, comma separated: "dag_id,-id"; names of `orders` */
	const char *tie;                /* the unique column that ends every ORDER BY */
	const struct path_filter *paths;/* path parameters that narrow the list */
	bool (*before)(struct call *c); /* existence checks: false when it has answered */
	bool known;                     /* members that are NULL are left out */
	bool steady;                    /* an answer holds as long as the database is what it was, for the same user (kept.h) */
	bool nullable_totals;           /* writes the cursor fields too */
	const char *one;                /* api_one: condition with one ? for each path parameter in order */
	const char *missing;            /* api_one: 404 text; {name} is the path parameter */
	/* of a list over many DAGs, for users who may not read them all (neither: they are refused): the column that names a row's DAG,
	 * or what else narrows it */
	const char *dag;
	void (*narrow)(const struct call *c, struct where *w);
	const char *const *legacy;      /* unused names that must not be refused; NULL */
};

/* handlers for routes.def */
void api_list(struct call *c);      /* GET of many: {key: [...], "total_entries": n} */
void api_one(struct call *c);       /* GET of one, by `one` and `missing` */

/* for handlers that ask by themselves */
struct page { int64_t limit, offset; };
bool list_page(struct call *c, struct page *ret);
bool list_order(struct call *c, const struct list_spec *s, const char *const *by, size_t n, struct buf *ret);
int list_rows(struct call *c, const struct list_spec *s, const struct where *w, const char *order, const struct page *p);
int list_count(struct call *c, const struct list_spec *s, const struct where *w, int64_t *ret, struct err *err);
/* writes the one row of `condition` as an object. E_NOT_FOUND without one */
int one_write(struct call *c, struct json_writer *w, const struct list_spec *s, const char *condition, const struct val *v, size_t n,
              struct err *err);
void one_missing(struct call *c, const struct list_spec *s);   /* the 404 */
void api_one_reply(struct call *c, const struct list_spec *s, const char *condition, const struct val *v, size_t n, int status);

/* ---- bodies ---- */
enum body_kind { BODY_END, BODY_TEXT, BODY_INT, BODY_BOOL, BODY_TIME, BODY_AWARE_TIME, BODY_OBJECT, BODY_ANY, BODY_CHOICE,
                 BODY_TEXTS, BODY_LIST, BODY_CHOICES };   /* CHOICES: a list of CHOICE, or of null */
struct body_field {
	const char *name;
	enum body_kind kind;
	bool required, nullable;
	int64_t limit;                  /* TEXT: longest; INT: least (when `bounded`) */
	bool bounded;
	bool filled;                    /* TEXT: not empty */
	const char *choices;            /* CHOICE: "a|b|c" */
	const char *pattern;            /* TEXT: shown in the message; checked by `check` */
	bool (*check)(const char *s);
};
struct body_spec {
	const char *model;              /* pydantic's name, where messages show it */
	const struct body_field *fields;
	bool partial;                   /* nothing is required (PATCH with update_mask) */
	bool optional;                  /* no body at all is fine */
	bool any;                       /* any members: the handler looks closer */
	void (*check)(struct call *c);  /* what spans fields; adds problems */
};
bool body_read(struct call *c, const struct body_spec *s);       /* into c->body; false when answered */
void body_validate(struct call *c, const struct body_spec *s, json_t *body, const char *loc_prefix);
/* a datetime as pydantic reads it: ISO 8601, or seconds (milliseconds when large); false: a problem was added */
bool time_or_problem(struct call *c, const char *loc, const char *s, usec_t *ret);
const char *date_fault(const char *s);       /* in pydantic's words why this is no date */
/* is the moment a (a text or a number of seconds) after b? false when one is absent or no time */
bool body_time_after(const json_t *a, const json_t *b);
void body_value_error(struct call *c, const char *msg);          /* type value_error, loc ["body"] */
bool masked_in(const struct call *c, const char *field);         /* update_mask absent or naming it */
