/* config/internal: what the files of this room share. */
#pragma once
#include "config/config.h"
#include "config/ini.h"

/* ---- the environment, expansion (expand.c) ---- */
struct environment {
	struct arena arena;
	char **vars;                 /* copies, "NAME=value", NULL-terminated */
	VEC(const char *) options;   /* those that start with AIRFLOW__, in the environment's order */
	char *home;                  /* what $AIRFLOW_HOME means; NULL until it is known */
};
void environment_init(struct environment *e, char *const *env);
void environment_clear(struct environment *e);
const char *environment_get(const struct environment *e, const char *name, size_t n);   /* NULL if unset */
/* $NAME, ${NAME} and a leading ~, again and again until nothing changes, as Airflow does. */
int expand(const struct environment *e, const char *text, struct buf *ret, struct err *err);

/* ---- commands (command.c) ---- */
/* Splits like a POSIX shell without running one, runs it with env, waits at most `limit`; ret: what it printed without the
 * line ends behind it. Errors say what went wrong, not for which option. */
int command_run(const char *command, char *const *env, usec_t limit, struct buf *ret, struct err *err);

/* ---- the table (options.c) ---- */
struct old_name { const char *section, *key; enum option option; const char *since; bool by_airflow; };
struct gone_option { const char *section, *key; enum option_handling handling; const char *served, *why, *since; };
struct section_info { const char *name, *help; };
extern const struct old_name old_names[];
extern const size_t old_names_n;
extern const struct gone_option gone_options[];
extern const size_t gone_options_n;
extern const struct section_info sections_info[];
extern const size_t sections_info_n;
const struct old_name *old_name_find(const char *section, const char *key);       /* NULL if none; any case */
const struct gone_option *gone_find(const char *section, const char *key);
const char *other_section(const char *section);                                   /* reason, or NULL */
const struct section_info *section_find(const char *section);

/* ---- a loaded configuration (load.c) ---- */
struct value {
	const char *text;            /* resolved; NULL = absent */
	const char *where;           /* finished text; NULL = the default */
	enum config_source source;
	const struct old_name *old;  /* the earlier name it came through */
};
struct problem { const char *section, *key, *where, *text; };
struct config {
	struct arena arena;
	struct environment env;
	struct ini ini;
	char *path;                  /* of airflow.cfg */
	bool file_exists, unit_test_mode;
	unsigned flags;
	struct value values[OPT_COUNT];
	const char *changed_from[OPT_COUNT];   /* the value that a newer one replaces (SequentialExecutor) */
	uint16_t first_old[OPT_COUNT];         /* index into old_names; old_names_n = none */
	VEC(struct problem) problems;          /* found while reading */
};
void config_problem(struct config *c, const char *section, const char *key, const char *where, const char *text);

/* ---- values (values.c) ---- */
bool config_parse_bool(const char *text, bool *ret);
bool parse_int(const char *text, int64_t *ret);
bool parse_octal(const char *text, int64_t *ret);
bool parse_bytes(const char *text, int64_t *ret);
bool parse_double(const char *text, double *ret);
bool same_value(enum option_type type, const char *a, const char *b);       /* "true" and "1" are the same switch */
bool value_served(const char *served, enum option_type type, const char *text);
/* NULL when text is a value of option o; else what is allowed, as finished text in the arena. */
const char *value_wrong(const struct option_info *o, const char *text, struct arena *a);
/* The default with %% and $AIRFLOW_HOME resolved; NULL if there is none. */
const char *default_value(const struct config *c, enum option o, struct arena *a);

/* ---- what stops a start (check.c) ---- */
/* value: what was set, NULL where it says nothing; secrets are hidden. Texts hold during the call. */
typedef void (*complaint_fn)(void *arg, const struct lint_row *row, const char *value);
void config_complaints(const struct config *c, complaint_fn tell, void *arg);
