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

static int ask(struct wakes *w, const char *text, char **ret, struct err *err)
{
	PGresult *res = PQexec(w->c, text);
	ExecStatusType status = PQresultStatus(res);
	int rc = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ? 0 : pg_fail(&w->named, res, text, err);
	if (rc == 0 && ret)
		*ret = xstrdup(PQntuples(res) ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	return rc;
}

/* A pooler between us and the server answers with a number of its own, and gives the session to others after each transaction. */
static int refuse_pooler(struct wakes *w, struct err *err)
{
	CLEANUP(freep) char *pid = NULL;
	int64_t server = 0;
	int rc = ask(w, "SELECT pg_backend_pid()", &pid, err);
	if (rc == 0 && (str_to_int64(pid, &server) < 0 || server != PQbackendPID(w->c)))
		rc = err_set(err, E_UNSUPPORTED, "the database %s is reached through a pooler, which passes no notifications on", w->named.name);
	return rc;
}

int wakes_open(const char *url, const char *channel, struct wakes **ret, struct err *err)
{
	struct wakes *w = xcalloc(1, sizeof *w);
	CLEANUP(freep) char *listen = xasprintf("LISTEN \"updraft_%s\"", channel);
	int rc = pg_url_parse(url, &w->keys, &w->values, &w->named.name, err);
	if (rc == 0) {
		w->c = PQconnectdbParams((const char *const *)w->keys, (const char *const *)w->values, 0);
		rc = PQstatus(w->c) == CONNECTION_OK ? refuse_pooler(w, err) : pg_refused(&w->named, w->c, err);
	}
	if (rc == 0)
		rc = ask(w, listen, NULL, err);
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
