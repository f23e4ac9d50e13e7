/* postgres_url: an SQLAlchemy URL cut as SQLAlchemy cuts it (a password may hold anything but an @), handed to libpq as keywords.
 * What libpq knows as a connection parameter may be in the query part; what only a Python driver knows is translated or left out.
 * No message repeats a value of the query part or the password. */
#include <stdlib.h>
#include "store/postgres.h"

struct parts { char *user, *password, *host, *port, *database; };
struct words { VEC(char *) keys, values; };

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX, and + when it is of a query part; other per cent signs stay, as in SQLAlchemy */
static char *decode(const char *s, size_t n, bool plus)
{
	struct buf b = {0};
	for (size_t i = 0; i < n; i++) {
		int high = s[i] == '%' && i + 2 < n ? hex_digit(s[i + 1]) : -1, low = high >= 0 ? hex_digit(s[i + 2]) : -1;
		if (low >= 0 && (high || low)) {
			buf_addc(&b, (char)(high * 16 + low));
			i += 2;
		} else {
			buf_addc(&b, plus && s[i] == '+' ? ' ' : s[i]);
		}
	}
	return buf_steal(&b);
}

static void put(struct words *w, const char *key, char *value)
{
	for (size_t i = 0; i < w->keys.n; i++)
		if (streq(w->keys.at[i], key)) {
			free(w->values.at[i]);
			w->values.at[i] = value;
			return;
		}
	vec_push(&w->keys, xstrdup(key));
	vec_push(&w->values, value);
}

static bool known_to_libpq(const char *key)
{
	bool known = false;
	PQconninfoOption *all = PQconndefaults();
	for (PQconninfoOption *o = all; o && o->keyword && !known; o++)
		known = streq(o->keyword, key);
	PQconninfoFree(all);
	return known;
}

/* of Python's drivers and SQLAlchemy's dialects: they say how the driver works, not whom to connect to */
static bool only_a_drivers(const char *key)
{
	static const char *const names[] = { "prepared_statement_cache_size", "prepared_statement_name_func", "statement_cache_size",
		"max_cached_statement_lifetime", "max_cacheable_statement_size", "command_timeout", "async_fallback", "executemany_mode",
		"executemany_batch_page_size", "use_native_hstore", "json_serializer", "json_deserializer", "charset", "async_", "driver" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(key, names[i]))
			return true;
	return false;
}

/* asyncpg's names for the same things */
static const char *in_libpqs_words(const char *key)
{
	static const char *const names[][2] = { { "ssl", "sslmode" }, { "timeout", "connect_timeout" }, { "database", "dbname" }, { "username", "user" } };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(key, names[i][0]))
			return names[i][1];
	return key;
}

/* host=a:5432&host=b:5432 is SQLAlchemy's way of naming several */
static void add_host(struct words *w, const char *value)
{
	const char *colon = value[0] == '/' ? NULL : strrchr(value, ':'), *old_host = NULL, *old_port = NULL;
	for (size_t i = 0; i < w->keys.n; i++) {
		if (streq(w->keys.at[i], "host"))
			old_host = w->values.at[i];
		if (streq(w->keys.at[i], "port"))
			old_port = w->values.at[i];
	}
	char *host = xasprintf("%s%s%.*s", old_host ? old_host : "", old_host ? "," : "", colon ? (int)(colon - value) : (int)strlen(value), value);
	if (colon)
		put(w, "port", xasprintf("%s%s%s", old_host && old_port ? old_port : "", old_host && old_port ? "," : "", colon + 1));
	put(w, "host", host);
}

static int add_option(struct words *w, const char *at, size_t n, struct err *err)
{
	const char *equals = memchr(at, '=', n);
	CLEANUP(freep) char *name = decode(at, equals ? (size_t)(equals - at) : n, true);
	CLEANUP(freep) char *value = decode(equals ? equals + 1 : "", equals ? n - (size_t)(equals + 1 - at) : 0, true);
	const char *key = in_libpqs_words(name);
	if (streq(key, "host"))
		add_host(w, value);
	else if (known_to_libpq(key))
		put(w, key, streq(name, "ssl") && streq(value, "true") ? xstrdup("require") : xstrdup(value));
	else if (!only_a_drivers(key))
		return err_set(err, E_INVALID, "sql_alchemy_conn: PostgreSQL knows no connection parameter \"%.40s\"; allowed are those of libpq (sslmode, sslrootcert, "
			       "connect_timeout, application_name, options, ...)", key);
	return 0;
}

static int add_query(struct words *w, const char *query, struct err *err)
{
	int rc = 0;
	while (rc == 0 && *query) {
		size_t n = strcspn(query, "&");
		if (n)
			rc = add_option(w, query, n, err);
		query += n + (query[n] == '&');
	}
	return rc;
}

static int cut_address(const char *p, size_t n, struct parts *ret, struct err *err)
{
	const char *end = p + n, *colon;
	if (n && *p == '[') {
		const char *bracket = memchr(p, ']', n);
		if (!bracket)
			return err_set(err, E_INVALID, "sql_alchemy_conn: the [ of an IPv6 address has no ]");
		ret->host = xstrndup(p + 1, (size_t)(bracket - p - 1));
		p = bracket + 1;
	} else {
		colon = memchr(p, ':', n);
		size_t length = colon ? (size_t)(colon - p) : n;
		ret->host = length ? decode(p, length, false) : NULL;
		p += length;
	}
	if (p == end || p + 1 == end)
		return 0;
	int64_t number;
	ret->port = xstrndup(p + 1, (size_t)(end - p - 1));
	if (*p != ':' || str_to_int64(ret->port, &number) < 0 || number < 1 || number > 65535)
		return err_set(err, E_INVALID, "sql_alchemy_conn: the port is not a number from 1 to 65535; a URL looks like postgresql+psycopg2://user:password@host:5432/airflow "
			       "(an @ in a password is written %%40)");
	return 0;
}

/* user:password@host:port/database; ret_query: what follows a ?, or "" */
static int cut(const char *p, struct parts *ret, const char **ret_query, struct err *err)
{
	size_t whole = strlen(p), user = strcspn(p, ":/");
	const char *at = NULL;
	if (user < whole && p[user] == ':')
		at = strchr(p + user, '@');
	if (!at)
		at = memchr(p, '@', user);
	if (at) {
		user = user < (size_t)(at - p) ? user : (size_t)(at - p);
		ret->user = user ? decode(p, user, false) : NULL;
		if (p + user < at)
			ret->password = decode(p + user + 1, (size_t)(at - p) - user - 1, false);
		p = at + 1;
	}
	size_t n = strcspn(p, "/?");
	int rc = cut_address(p, n, ret, err);
	p += n;
	if (*p == '/')
		p++;
	n = strcspn(p, "?");
	ret->database = n ? xstrndup(p, n) : NULL;
	*ret_query = p[n] ? p + n + 1 : "";
	return rc;
}

static const char *value_of(const struct words *w, const char *key)
{
	for (size_t i = 0; i < w->keys.n; i++)
		if (streq(w->keys.at[i], key))
			return w->values.at[i];
	return "";
}

static char *shown(const struct words *w)
{
	const char *user = value_of(w, "user"), *host = value_of(w, "host"), *port = value_of(w, "port");
	bool six = strchr(host, ':') != NULL;
	if (*host == '/')
		return xasprintf("postgresql://%s%s/%s?host=%s", user, *user ? "@" : "", value_of(w, "dbname"), host);
	return xasprintf("postgresql://%s%s%s%s%s%s%s/%s", user, *user ? "@" : "", six ? "[" : "", host, six ? "]" : "", *port ? ":" : "", port, value_of(w, "dbname"));
}

void pg_words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

static void words_clear(struct words *w)
{
	vec_push(&w->keys, NULL);
	vec_push(&w->values, NULL);
	pg_words_free(w->keys.at);
	pg_words_free(w->values.at);
}

static void put_part(struct words *w, const char *key, char *value)
{
	if (value)
		put(w, key, value);
}

int pg_url_parse(const char *url, char ***ret_keys, char ***ret_values, char **ret_name, struct err *err)
{
	struct words w = {0};
	struct parts p = {0};
	const char *query;
	int rc = cut(strstr(url, "://") + 3, &p, &query, err);
	put_part(&w, "user", p.user);
	put_part(&w, "password", p.password);
	put_part(&w, "host", p.host);
	put_part(&w, "port", p.port);
	put_part(&w, "dbname", p.database);
	if (rc == 0)
		rc = add_query(&w, query, err);
	if (rc < 0) {
		words_clear(&w);
		return rc;
	}
	static const char *const defaults[][2] = { { "client_encoding", "UTF8" }, { "fallback_application_name", "updraft" }, { "connect_timeout", "10" },
		{ "tcp_user_timeout", "30000" }, { "keepalives_idle", "30" }, { "keepalives_interval", "10" }, { "keepalives_count", "3" } };
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
		if (!*value_of(&w, defaults[i][0]))
			put(&w, defaults[i][0], xstrdup(defaults[i][1]));
	*ret_name = shown(&w);
	vec_push(&w.keys, NULL);
	vec_push(&w.values, NULL);
	*ret_keys = w.keys.at;
	*ret_values = w.values.at;
	return 0;
}

int store_url_to_environment(const char *url, struct err *err)
{
	char **keys, **values;
	CLEANUP(freep) char *name = NULL;
	int rc = store_url_is_postgres(url) ? pg_url_parse(url, &keys, &values, &name, err) : err_set(err, E_INVALID, "sql_alchemy_conn names no server");
	if (rc < 0)
		return rc;
	PQconninfoOption *all = PQconndefaults();
	for (PQconninfoOption *o = all; o && o->keyword; o++)
		for (size_t i = 0; keys[i]; i++)
			if (o->envvar && streq(o->keyword, keys[i]))
				setenv(o->envvar, values[i], 1);
	PQconninfoFree(all);
	const char *old = getenv("PGOPTIONS");
	CLEANUP(freep) char *options = xasprintf("%s%s-csearch_path=" PG_SCHEMA ",pg_catalog", old ? old : "", old ? " " : "");
	setenv("PGOPTIONS", options, 1);
	pg_words_free(keys);
	pg_words_free(values);
	return 0;
}
