/* Which folders hold DAGs, and which Python parses them. */
#include "processor/processor.h"
#include "base/json.h"
#include "config/config.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCAL_BUNDLE "airflow.dag_processing.bundles.local.LocalDagBundle"
#define GIT_BUNDLE "airflow.providers.git.bundles.git.GitDagBundle"

static void add(struct bundles *b, const char *name, const char *path, bool example)
{
  struct bundle one = {.name = xstrdup(name), .path = xstrdup(path), .example = example};
  size_t n = strlen(one.path);
  while (n > 1 && one.path[n - 1] == '/') one.path[--n] = 0;
  vec_push(b, one);
}

void bundles_clear(struct bundles *b)
{
  for (size_t i = 0; i < b->n; i++) {
    free(b->at[i].name);
    free(b->at[i].path);
    free(b->at[i].git.url);
    free(b->at[i].git.ref);
    free(b->at[i].git.dir);
  }
  vec_clear(b);
}

static bool is_plain_name(const char *s)
{
  return *s && *s != '.' && !strchr(s, '/');
}

static bool stays_inside(const char *subdir)
{
  return *subdir != '/' && !str_starts(subdir, "../") && !strstr(subdir, "/../") && !str_ends(subdir, "/..") && !streq(subdir, "..");
}

/* A word of the configuration that git gets as an argument must not be an option. */
static int check_git(const char *where, const char *name, const json_t *kwargs, struct err *err)
{
  static const char *const known[] = {"repo_url", "tracking_ref", "subdir", "refresh_interval", "view_url_template", "prune_dotgit_folder"};
  const char *url = jg_str(kwargs, "repo_url", ""), *ref = jg_str(kwargs, "tracking_ref", ""), *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)kwargs, key, v) {
    bool is_known = false;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) is_known = is_known || streq(key, known[i]);
    if (!is_known && !json_is_null(v) && !json_is_false(v))
      return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): git bundle '%s' has %s, which is not served; write the repository's address into repo_url "
                     "(git's own credential helpers and ssh keys work)", where, name, key);
  }
  if (!*url || *url == '-' || !*ref || *ref == '-')
    return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): git bundle '%s' needs repo_url and tracking_ref", where, name);
  if (!is_plain_name(name) || !stays_inside(jg_str(kwargs, "subdir", "")))
    return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): git bundle '%s': its name must be one for a folder, and subdir one inside the repository", where, name);
  return 0;
}

static int add_git(const struct config *cfg, const char *name, const json_t *kwargs, struct bundles *ret, struct err *err)
{
  const char *storage = config_str(cfg, OPT_dag_processor_dag_bundle_storage_path), *subdir = jg_str(kwargs, "subdir", "");
  int r = check_git(config_where(cfg, OPT_dag_processor_dag_bundle_config_list), name, kwargs, err);
  if (r < 0) return r;
  char *dir = storage && *storage ? xasprintf("%s/%s/tracking_repo", storage, name) : xasprintf("%s/dag_bundles/%s/tracking_repo", config_home(cfg), name);
  CLEANUP(freep) char *path = xasprintf("%s/%s", dir, subdir);
  add(ret, name, path, false);
  ret->at[ret->n - 1].git = (struct bundle_git){xstrdup(jg_str(kwargs, "repo_url", "")), xstrdup(jg_str(kwargs, "tracking_ref", "")), dir, jg_int(kwargs, "refresh_interval", 0)};
  return 0;
}

static int add_configured(const struct config *cfg, const json_t *one, struct bundles *ret, struct err *err)
{
  const char *name = jg_str(one, "name", NULL), *class = jg_str(one, "classpath", ""), *path = jg_str(jg(one, "kwargs"), "path", NULL);
  const char *where = config_where(cfg, OPT_dag_processor_dag_bundle_config_list);
  if (!name) return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): a bundle has no name", where);
  if (!streq(class, LOCAL_BUNDLE) && !streq(class, GIT_BUNDLE))
    return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): bundle '%s' is a %s; this version serves " LOCAL_BUNDLE " and " GIT_BUNDLE ". Check the "
                   "repository out into a folder and name that folder as its path", where, name, class);
  for (size_t i = 0; i < ret->n; i++)
    if (streq(ret->at[i].name, name)) return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): two bundles are called '%s'", where, name);
  if (streq(class, GIT_BUNDLE)) return add_git(cfg, name, jg(one, "kwargs"), ret, err);
  add(ret, name, path ? path : config_str(cfg, OPT_core_dags_folder), false);
  return 0;
}

/* Each provider's examples are a bundle called as its package is: common/sql -> apache-airflow-providers-common-sql-example-dags. */
static void add_provider_examples(const char *airflow, struct bundles *ret)
{
  CLEANUP(freep) char *one = xasprintf("%s/providers/*/example_dags", airflow), *nested = xasprintf("%s/providers/*/*/example_dags", airflow);
  size_t before = strlen(airflow) + strlen("/providers/"), after = strlen("/example_dags");
  glob_t g = {0};
  glob(one, GLOB_ONLYDIR, NULL, &g);
  glob(nested, GLOB_ONLYDIR | GLOB_APPEND, NULL, &g);
  for (size_t i = 0; i < g.gl_pathc; i++) {
    const char *path = g.gl_pathv[i];
    CLEANUP(freep) char *name = xasprintf("apache-airflow-providers-%.*s-example-dags", (int)(strlen(path) - before - after), path + before);
    for (char *p = name; *p; p++)
      if (*p == '/' || *p == '_') *p = '-';
    add(ret, name, path, true);
  }
  globfree(&g);
}

int bundles_load(const struct config *cfg, struct bundles *ret, struct err *err)
{
  CLEANUP(json_decrefp) json_t *list = config_json(cfg, OPT_dag_processor_dag_bundle_config_list);
  size_t i;
  json_t *one;
  json_array_foreach(list, i, one) {
    int r = add_configured(cfg, one, ret, err);
    if (r < 0) return r;
  }
  if (!ret->n) add(ret, "dags-folder", config_str(cfg, OPT_core_dags_folder), false);
  if (!config_bool(cfg, OPT_core_load_examples)) return 0;
  CLEANUP(freep) char *airflow = python_airflow_folder(cfg);
  if (!airflow) return 0;                              /* no Airflow, no examples of it */
  CLEANUP(freep) char *core = xasprintf("%s/example_dags", airflow);
  if (access(core, R_OK) == 0) add(ret, "example_dags", core, true);
  add_provider_examples(airflow, ret);
  return 0;
}

/* ---- Python ---- */

static char *in_venv(const char *dir)
{
  char *p = xasprintf("%s/bin/python", dir);
  if (access(p, X_OK) == 0) return p;
  free(p);
  return NULL;
}

/* build/bin/updraft of a tree: its .venv stands two folders up. An adopted environment's bin/airflow: one up. */
static char *beside_program(void)
{
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return NULL;
  self[n] = 0;
  for (int up = 0; up < 3; up++) {
    char *slash = strrchr(self, '/');
    if (!slash) return NULL;
    *slash = 0;
    CLEANUP(freep) char *venv = xasprintf("%s/.venv", self);
    char *p = in_venv(venv);
    if (p) return p;
  }
  return NULL;
}

char *python_program(const struct config *cfg)
{
  const char *set = config_str(cfg, OPT_updraft_python), *venv = getenv("VIRTUAL_ENV");
  char *p;
  if (*set) return (p = in_venv(set)) ? p : xstrdup(set);
  if ((p = beside_program())) return p;
  if (venv && (p = in_venv(venv))) return p;
  return xstrdup("python3");
}

char *python_airflow_folder(const struct config *cfg)
{
  CLEANUP(freep) char *python = python_program(cfg);
  char *slash = strrchr(python, '/');
  if (!slash) return NULL;
  *slash = 0;
  CLEANUP(freep) char *pattern = xasprintf("%s/../lib/python3*/site-packages/airflow", python);
  glob_t g = {0};
  char *found = glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc ? realpath(g.gl_pathv[0], NULL) : NULL;
  globfree(&g);
  return found;
}
