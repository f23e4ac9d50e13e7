/* config: what the user configured. Reads airflow.cfg and AIRFLOW__SECTION__KEY variables by Airflow's rules, knows
 * every option (tables/options.def) and says where each value came from. Depends on base and the table alone.
 *
 * Lifetime: a struct config is immutable once loaded and may be read by any thread; strings it returns live as long as
 * it does. Nothing here logs or exits. config_load fails only where nothing can be read (a broken file, a command that
 * failed); wrong and refused values are all collected by config_check, which every role and every command that decides
 * something calls before it starts.
 *
 *   struct config *c = NULL;
 *   if (config_load(environ, 0, &c, err) < 0 || config_check(c, err) < 0) ...
 *   int64_t slots = config_int(c, OPT_core_parallelism);
 */
#pragma once
#include "base/base.h"
#include "base/json.h"

/* OPT_<section>_<key>: a misspelt option does not compile. */
enum option {
#define OPTION(section, key, ...) OPT_##section##_##key,
#include "tables/options.def"
  OPT_COUNT
};

enum option_type { OPTION_TEXT, OPTION_PATH, OPTION_INT, OPTION_FLOAT, OPTION_BOOL, OPTION_CHOICE, OPTION_LIST, OPTION_JSON,
                   OPTION_OCTAL, OPTION_BYTES };
enum option_handling {
  OPTION_HONOURED,   /* our C code uses it */
  OPTION_IN_PYTHON,  /* the official SDK or providers use it in the Python processes, which read the same file and variables */
  OPTION_ACCEPTED,   /* an option of a mechanism that we do not have; `why` says which */
  OPTION_REFUSED,    /* values other than the default and `served` stop the start; `why` says what to do */
};
struct option_info {
  const char *section, *key;          /* as written in airflow.cfg ("common.io") */
  enum option_type type;
  const char *choices;                /* OPTION_CHOICE: "a|b|c"; else NULL */
  double min, max;                    /* numbers; inclusive */
  const char *initial;                /* the default as airflow.cfg would write it (%% and $AIRFLOW_HOME in it); NULL = none */
  enum option_handling handling;
  const char *served;                 /* OPTION_REFUSED: further values that pass, "a|b"; a trailing * matches the rest */
  const char *why;                    /* reason or advice; "" when honoured */
  bool secret, old;                   /* secret: masked, may have _cmd and _secret; old: gone from Airflow 3, still understood */
  const char *since, *help;
};
const struct option_info *option_info(enum option o);
int option_find(const char *section, const char *key);      /* enum option, or -1; current names only, any case */
void option_env_name(const char *section, const char *key, struct buf *ret);   /* AIRFLOW__SECTION__KEY */

/* ---- loading ---- */
enum config_flags {
  CONFIG_NO_COMMANDS = 1,   /* leave *_cmd values absent: for commands that only need paths (version, completion) */
  CONFIG_NO_FILE = 2,       /* defaults and environment only */
};
struct config;
/* env: NULL-terminated "NAME=value" list, as environ; copied. A missing airflow.cfg is not an error. */
int config_load(char *const *env, unsigned flags, struct config **ret, struct err *err);
void config_free(struct config *c);                          /* NULL is fine */
void config_freep(struct config **c);                        /* CLEANUP(config_freep) */
const char *config_home(const struct config *c);             /* AIRFLOW_HOME: absolute, no trailing slash */
const char *config_file(const struct config *c);             /* path of airflow.cfg, whether it exists or not */
bool config_file_exists(const struct config *c);

/* ---- values: a value that is wrong (config_check told) or absent reads as its default, else "" / 0 / false ---- */
bool config_is_set(const struct config *c, enum option o);   /* has a value, be it the default; "" counts as none */
const char *config_str(const struct config *c, enum option o);          /* never NULL */
int64_t config_int(const struct config *c, enum option o);              /* also OPTION_OCTAL and OPTION_BYTES */
double config_double(const struct config *c, enum option o);
usec_t config_seconds(const struct config *c, enum option o);           /* a number of seconds as usec_t */
bool config_bool(const struct config *c, enum option o);
json_t *config_json(const struct config *c, enum option o);             /* new reference; NULL when empty */
struct config_list { char **at; size_t n; };
struct config_list config_list(const struct config *c, enum option o);  /* split at ',', trimmed; free with config_list_clear */
void config_list_clear(struct config_list *l);

/* Any section and key, known or not, old names too: what `airflow config get-value` prints. The caller frees it; NULL
 * when there is none. */
char *config_lookup(const struct config *c, const char *section, const char *key);

/* ---- where a value came from ---- */
enum config_source { FROM_NOWHERE, FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_COMMAND, FROM_ENV_COMMAND };
enum config_source config_source(const struct config *c, enum option o);
/* "the default", "/home/x/airflow.cfg line 12", "environment variable AIRFLOW__CORE__EXECUTOR" (old names too) */
const char *config_where(const struct config *c, enum option o);

/* ---- checks ---- */
/* All wrong values and all refusals at once, one finished line each. 0, or E_CONFIG. */
int config_check(const struct config *c, struct err *err);

/* Rows for `airflow config lint` and for warnings at start. */
enum lint_kind { LINT_WRONG, LINT_REFUSED, LINT_OLD_NAME, LINT_GONE, LINT_ACCEPTED, LINT_UNKNOWN, LINT_CHANGED_DEFAULT };
struct lint_row { enum lint_kind kind; const char *section, *key, *where, *text; };
struct lint { struct arena arena; struct lint_row *at; size_t n, cap; };
const char *lint_kind_name(enum lint_kind k);                /* "wrong value", "refused", ... */
void config_lint(const struct config *c, struct lint *ret);  /* ret zero-initialised; lint_clear frees */
void lint_clear(struct lint *l);

/* ---- listing: `airflow config list` ---- */
struct config_list_options {
  const char *section;                /* NULL = all */
  bool values;                        /* show values; else "# key = " */
  bool descriptions, sources, env_names;
  bool defaults_only;                 /* default values, not the ones in force */
  bool comment_out, hide_secrets;
};
/* INI text, sections and options in table order, then what the file and environment have beyond the table. */
int config_print(const struct config *c, const struct config_list_options *o, struct buf *out, struct err *err);
/* The same as rows, for -o json|yaml|table. Secrets read "< hidden >" unless show_secrets. */
struct config_row { const char *section, *key, *value, *source; };
struct config_rows { struct arena arena; struct config_row *at; size_t n, cap; };
void config_rows(const struct config *c, const char *section, bool show_secrets, struct config_rows *ret);
void config_rows_clear(struct config_rows *r);

/* ---- files made by `airflow db init` ---- */
/* fernet_key may be NULL (leaves it empty). Paths are written as $AIRFLOW_HOME/...; secrets that the store makes and
 * keeps (jwt_secret, secret_key) stay commented out. */
void config_write_default(const char *fernet_key, struct buf *out);
void config_write_unittests(struct buf *out);
/* Makes AIRFLOW_HOME, airflow.cfg (mode 0600, with a fresh key) and unittests.cfg where missing; changes nothing that
 * exists. ret_made: bit 0 airflow.cfg was written, bit 1 unittests.cfg. Both are written whole or not at all. */
int config_make_home(const struct config *c, unsigned *ret_made, struct err *err);

/* ---- for the Python processes ---- */
/* Environment for children, so that the official code reads the same values: AIRFLOW_HOME, AIRFLOW_CONFIG, and one
 * AIRFLOW__SECTION__KEY for each value that came through a name which only we understand. add() gets each pair. */
void config_export(const struct config *c, void (*add)(void *arg, const char *name, const char *value), void *arg);

/* ---- what several options say together ---- */
enum auth_kind { AUTH_SIMPLE, AUTH_SIMPLE_ALL_ADMINS, AUTH_PASSWORD };
/* core.auth_manager and core.simple_auth_manager_all_admins; webserver.authenticate, rbac and auth_backend of Airflow 1
 * mean passwords when set. */
enum auth_kind config_auth(const struct config *c);
