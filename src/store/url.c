/* url: sql_alchemy_conn in the spellings that people have in their airflow.cfg. */
#include <unistd.h>
#include "store/store.h"

static const char *const not_yet[] = { "mysql", "mariadb", "mssql", "oracle" };

static int refuse_scheme(const char *url, size_t n, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(not_yet); i++)
		if (n >= strlen(not_yet[i]) && !strncmp(url, not_yet[i], strlen(not_yet[i])))
			return err_set(err, E_UNSUPPORTED, "sql_alchemy_conn: %s is not supported; use sqlite:////absolute/path/airflow.db or postgresql+psycopg2://user:password@host/airflow",
				       not_yet[i]);
	return err_set(err, E_UNSUPPORTED, "sql_alchemy_conn: the scheme \"%.*s\" is not known; use sqlite:////absolute/path/airflow.db or postgresql+psycopg2://user:password@host/airflow",
		       (int)(n > 40 ? 40 : n), url);
}

/* "sqlite" and "sqlite+driver" */
static bool is_sqlite(const char *url, size_t n)
{
	return n >= 6 && !strncmp(url, "sqlite", 6) && (n == 6 || url[6] == '+');
}

bool store_url_is_postgres(const char *url)
{
	const char *colon = url ? strstr(url, "://") : NULL;
	size_t n = colon ? (size_t)(colon - url) : 0, plain = strcspn(url ? url : "", "+:");
	return n && plain <= n && ((plain == 10 && !strncmp(url, "postgresql", 10)) || (plain == 8 && !strncmp(url, "postgres", 8)));
}

static char *absolute(const char *path, size_t n)
{
	if (path[0] == '/')
		return xstrndup(path, n);
	CLEANUP(freep) char *here = getcwd(NULL, 0);
	return here ? xasprintf("%s/%.*s", here, (int)n, path) : xstrndup(path, n);
}

int store_url_path(const char *url, char **ret, struct err *err)
{
	const char *colon = url ? strstr(url, "://") : NULL;
	if (!colon)
		return err_set(err, E_INVALID, "sql_alchemy_conn: \"%.60s\" is not a database URL; it looks like sqlite:////absolute/path/airflow.db",
			       url ? url : "");
	if (!is_sqlite(url, (size_t)(colon - url)))
		return refuse_scheme(url, (size_t)(colon - url), err);
	const char *path = colon + 3;
	if (path[0] && path[0] != '/')
		return err_set(err, E_INVALID, "sql_alchemy_conn: sqlite takes no host; write sqlite:////absolute/path/airflow.db");
	if (path[0] == '/')
		path++;
	size_t n = strcspn(path, "?");
	if (!n || !strncmp(path, ":memory:", n))
		return err_set(err, E_UNSUPPORTED, "sql_alchemy_conn: a database in memory cannot be shared by the roles; name a file: sqlite:////absolute/path/airflow.db");
	*ret = absolute(path, n);
	return 0;
}
