/* write: the files that `airflow db init` makes, and the environment of the Python processes. */
#include "config/internal.h"
#include "base/crypto.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/banned.h"

enum { MADE_CFG = 1, MADE_UNITTESTS = 2 };

/* The store makes these once and keeps them; a value here would take precedence. */
static bool is_kept_in_store(enum option o)
{
	return o == OPT_api_auth_jwt_secret || o == OPT_api_secret_key;
}

/* A DAG written for Airflow 1 keeps that version's defaults only while nobody has said otherwise: the generated file must not. */
static bool means_something_when_set(enum option o)
{
	return o == OPT_scheduler_catchup_by_default || o == OPT_scheduler_create_cron_data_intervals || o == OPT_scheduler_create_delta_data_intervals;
}

/* "key = value" with further lines indented, as configparser wants them. */
static void put_default(struct buf *out, const struct option_info *info)
{
	size_t n = strlen(info->initial);
	while (n && info->initial[n - 1] == '\n')
		n--;
	buf_printf(out, "%s =%s", info->key, n ? " " : "");
	for (size_t i = 0; i < n; i++) {
		buf_addc(out, info->initial[i]);
		if (info->initial[i] == '\n' && info->initial[i + 1] != ' ')
			buf_adds(out, "    ");
	}
	buf_addc(out, '\n');
}

static void write_option(struct buf *out, enum option o, const char *fernet_key)
{
	const struct option_info *info = option_info(o);
	buf_printf(out, "\n# %s\n", info->help);
	if (info->handling == OPTION_ACCEPTED)
		buf_printf(out, "# (No effect here: %s.)\n", info->why);
	if (o == OPT_core_fernet_key)
		buf_printf(out, "fernet_key = %s\n", fernet_key ? fernet_key : "");
	else if (is_kept_in_store(o))
		buf_printf(out, "# %s = \n", info->key);
	else if (!info->initial || info->handling == OPTION_ACCEPTED || means_something_when_set(o))
		buf_printf(out, "# %s = %s\n", info->key, info->initial ? info->initial : "");
	else
		put_default(out, info);
}

static bool is_written(enum option o)
{
	const struct option_info *info = option_info(o);
	return !info->old && !(info->initial && strchr(info->initial, '\n') && info->handling == OPTION_ACCEPTED);
}

void config_write_default(const char *fernet_key, struct buf *out)
{
	buf_adds(out, "# airflow.cfg: settings. $NAME and ~ in values are replaced, %% stands for a percent sign. Each option can also be set by an\n"
	              "# environment variable AIRFLOW__SECTION__OPTION, which counts more than this file. `airflow config lint` looks it over.\n");
	const char *section = NULL;
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct option_info *info = option_info((enum option)o);
		if (!is_written((enum option)o))
			continue;
		if (!streq(info->section, section))
			buf_printf(out, "\n[%s]\n# %s\n", info->section, section_find(info->section)->help);
		section = info->section;
		write_option(out, (enum option)o, fernet_key);
	}
}

void config_write_unittests(struct buf *out)
{
	buf_adds(out, "# unittests.cfg: added to airflow.cfg where AIRFLOW__CORE__UNIT_TEST_MODE=True, so that tests touch nothing real.\n"
	              "\n[core]\n"
	              "unit_test_mode = True\n"
	              "dags_folder = $AIRFLOW_HOME/dags\n"
	              "plugins_folder = $AIRFLOW_HOME/plugins\n"
	              "executor = LocalExecutor\n"
	              "load_examples = True\n"
	              "dags_are_paused_at_creation = False\n"
	              "max_active_runs_per_dag = 16\n"
	              "killed_task_cleanup_time = 5\n"
	              "\n[database]\n"
	              "sql_alchemy_conn = sqlite:///$AIRFLOW_HOME/unittests.db\n"
	              "\n[logging]\n"
	              "base_log_folder = $AIRFLOW_HOME/logs\n"
	              "remote_logging = False\n"
	              "\n[api]\n"
	              "host = 127.0.0.1\n"
	              "port = 8080\n");
}

/* ---- onto the disk ---- */

static int make_folders(const char *path, struct err *err)
{
	CLEANUP(freep) char *copy = xstrdup(path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p)
			continue;
		char end = *p;
		*p = 0;
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return err_errno(err, errno, "folder %s cannot be made", copy);
		*p = end;
		if (!end)
			return 0;
	}
}

static int write_all(int fd, const struct buf *text)
{
	for (size_t at = 0; at < text->len;) {
		ssize_t n = write(fd, text->data + at, text->len - at);
		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Under another name first, then linked: whoever looks sees the whole file or none, and an existing one is never
 * replaced. *ret_made is set when this call made it. */
static int write_new(const char *path, const struct buf *text, bool *ret_made, struct err *err)
{
	CLEANUP(freep) char *draft = xasprintf("%s.%d.new", path, (int)getpid());
	int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(err, errno, "%s cannot be written", draft);
	int failed = -write_all(fd, text);
	close(fd);
	if (!failed && link(draft, path) < 0)
		failed = errno;
	unlink(draft);
	*ret_made = !failed;
	return failed && failed != EEXIST ? err_errno(err, failed, "%s cannot be written", path) : 0;
}

static int make_cfg(const char *path, bool *ret_made, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	CLEANUP(freep) char *key = fernet_generate_key();
	config_write_default(key, &text);
	return write_new(path, &text, ret_made, err);
}

static int make_unittests(const char *path, bool *ret_made, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	config_write_unittests(&text);
	return write_new(path, &text, ret_made, err);
}

static int make_file(const char *path, int (*make)(const char *, bool *, struct err *), unsigned bit, unsigned *made, struct err *err)
{
	bool is_made = false;
	if (access(path, F_OK) == 0)
		return 0;
	int code = make(path, &is_made, err);
	*made |= is_made ? bit : 0;
	return code;
}

/* airflow.cfg may live elsewhere (AIRFLOW_CONFIG); only folders below AIRFLOW_HOME are made for it, as Airflow does. */
static int make_cfg_folder(const struct config *c, struct err *err)
{
	CLEANUP(freep) char *folder = xstrdup(c->path);
	char *slash = strrchr(folder, '/');
	*slash = 0;
	size_t n = strlen(config_home(c));
	if (!strncmp(folder, config_home(c), n) && (folder[n] == '/' || !folder[n]))
		return make_folders(folder, err);
	if (*folder && access(folder, F_OK) < 0)
		return err_set(err, E_NOT_FOUND, "folder %s does not exist, and AIRFLOW_CONFIG wants %s in it; make it first", folder, slash + 1);
	return 0;
}

int config_make_home(const struct config *c, unsigned *ret_made, struct err *err)
{
	unsigned made = 0;
	CLEANUP(freep) char *unittests = xasprintf("%s/unittests.cfg", config_home(c));
	int code = make_folders(config_home(c), err);
	if (!code)
		code = make_cfg_folder(c, err);
	if (!code)
		code = make_file(c->path, make_cfg, MADE_CFG, &made, err);
	if (!code)
		code = make_file(unittests, make_unittests, MADE_UNITTESTS, &made, err);
	if (!code)
		*ret_made = made;
	return code;
}

/* ---- for the Python processes ---- */

/* Airflow reads unit_test_mode as "replace everything by the values of my own tests": children get our values one by one. */
static bool needs_export(const struct config *c, enum option o)
{
	const struct value *v = &c->values[o];
	if (c->unit_test_mode)
		return v->source == FROM_FILE;
	return v->old && !v->old->by_airflow;
}

void config_export(const struct config *c, void (*add)(void *arg, const char *name, const char *value), void *arg)
{
	add(arg, "AIRFLOW_HOME", config_home(c));
	add(arg, "AIRFLOW_CONFIG", config_file(c));
	for (int o = 0; o < OPT_COUNT; o++) {
		const struct option_info *info = option_info((enum option)o);
		CLEANUP(buf_clear) struct buf name = {0};
		if (!needs_export(c, (enum option)o) || o == OPT_core_unit_test_mode)
			continue;
		option_env_name(info->section, info->key, &name);
		add(arg, name.data, config_str(c, (enum option)o));
	}
	if (c->unit_test_mode)
		add(arg, "AIRFLOW__CORE__UNIT_TEST_MODE", "False");
}
