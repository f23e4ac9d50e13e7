/* plugin_files: a look at the plugins folder and at what is installed, so that a server without plugins, or without settings in Python,
 * starts no Python. */
#include "api/web_apps.h"
#include "processor/processor.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)1 << 20)

/* does the file's first MiB say one of these? */
static bool file_says(const char *path, const char *const *words)
{
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : 1;
	while (n > 0 && b.len < TEXT_MAX) {
		buf_reserve(&b, 65536);
		n = read(fd, b.data + b.len, 65536);
		b.len += n > 0 ? (size_t)n : 0;
	}
	for (; *words && b.len; words++)
		if (memmem(b.data, b.len, *words, strlen(*words)))
			return true;
	return false;
}

static enum plugin_files in_folder(const char *folder)
{
	static const char *const words[] = { "fastapi", "FastAPI", "starlette", NULL };
	enum plugin_files found = PLUGINS_NONE;
	char *const roots[] = { (char *)(uintptr_t)folder, NULL };
	FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	for (FTSENT *e; walk && found != PLUGINS_WITH_APPS && (e = fts_read(walk));) {
		if (e->fts_info != FTS_F || !str_ends(e->fts_name, ".py"))
			continue;
		found = file_says(e->fts_path, words) ? PLUGINS_WITH_APPS : PLUGINS_SOME;
	}
	if (walk)
		fts_close(walk);
	return found;
}

/* a distribution may bring plugins by an entry point, a provider by its description */
static bool distribution_has(const char *site, const char *dist)
{
	static const char *const group[] = { "[airflow.plugins]", NULL }, *const provider[] = { "get_provider_info:get_provider_info", NULL },
		*const described[] = { "\"plugins\":", NULL };
	CLEANUP(freep) char *points = xasprintf("%s/%s/entry_points.txt", site, dist);
	if (file_says(points, group))
		return true;
	if (!str_starts(dist, "apache_airflow_providers_") || !file_says(points, provider))
		return false;
	/* apache_airflow_providers_common_io-1.2.dist-info: the module is common/io or common_io */
	const char *name = dist + strlen("apache_airflow_providers_");
	CLEANUP(freep) char *flat = xstrndup(name, strcspn(name, "-")), *nested = str_replace_all(flat, "_", "/");
	CLEANUP(freep) char *one = xasprintf("%s/airflow/providers/%s/get_provider_info.py", site, flat);
	CLEANUP(freep) char *two = xasprintf("%s/airflow/providers/%s/get_provider_info.py", site, nested);
	return file_says(one, described) || file_says(two, described);
}

static bool installed(char *site)
{
	char *slash = strrchr(site, '/');
	bool found = false;
	assert(slash);
	*slash = '\0';
	DIR *d = opendir(site);
	for (const struct dirent *e; d && !found && (e = readdir(d));)
		found = str_ends(e->d_name, ".dist-info") && distribution_has(site, e->d_name);
	if (d)
		closedir(d);
	return found;
}

enum plugin_files plugin_files_look(const struct config *cfg)
{
	CLEANUP(freep) char *airflow = python_airflow_folder(cfg);
	if (!airflow)
		return PLUGINS_NONE;    /* nothing that could load them */
	enum plugin_files here = in_folder(config_str(cfg, OPT_core_plugins_folder));
	return here == PLUGINS_WITH_APPS || !installed(airflow) ? here : PLUGINS_WITH_APPS;
}

static bool holds_settings(const char *folder)
{
	CLEANUP(freep) char *path = xasprintf("%s/airflow_local_settings.py", folder), *package = xasprintf("%s/airflow_local_settings", folder);
	return access(path, R_OK) == 0 || access(package, R_OK) == 0;
}

bool local_settings_look(const struct config *cfg)
{
	CLEANUP(freep) char *airflow = python_airflow_folder(cfg), *own = xasprintf("%s/config", config_home(cfg));
	char *slash = airflow ? strrchr(airflow, '/') : NULL;
	if (!slash)
		return false;
	*slash = '\0';
	bool found = holds_settings(own) || holds_settings(config_str(cfg, OPT_core_plugins_folder)) || holds_settings(airflow);
	CLEANUP(freep) char *path = xstrdup(getenv("PYTHONPATH"));
	char *save = NULL;
	for (char *one = path ? strtok_r(path, ":", &save) : NULL; one && !found; one = strtok_r(NULL, ":", &save))
		found = holds_settings(one);
	return found;
}
