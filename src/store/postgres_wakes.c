/* postgres_wakes: a connection that only listens. The triggers of migrations/postgres/0013 notify in the transaction that writes. */
#include "store/postgres.h"
#include "store/wakes.h"

struct wakes { PGconn *c; struct pg_db named; char **keys, **values; };

void wakes_close(struct wakes *w)
{
	if (!w)
		return;
	PQfinish(w->c);
	pg_words_free(w->keys);
	pg_words_free(w->values);
	free(w->named.name);
	free(w);
}

static int listen_to(struct wakes *w, const char *text, struct err *err)
{
	bool pooled = false;
	int rc = pg_through_pooler(&w->named, w->c, &pooled, err);
	if (rc < 0)
		return rc;
	if (pooled)
		return err_set(err, E_UNSUPPORTED, "the database %s is reached through a pooler, which passes no notifications on", w->named.name);
	PGresult *res = PQexec(w->c, text);
	rc = PQresultStatus(res) == PGRES_COMMAND_OK ? 0 : pg_fail(&w->named, res, text, err);
	PQclear(res);
	return rc;
}

int wakes_open(const char *url, const char *channel, struct wakes **ret, struct err *err)
{
	struct wakes *w = xcalloc(1, sizeof *w);
	CLEANUP(freep) char *listen = xasprintf("LISTEN \"updraft_%s\"", channel);
	int rc = pg_url_parse(url, &w->keys, &w->values, &w->named.name, err);
	if (rc == 0) {
		w->c = PQconnectdbParams((const char *const *)w->keys, (const char *const *)w->values, 0);
		rc = PQstatus(w->c) == CONNECTION_OK ? listen_to(w, listen, err) : pg_refused(&w->named, w->c, err);
	}
	if (rc < 0)
		wakes_close(w);
	else
		*ret = w;
	return rc;
}

int wakes_fd(const struct wakes *w)
{
	return PQsocket(w->c);
}

int wakes_read(struct wakes *w, struct err *err)
{
	int n = 0;
	if (!PQconsumeInput(w->c) || PQstatus(w->c) != CONNECTION_OK)
		return pg_lost(&w->named, "listening", err);
	for (PGnotify *told; (told = PQnotifies(w->c)); n++)
		PQfreemem(told);
	return n > 0;
}
