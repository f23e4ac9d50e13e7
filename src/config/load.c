/* load: reads airflow.cfg and the environment and decides for each option which value counts.
 *
 * The order is Airflow's: environment (AIRFLOW__S__K, then _CMD, then _SECRET), airflow.cfg, its key_cmd, its key_secret,
 * the default; at each of these steps the present name first, then the earlier ones. _CMD and _SECRET count for secret
 * options only. Environment values have $NAME and ~ expanded; file values are interpolated first; what commands print is
 * taken as it is, without the line end. */
#include "config/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/banned.h"

#define FILE_MAX ((off_t)4 << 20)       /* airflow.cfg: bytes */

struct lookup {
	struct config *c;
	enum option option;
	const struct option_info *info;
	const struct ini_section *section;  /* of airflow.cfg; NULL if absent */
	struct value *value;
};

void config_problem(struct config *c, const char *section, const char *key, const char *where, const char *text)
{
	struct problem p = {arena_strdup(&c->arena, section), arena_strdup(&c->arena, key), arena_strdup(&c->arena, where),
	                    arena_strdup(&c->arena, text)};
	vec_push(&c->problems, p);
}

static const char *in_env(struct config *c, const char *name)
{
	return arena_printf(&c->arena, "environment variable %s", name);
}

static const char *in_file(struct config *c, const struct ini_entry *e)
{
	return arena_printf(&c->arena, "%s line %d", e->path, e->line);
}

/* Takes a text as the option's value after expansion; what cannot be expanded is a problem and counts as it is. */
static void settle(struct lookup *l, const char *text, enum config_source source, const char *where, bool expanded)
{
	struct err e = {0};
	struct buf out = {0};
	l->value->text = text;
	if (expanded && strpbrk(text, "$~")) {
		if (expand(&l->c->env, text, &out, &e) < 0)
			config_problem(l->c, l->info->section, l->info->key, where, err_text(&e));
		else
			l->value->text = arena_strndup(&l->c->arena, out.data ? out.data : "", out.len);
	}
	l->value->source = source;
	l->value->where = where;
	err_clear(&e);
	buf_clear(&out);
}

/* ---- the environment ---- */

static const char *option_variable(const struct config *c, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < c->env.options.n; i++) {
		const char *v = c->env.options.at[i];
		if (!strncmp(v, name, n) && v[n] == '=')
			return v + n + 1;
	}
	return NULL;
}

static usec_t command_limit(const struct config *c)
{
	return config_seconds(c, OPT_updraft_command_timeout);
}

static int take_command(struct lookup *l, const char *command, enum config_source source, const char *where, struct err *err)
{
	CLEANUP(buf_clear) struct buf out = {0};
	if (l->c->flags & CONFIG_NO_COMMANDS) {
		*l->value = (struct value){.text = NULL, .source = source, .where = where};
		return 1;
	}
	if (command_run(command, l->c->env.vars, command_limit(l->c), &out, err) < 0)
		return err_context(err, "[%s] %s: the command given in %s failed: %s", l->info->section, l->info->key, where, command);
	if (!out.len && source == FROM_COMMAND)
		return 0;                      /* Airflow goes on to the default when a file's command prints nothing */
	l->value->text = arena_strndup(&l->c->arena, out.data ? out.data : "", out.len);
	l->value->source = source;
	l->value->where = where;
	return 1;
}

static void secret_path(struct lookup *l, const char *where)
{
	config_problem(l->c, l->info->section, l->info->key, where,
	               "it names a secret of a secrets backend, but none is served; give the value itself, or a command that prints it (_CMD, _cmd)");
}

/* 1 found, 0 not, negative: a command failed. */
static int from_env(struct lookup *l, const char *section, const char *key, struct err *err)
{
	CLEANUP(buf_clear) struct buf name = {0};
	option_env_name(section, key, &name);
	size_t plain = name.len;
	const char *text = option_variable(l->c, name.data);
	if (text) {
		settle(l, text, FROM_ENV, in_env(l->c, name.data), true);
		return 1;
	}
	if (!l->info->secret)
		return 0;
	buf_adds(&name, "_CMD");
	text = option_variable(l->c, name.data);
	if (text)
		return take_command(l, text, FROM_ENV_COMMAND, in_env(l->c, name.data), err);
	name.len = plain;
	buf_adds(&name, "_SECRET");
	if (option_variable(l->c, name.data))
		secret_path(l, in_env(l->c, name.data));
	return 0;
}

/* ---- airflow.cfg ---- */

static const char *file_text(struct lookup *l, const struct ini_section *s, const struct ini_entry *e, const char *where)
{
	if (!strchr(e->value, '%'))
		return e->value;
	struct err err = {0};
	CLEANUP(buf_clear) struct buf out = {0};
	const char *text = e->value;
	if (ini_value(&l->c->ini, s, e, &out, &err) < 0)
		config_problem(l->c, l->info->section, l->info->key, where, err_text(&err));
	else
		text = arena_strndup(&l->c->arena, out.data ? out.data : "", out.len);
	err_clear(&err);
	return text;
}

static bool from_file(struct lookup *l, const struct ini_section *s, const char *key)
{
	const struct ini_entry *e = ini_find(&l->c->ini, s, key);
	if (!e)
		return false;
	const char *where = in_file(l->c, e);
	settle(l, file_text(l, s, e, where), FROM_FILE, where, true);
	return true;
}

static int from_file_command(struct lookup *l, const struct ini_section *s, const char *key, struct err *err)
{
	CLEANUP(freep) char *name = xasprintf("%s_cmd", key);
	const struct ini_entry *e = ini_find(&l->c->ini, s, name);
	if (!e)
		return 0;
	const char *where = in_file(l->c, e);
	return take_command(l, file_text(l, s, e, where), FROM_COMMAND, where, err);
}

static void from_file_secret(struct lookup *l, const struct ini_section *s, const char *key)
{
	CLEANUP(freep) char *name = xasprintf("%s_secret", key);
	const struct ini_entry *e = ini_find(&l->c->ini, s, name);
	if (e)
		secret_path(l, in_file(l->c, e));
}

/* ---- one option ---- */

static int step_env(struct lookup *l, const char *section, const char *key, struct err *err)
{
	return l->c->env.options.n ? from_env(l, section, key, err) : 0;
}

static int step_file(struct lookup *l, const char *section, const char *key, struct err *err)
{
	(void)err;
	const struct ini_section *s = section == l->info->section ? l->section : ini_section(&l->c->ini, section);
	return from_file(l, s, key);
}

static int step_command(struct lookup *l, const char *section, const char *key, struct err *err)
{
	const struct ini_section *s = section == l->info->section ? l->section : ini_section(&l->c->ini, section);
	return l->info->secret && s ? from_file_command(l, s, key, err) : 0;
}

static int step_secret(struct lookup *l, const char *section, const char *key, struct err *err)
{
	(void)err;
	const struct ini_section *s = section == l->info->section ? l->section : ini_section(&l->c->ini, section);
	if (l->info->secret && s)
		from_file_secret(l, s, key);
	return 0;
}

typedef int (*step_fn)(struct lookup *l, const char *section, const char *key, struct err *err);

static int try_names(struct lookup *l, step_fn step, struct err *err)
{
	int found = step(l, l->info->section, l->info->key, err);
	for (size_t i = l->c->first_old[l->option]; !found && i < old_names_n; i++) {
		if (old_names[i].option != l->option)
			continue;
		found = step(l, old_names[i].section, old_names[i].key, err);
		if (found > 0)
			l->value->old = &old_names[i];
	}
	return found;
}

const char *default_value(const struct config *c, enum option o, struct arena *a)
{
	const char *text = option_info(o)->initial;
	if (!text || !strpbrk(text, "%$~"))
		return text;
	CLEANUP(buf_clear) struct buf plain = {0};
	CLEANUP(buf_clear) struct buf out = {0};
	/* the table is ours: its defaults resolve (a test walks them all) */
	int code = ini_unescape(text, &plain, NULL);
	assert(code == 0);
	if (expand(&c->env, plain.data ? plain.data : "", &out, NULL) < 0)
		return text;
	return arena_strndup(a, out.data ? out.data : "", out.len);
}

static int load_option(struct lookup *l, struct err *err)
{
	static const step_fn steps[] = {step_env, step_file, step_command, step_secret};
	int found = 0;
	for (size_t i = 0; !found && i < ARRAY_LEN(steps); i++) {
		if (i > 0 && !l->c->ini.sections.n)
			break;
		found = try_names(l, steps[i], err);
	}
	if (found < 0)
		return found;
	if (!found) {
		l->value->text = default_value(l->c, l->option, &l->c->arena);
		l->value->source = l->value->text ? FROM_DEFAULT : FROM_NOWHERE;
	}
	return 0;
}

static int load_one(struct config *c, enum option o, const struct ini_section *s, struct err *err)
{
	struct lookup l = {c, o, option_info(o), s, &c->values[o]};
	return load_option(&l, err);
}

/* Where each option's earlier names begin in the list: most have none. */
static void index_old_names(struct config *c)
{
	for (int o = 0; o < OPT_COUNT; o++)
		c->first_old[o] = (uint16_t)old_names_n;
	for (size_t i = old_names_n; i-- > 0;)
		c->first_old[old_names[i].option] = (uint16_t)i;
}

/* command_timeout first: the commands of other options need it. */
static int load_options(struct config *c, struct err *err)
{
	index_old_names(c);
	int code = load_one(c, OPT_updraft_command_timeout, ini_section(&c->ini, "updraft"), err);
	const struct ini_section *s = NULL;
	const char *name = NULL;
	for (int o = 0; !code && o < OPT_COUNT; o++) {
		const char *section = option_info((enum option)o)->section;
		if (section != name)
			s = ini_section(&c->ini, name = section);
		if (o != OPT_updraft_command_timeout)
			code = load_one(c, (enum option)o, s, err);
	}
	return code;
}

/* ---- values that Airflow itself replaces ---- */

static void replace(struct config *c, enum option o, const char *text)
{
	c->changed_from[o] = c->values[o].text;
	c->values[o].text = text;
}

static void replace_outdated(struct config *c)
{
	const char *executor = config_str(c, OPT_core_executor);
	if (strstr(executor, "SequentialExecutor")) {
		CLEANUP(freep) char *local = str_replace_all(executor, "airflow.executors.sequential_executor.SequentialExecutor", "LocalExecutor");
		CLEANUP(freep) char *short_local = str_replace_all(local, "SequentialExecutor", "LocalExecutor");
		replace(c, OPT_core_executor, arena_strdup(&c->arena, short_local));
	}
	const char *db = config_str(c, OPT_database_sql_alchemy_conn);
	static const char *const schemes[] = {"postgres://", "postgres+psycopg2://"};
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_starts(db, schemes[i])) {
			replace(c, OPT_database_sql_alchemy_conn, arena_printf(&c->arena, "postgresql://%s", db + strlen(schemes[i])));
			break;
		}
	enum option template = OPT_logging_log_filename_template;
	if (c->values[template].source > FROM_DEFAULT && value_served(option_info(template)->served, OPTION_TEXT, config_str(c, template)))
		replace(c, template, default_value(c, template, &c->arena));
}

/* ---- files and folders ---- */

static int read_file(const char *path, struct buf *ret, bool *ret_exists, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return err_errno(err, errno, "%s cannot be read", path);
	struct stat st;
	int code = 0;
	if (fstat(fd, &st) < 0)
		code = err_errno(err, errno, "%s cannot be read", path);
	else if (S_ISDIR(st.st_mode))
		code = err_set(err, E_CONFIG, "%s is a folder; AIRFLOW_CONFIG must name a file", path);
	else if (st.st_size > FILE_MAX)
		code = err_set(err, E_CONFIG, "%s has more than %lld bytes and is no configuration", path, (long long)FILE_MAX);
	while (!code && (off_t)ret->len <= FILE_MAX) {
		buf_reserve(ret, 65536);
		ssize_t n = read(fd, ret->data + ret->len, 65535);
		if (n < 0 && errno != EINTR)
			code = err_errno(err, errno, "%s cannot be read", path);
		else if (n == 0)
			break;
		else if (n > 0)
			ret->len += (size_t)n;
	}
	close(fd);
	*ret_exists = !code;
	return code;
}

static int read_ini(struct config *c, const char *path, bool *ret_exists, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	int code = read_file(path, &text, ret_exists, err);
	return code || !*ret_exists ? code : ini_parse(&c->ini, path, text.data ? text.data : "", text.len, err);
}

/* An absolute path without slashes at its end. */
static int absolute(struct config *c, const char *path, char **ret, struct err *err)
{
	struct buf b = {0};
	if (*path != '/') {
		CLEANUP(freep) char *cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_errno(err, errno, "the current folder has no name, and %s is relative to it", path);
		buf_printf(&b, "%s/", cwd);
	}
	buf_adds(&b, path);
	while (b.len > 1 && b.data[b.len - 1] == '/')
		b.len--;
	*ret = arena_strndup(&c->arena, b.data, b.len);
	buf_clear(&b);
	return 0;
}

static int find_place(struct config *c, const char *variable, const char *initial, char **ret, struct err *err)
{
	const char *set = environment_get(&c->env, variable, strlen(variable));
	CLEANUP(buf_clear) struct buf path = {0};
	if (expand(&c->env, set && *set ? set : initial, &path, err) < 0)
		return err_context(err, "environment variable %s", variable);
	return absolute(c, path.data, ret, err);
}

static int find_home(struct config *c, struct err *err)
{
	char *home = NULL;
	int code = find_place(c, "AIRFLOW_HOME", "~/airflow", &home, err);
	if (code < 0)
		return code;
	c->env.home = home;
	return find_place(c, "AIRFLOW_CONFIG", "$AIRFLOW_HOME/airflow.cfg", &c->path, err);
}

/* [core] unit_test_mode = True adds the values of unittests.cfg, as Airflow 1 did. */
static int load_unittests(struct config *c, struct err *err)
{
	if (!config_bool(c, OPT_core_unit_test_mode) || (c->flags & CONFIG_NO_FILE))
		return 0;
	c->unit_test_mode = true;
	bool exists = false;
	CLEANUP(freep) char *path = xasprintf("%s/unittests.cfg", c->env.home);
	int code = read_ini(c, path, &exists, err);
	if (code < 0 || !exists)
		return code;
	memset(c->values, 0, sizeof c->values);
	c->problems.n = 0;
	return load_options(c, err);
}

static int load(struct config *c, struct err *err)
{
	int code = find_home(c, err);
	if (!code && !(c->flags & CONFIG_NO_FILE))
		code = read_ini(c, c->path, &c->file_exists, err);
	if (!code)
		code = load_options(c, err);
	if (!code)
		code = load_unittests(c, err);
	if (!code)
		replace_outdated(c);
	return code;
}

int config_load(char *const *env, unsigned flags, struct config **ret, struct err *err)
{
	struct config *c = xcalloc(1, sizeof *c);
	c->flags = flags;
	environment_init(&c->env, env);
	int code = load(c, err);
	if (code < 0) {
		config_free(c);
		return code;
	}
	*ret = c;
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	ini_clear(&c->ini);
	environment_clear(&c->env);
	vec_clear(&c->problems);
	arena_clear(&c->arena);
	freep(&c);
}

void config_freep(struct config **c)
{
	config_free(*c);
	*c = NULL;
}

const char *config_home(const struct config *c)
{
	return c->env.home;
}

const char *config_file(const struct config *c)
{
	return c->path;
}

bool config_file_exists(const struct config *c)
{
	return c->file_exists;
}

enum config_source config_source(const struct config *c, enum option o)
{
	return c->values[o].source;
}

const char *config_where(const struct config *c, enum option o)
{
	return c->values[o].where ? c->values[o].where : "the default";
}

/* ---- names beyond the table ---- */

static char *lookup_file(const struct config *c, const char *section, const char *key)
{
	const struct ini_section *s = ini_section(&c->ini, section);
	const struct ini_entry *e = ini_find(&c->ini, s, key);
	struct buf plain = {0}, out = {0};
	if (!e)
		return NULL;
	if (ini_value(&c->ini, s, e, &plain, NULL) < 0) {
		buf_reset(&plain);
		buf_adds(&plain, e->value);
	}
	if (expand(&c->env, plain.data ? plain.data : "", &out, NULL) < 0)
		buf_adds(&out, plain.data);
	buf_clear(&plain);
	return buf_steal(&out);
}

static char *lookup_env(const struct config *c, const char *section, const char *key)
{
	CLEANUP(buf_clear) struct buf name = {0};
	struct buf out = {0};
	option_env_name(section, key, &name);
	const char *text = option_variable(c, name.data);
	if (!text)
		return NULL;
	if (expand(&c->env, text, &out, NULL) < 0)
		buf_adds(&out, text);
	return buf_steal(&out);
}

static char *lower(const char *s)
{
	char *copy = xstrdup(s);
	for (char *p = copy; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
	return copy;
}

char *config_lookup(const struct config *c, const char *section, const char *key)
{
	int o = option_find(section, key);
	const struct old_name *old = o < 0 ? old_name_find(section, key) : NULL;
	if (old)
		o = (int)old->option;
	if (o >= 0)
		return xstrdup(c->values[o].text);
	CLEANUP(freep) char *s = lower(section);
	CLEANUP(freep) char *k = lower(key);
	char *found = lookup_env(c, s, k);
	return found ? found : lookup_file(c, s, k);
}
