/* Which folders hold DAGs, and which Python parses them. */
#include "processor/processor.h"
#include "base/json.h"
#include "config/config.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCAL_BUNDLE "airflow.dag_processing.bundles.local.LocalDagBundle"

static void add(struct bundles *b, const char *name, const char *path, bool example)
{
  struct bundle one = {.name = xstrdup(name), .path = xstrdup(path), .example = example};
  size_t n = path ? strlen(path) : 0;
  while (n > 1 && one.path[n - 1] == '/') one.path[--n] = 0;
  vec_push(b, one);
}

void bundle_clear(struct bundle *b)
{
  free(b->name);
  free(b->path);
  free(b->url_template);
  free(b->class);
  json_decref(b->kwargs);
  *b = (struct bundle){0};
}

void bundles_clear(struct bundles *b)
{
  for (size_t i = 0; i < b->n; i++) bundle_clear(&b->at[i]);
  vec_clear(b);
}

static bool is_plain_name(const char *s)
{
  return *s && *s != '.' && *s != '_' && !strchr(s, '/');
}

/* A provider's class, as airflow.providers.git.bundles.git.GitDagBundle: is its module in this Python? Of others Python says so. */
static bool is_installed(const struct config *cfg, const char *class)
{
  CLEANUP(freep) char *airflow = python_airflow_folder(cfg);
  const char *last = strrchr(class, '.');
  if (!airflow || !str_starts(class, "airflow.providers.")) return true;
  CLEANUP(freep) char *module = xasprintf("%s/%.*s", airflow, (int)(last - class - (ptrdiff_t)strlen("airflow.")), class + strlen("airflow."));
  for (char *p = module + strlen(airflow); *p; p++)
    if (*p == '.') *p = '/';
  CLEANUP(freep) char *file = xasprintf("%s.py", module);
  return access(file, R_OK) == 0 || access(module, R_OK) == 0;
}

/* Anything but a folder of this host: the official class brings the files here, run in Python at each refresh (bundlework.c). */
static int add_fetched(const struct config *cfg, const char *name, const char *class, json_t *kwargs, struct bundles *ret, struct err *err)
{
  const char *where = config_where(cfg, OPT_dag_processor_dag_bundle_config_list);
  if (!strrchr(class, '.')) return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): bundle '%s' needs a classpath, as " LOCAL_BUNDLE, where, name);
  if (!is_plain_name(name))
    return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): '%s' cannot be the name of a bundle that is fetched: a folder is called so", where, name);
  if (!is_installed(cfg, class)) {
    CLEANUP(freep) char *python = python_program(cfg);
    const char *part = class + strlen("airflow.providers."), *end = strstr(part, ".bundles.");
    return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): bundle '%s' is a %s, which is not installed beside Airflow in %s. Install "
                   "apache-airflow-providers-%.*s there", where, name, class, python, (int)(end ? end - part : (ptrdiff_t)strcspn(part, ".")), part);
  }
  add(ret, name, NULL, false);
  ret->at[ret->n - 1].class = xstrdup(class);
  ret->at[ret->n - 1].kwargs = json_is_object(kwargs) ? json_incref(kwargs) : json_object();
  return 0;
}

/* {version} stays: a folder has none, and the official code then writes None */
static char *local_template(const struct bundle *b, const json_t *kwargs)
{
  const char *t = jg_str(kwargs, "view_url_template", NULL);
  return t && (str_starts(t, "https://") || str_starts(t, "http://")) ? str_replace_all(t, "{name}", b->name) : NULL;
}

char *bundles_storage(const struct config *cfg)
{
  const char *set = config_str(cfg, OPT_dag_processor_dag_bundle_storage_path);
  return set && *set ? xstrdup(set) : xasprintf("%s/dag_bundles", config_home(cfg));
}

static int add_configured(const struct config *cfg, const json_t *one, struct bundles *ret, struct err *err)
{
  const char *name = jg_str(one, "name", NULL), *class = jg_str(one, "classpath", ""), *path = jg_str(jg(one, "kwargs"), "path", NULL);
  const char *where = config_where(cfg, OPT_dag_processor_dag_bundle_config_list);
  if (!name) return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): a bundle has no name", where);
  for (size_t i = 0; i < ret->n; i++)
    if (streq(ret->at[i].name, name)) return err_set(err, E_CONFIG, "[dag_processor] dag_bundle_config_list (%s): two bundles are called '%s'", where, name);
  if (!streq(class, LOCAL_BUNDLE)) return add_fetched(cfg, name, class, jg(one, "kwargs"), ret, err);
  add(ret, name, path ? path : config_str(cfg, OPT_core_dags_folder), false);
  ret->at[ret->n - 1].url_template = local_template(&ret->at[ret->n - 1], jg(one, "kwargs"));
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
