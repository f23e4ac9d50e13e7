/* check: everything that stops a start, at once: wrong values, refusals, and what reading the file left open. Lint shows
 * the same complaints as rows. */
#include "config/internal.h"
#include "base/crypto.h"
#include <string.h>
#include "base/banned.h"

#define SHOWN_MAX 120      /* bytes of a value that a message shows */

struct report { const struct config *c; struct arena arena; complaint_fn tell; void *arg; };

static void complain(struct report *r, enum lint_kind kind, const char *section, const char *key, const char *value, const char *where,
                     const char *text)
{
	struct lint_row row = {kind, section, key, where, text};
	r->tell(r->arg, &row, value);
}

/* Secrets are not repeated in messages. */
static const char *shown(const struct option_info *o, const char *value)
{
	return o->secret && *value ? "< hidden >" : value;
}

/* A value like $(command) or `command`: a shell would run it, airflow.cfg does not. */
static bool is_substitution(const char *text)
{
	size_t n = strlen(text);
	return (str_starts(text, "$(") && text[n - 1] == ')') || (n > 2 && text[0] == '`' && text[n - 1] == '`');
}

static const char *substitution_advice(struct report *r, enum option o, const char *text)
{
	const struct option_info *info = option_info(o);
	CLEANUP(buf_clear) struct buf name = {0};
	size_t skip = text[0] == '$' ? 2 : 1, n = strlen(text) - skip - 1;
	if (r->c->values[o].source == FROM_ENV) {
		option_env_name(info->section, info->key, &name);
		buf_adds(&name, "_CMD=");
	} else {
		buf_printf(&name, "%s_cmd = ", info->key);
	}
	const char *extra = o == OPT_core_fernet_key
		? "; the command must print the same key every time, so if it makes a new one, run it once and write what it prints as fernet_key"
		: "";
	return arena_printf(&r->arena, "the command in it is not run here; write it as %s_cmd, that is, the line\n    %s%.*s\n  in its place%s",
	                    info->key, name.data, (int)n, text + skip, extra);
}

static void check_fernet_key(struct report *r)
{
	enum option o = OPT_core_fernet_key;
	const char *key = config_str(r->c, o);
	struct fernet *f = NULL;
	struct err e = {0};
	if (*key && !is_substitution(key) && fernet_new(key, &f, &e) < 0)
		complain(r, LINT_WRONG, "core", "fernet_key", "< hidden >", config_where(r->c, o),
		         "it is no Fernet key; allowed are 32 bytes in URL-safe base64 (44 characters), or several of them separated by commas");
	fernet_free(f);
	err_clear(&e);
}

static void check_refusal(struct report *r, enum option o, const char *value)
{
	const struct option_info *info = option_info(o);
	const char *initial = default_value(r->c, o, &r->arena);
	if ((!*value && !initial) || (initial && same_value(info->type, initial, value)) || value_served(info->served, info->type, value))
		return;
	if (initial && *initial && value_served(initial, info->type, value))
		return;
	complain(r, LINT_REFUSED, info->section, info->key, shown(info, value), config_where(r->c, o),
	         arena_printf(&r->arena, "not served: %s", info->why));
}

static void check_option(struct report *r, enum option o)
{
	const struct option_info *info = option_info(o);
	const struct value *v = &r->c->values[o];
	if (v->source <= FROM_DEFAULT || !v->text)
		return;
	if (info->secret && is_substitution(v->text)) {
		complain(r, LINT_WRONG, info->section, info->key, v->text, config_where(r->c, o), substitution_advice(r, o, v->text));
		return;
	}
	if (info->handling == OPTION_ACCEPTED)
		return;
	const char *allowed = value_wrong(info, v->text, &r->arena);
	if (allowed)
		complain(r, LINT_WRONG, info->section, info->key, shown(info, v->text), config_where(r->c, o),
		         arena_printf(&r->arena, "allowed is %s", allowed));
	else if (info->handling == OPTION_REFUSED)
		check_refusal(r, o, v->text);
}

/* SQLite in a file that all roles share, or PostgreSQL. The value may hold a password and is not shown. */
static void check_database(struct report *r)
{
	enum option o = OPT_database_sql_alchemy_conn;
	const char *url = config_str(r->c, o), *path = strstr(url, "://");
	bool sqlite = !strncmp(url, "sqlite:", 7) || !strncmp(url, "sqlite+", 7);
	bool postgres = str_starts(url, "postgresql:") || str_starts(url, "postgresql+") || str_starts(url, "postgres:") || str_starts(url, "postgres+");
	if (path && postgres)
		return;
	if (!path)
		complain(r, LINT_WRONG, "database", "sql_alchemy_conn", "not shown", config_where(r->c, o),
		         "allowed is a database URL, sqlite:////absolute/path/airflow.db or postgresql+psycopg2://user:password@host/airflow");
	else if (!sqlite)
		complain(r, LINT_REFUSED, "database", "sql_alchemy_conn", arena_printf(&r->arena, "%.*s://...", (int)(path - url > 40 ? 40 : path - url), url),
		         config_where(r->c, o), "not served: SQLite and PostgreSQL are; write sqlite:////absolute/path/airflow.db or postgresql+psycopg2://user:password@host/airflow");
	else if (path[3] != '/' || !path[4] || path[4] == '?' || !strncmp(path + 4, ":memory:", 8))
		complain(r, LINT_WRONG, "database", "sql_alchemy_conn", url, config_where(r->c, o),
		         "allowed is a file, which all roles share: sqlite:////absolute/path/airflow.db");
}

/* simple_auth_manager_users: name:role, ... */
static void check_users(struct report *r)
{
	static const char roles[] = "viewer|user|op|admin";
	struct config_list users = config_list(r->c, OPT_core_simple_auth_manager_users);
	for (size_t i = 0; i < users.n; i++) {
		const char *colon = strchr(users.at[i], ':');
		CLEANUP(freep) char *role = xstrdup(colon ? colon + 1 : "");
		for (char *p = role; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
		if (!colon || colon == users.at[i] || !*role || !value_served(roles, OPTION_TEXT, role))
			complain(r, LINT_WRONG, "core", "simple_auth_manager_users", users.at[i], config_where(r->c, OPT_core_simple_auth_manager_users),
			         "allowed is name:role, where the role is viewer, user, op or admin; several are separated by commas");
	}
	config_list_clear(&users);
}

/* [api] auth_backends: what of Airflow 2's list is served */
static void check_backends(struct report *r)
{
	static const char *const known[] = { "basic_auth", "session", "default", "password_auth" };
	struct config_list l = config_list(r->c, OPT_api_auth_backends);
	for (size_t i = 0; i < l.n; i++) {
		const char *dot = strrchr(l.at[i], '.'), *name = dot ? dot + 1 : l.at[i];
		bool good = !*name;
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			good = good || streq(known[k], name);
		if (!good)
			complain(r, LINT_REFUSED, "api", "auth_backends", l.at[i], config_where(r->c, OPT_api_auth_backends),
			         "not served: the API takes tokens, sessions and, with airflow.api.auth.backend.basic_auth, a name and a password; remove it");
	}
	config_list_clear(&l);
}

/* [api] access_control_allow_origins: a page may send its cookies, and browsers then take no "*" */
static void check_origins(struct report *r)
{
	struct config_list l = config_list(r->c, OPT_api_access_control_allow_origins);
	for (size_t i = 0; i < l.n; i++)
		if (streq(l.at[i], "*"))
			complain(r, LINT_WRONG, "api", "access_control_allow_origins", "*", config_where(r->c, OPT_api_access_control_allow_origins),
			         "browsers refuse * together with logins; list the origins, https://airflow.example.com");
	config_list_clear(&l);
}

/* ---- lines of airflow.cfg that no option of the table took ---- */

static void check_home(struct report *r, const struct ini_section *s, const struct ini_entry *e, const char *where)
{
	CLEANUP(buf_clear) struct buf home = {0};
	if (expand(&r->c->env, e->value, &home, NULL) == 0 && streq(home.data ? home.data : "", config_home(r->c)))
		return;
	complain(r, LINT_WRONG, s->name, e->key, e->value, where,
	         arena_printf(&r->arena, "AIRFLOW_HOME is %s; set the environment variable AIRFLOW_HOME and remove this line", config_home(r->c)));
}

static void check_gone(struct report *r, const char *section, const char *key, const char *value, const char *where)
{
	const struct gone_option *g = gone_find(section, key);
	if (g && g->handling == OPTION_REFUSED && *value && !value_served(g->served, OPTION_TEXT, value))
		complain(r, LINT_REFUSED, section, key, value, where, arena_printf(&r->arena, "not served: %s", g->why));
}

static void check_entry(struct report *r, const struct ini_section *s, const struct ini_entry *e)
{
	const char *where = arena_printf(&r->arena, "%s line %d", e->path, e->line);
	int o = option_find(s->name, e->key);
	if (streq(s->name, "core") && streq(e->key, "airflow_home"))
		check_home(r, s, e, where);
	else if (o >= 0 && (!streq(option_info((enum option)o)->section, s->name) || !streq(option_info((enum option)o)->key, e->key)))
		complain(r, LINT_WRONG, s->name, e->key, NULL, where,
		         arena_printf(&r->arena, "names are written in lower case: [%s] %s", option_info((enum option)o)->section, option_info((enum option)o)->key));
	else if (o < 0)
		check_gone(r, s->name, e->key, e->value, where);
}

static void check_file(struct report *r)
{
	for (size_t i = 0; i < r->c->ini.sections.n; i++) {
		const struct ini_section *s = r->c->ini.sections.at[i];
		for (size_t k = 0; k < s->entries.n; k++)
			check_entry(r, s, &s->entries.at[k]);
	}
}

static void check_gone_variables(struct report *r)
{
	for (size_t i = 0; r->c->env.options.n && i < gone_options_n; i++) {
		const struct gone_option *g = &gone_options[i];
		CLEANUP(buf_clear) struct buf name = {0};
		option_env_name(g->section, g->key, &name);
		const char *value = environment_get(&r->c->env, name.data, name.len);
		if (value)
			check_gone(r, g->section, g->key, value, arena_printf(&r->arena, "environment variable %s", name.data));
	}
}

void config_complaints(const struct config *c, complaint_fn tell, void *arg)
{
	struct report r = {.c = c, .tell = tell, .arg = arg};
	for (size_t i = 0; i < c->problems.n; i++) {
		const struct problem *p = &c->problems.at[i];
		complain(&r, LINT_WRONG, p->section, p->key, NULL, p->where, p->text);
	}
	for (int o = 0; o < OPT_COUNT; o++)
		check_option(&r, (enum option)o);
	check_fernet_key(&r);
	check_users(&r);
	check_backends(&r);
	check_origins(&r);
	check_database(&r);
	check_file(&r);
	check_gone_variables(&r);
	arena_clear(&r.arena);
}

/* ---- as one error ---- */

struct summary { struct buf text; size_t n; };

static void add_line(void *arg, const struct lint_row *row, const char *value)
{
	struct summary *s = arg;
	buf_printf(&s->text, "%s[%s] %s", s->n++ ? "\n" : "", row->section, row->key);
	if (value)
		buf_printf(&s->text, " = %.*s%s", SHOWN_MAX, value, strlen(value) > SHOWN_MAX ? "..." : "");
	buf_printf(&s->text, " (%s): %s", row->where, row->text);
}

int config_check(const struct config *c, struct err *err)
{
	struct summary s = {0};
	int code = 0;
	config_complaints(c, add_line, &s);
	if (s.n == 1)
		code = err_set(err, E_CONFIG, "the configuration cannot be used: %s", s.text.data);
	else if (s.n)
		code = err_set(err, E_CONFIG, "the configuration cannot be used, for %zu reasons:\n%s", s.n, s.text.data);
	buf_clear(&s.text);
	return code;
}

/* An environment that gives the administrator's password (the official image's _AIRFLOW_WWW_USER_*, AIRFLOW_ADMIN_*) means users with
 * passwords, unless the configuration says which auth manager. */
static bool names_administrator(const struct config *c)
{
	static const char *const names[] = { "AIRFLOW_ADMIN_PASSWORD", "_AIRFLOW_WWW_USER_PASSWORD" };
	/* a generated airflow.cfg names the defaults, which nobody has chosen */
	if (c->values[OPT_core_auth_manager].source == FROM_ENV || c->values[OPT_core_simple_auth_manager_users].source == FROM_ENV ||
	    !streq(config_str(c, OPT_core_simple_auth_manager_users), "admin:admin"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *v = environment_get(&c->env, names[i], strlen(names[i]));
		if (v && *v)
			return true;
	}
	return false;
}

enum auth_kind config_auth(const struct config *c)
{
	bool passwords = strstr(config_str(c, OPT_core_auth_manager), "FabAuthManager") || config_bool(c, OPT_webserver_authenticate) ||
	                 config_bool(c, OPT_webserver_rbac);
	if (passwords)
		return AUTH_PASSWORD;
	if (config_bool(c, OPT_core_simple_auth_manager_all_admins))
		return AUTH_SIMPLE_ALL_ADMINS;
	return names_administrator(c) ? AUTH_PASSWORD : AUTH_SIMPLE;
}
