/* postgres_errors: SQLSTATEs as our errors, with a text that says which database and what to do. */
#include "store/postgres.h"

static const char *first_line(const char *text, char ret[240])
{
	size_t n = strcspn(text ? text : "", "\n");
	snprintf(ret, 240, "%.*s", (int)(n > 200 ? 200 : n), text ? text : "");
	return ret;
}

int pg_lost(const struct pg_db *db, const char *doing, struct err *err)
{
	return err_set(err, E_UNREACHABLE, "the connection to the database %s was lost (%s); it is made again as soon as the database answers", db->name, doing);
}

/* No SQLSTATE comes with a refused connection, only words. */
int pg_refused(const struct pg_db *db, PGconn *c, struct err *err)
{
	static const struct { const char *words; int code; const char *what_to_do; } cases[] = {
		{ "too many c", E_UNREACHABLE, "raise max_connections (or the CONNECTION LIMIT of role or database); a scheduler and an API server hold six" },
		{ "connection slots are reserved", E_UNREACHABLE, "raise max_connections; a scheduler and an API server hold six" },
		{ "authentication failed", E_UNAUTHORIZED, "look at user and password in [database] sql_alchemy_conn" },
		{ "no password supplied", E_UNAUTHORIZED, "put the password into [database] sql_alchemy_conn" },
		{ "no pg_hba.conf entry", E_UNAUTHORIZED, "the server's pg_hba.conf does not let this user in from here" },
		{ "unsupported startup parameter", E_CONFIG, "PgBouncer lets it through when its ignore_startup_parameters names it" },
		{ "role \"", E_UNAUTHORIZED, "make the role, or name another one in [database] sql_alchemy_conn" },
		{ "database \"", E_NOT_FOUND, "make it (createdb), or name another one in [database] sql_alchemy_conn" },
		{ "certificate", E_CONFIG, "look at sslmode and sslrootcert in [database] sql_alchemy_conn" },
		{ "sslmode", E_CONFIG, "look at sslmode in [database] sql_alchemy_conn" },
		{ "SSL", E_CONFIG, "look at sslmode in [database] sql_alchemy_conn" },
	};
	char line[240];
	const char *text = c ? PQerrorMessage(c) : "out of memory", *fatal = strstr(text, "FATAL:");
	first_line(fatal ? fatal + strlen("FATAL:") + strspn(fatal + strlen("FATAL:"), " ") : text, line);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (strstr(line, cases[i].words))
			return err_set(err, cases[i].code, "the database %s refused the connection: %s; %s", db->name, line, cases[i].what_to_do);
	return err_set(err, E_UNREACHABLE, "the database %s cannot be reached: %s", db->name, line);
}

struct sqlstate { const char *prefix; int code; const char *says; };
/* the first whose prefix fits; says: what goes before the server's own words, or NULL */
static const struct sqlstate states[] = {
	{ "23505", E_EXISTS, NULL },
	{ "23", E_INVALID, "refused a value" },
	{ "22", E_INVALID, "refused a value" },
	{ "54", E_LIMIT, "takes no value so large" },
	{ "55P03", E_BUSY, "stayed locked by another process; try again" },
	{ "40", E_BUSY, "was changed by another process at the same moment; try again" },
	{ "57014", E_BUSY, "cancelled a statement (statement_timeout?); try again" },
	{ "53100", E_NO_SPACE, "has no space left on its disk: nothing of this change was written; make room and try again" },
	{ "53300", E_UNREACHABLE, "has no connection left (max_connections)" },
	{ "57P", E_UNREACHABLE, "is being shut down or started" },
	{ "08", E_UNREACHABLE, "lost the connection" },
	{ "25006", E_UNREACHABLE, "may only be read (a standby?)" },
	{ "25P03", E_UNREACHABLE, "ended the connection after waiting for it in a transaction (idle_in_transaction_session_timeout)" },
	{ "42501", E_DENIED, "denies this to our role: grant it USAGE and CREATE on the schema " PG_SCHEMA " and all on its tables, or make it their owner" },
	{ "26000", E_UNREACHABLE, "does not know a statement that was prepared (a pooler that changes connections?)" },
};

int pg_fail(const struct pg_db *db, const PGresult *res, const char *doing, struct err *err)
{
	char line[240];
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL, *text = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	if (!state || !text)
		return pg_lost(db, doing, err);
	first_line(text, line);
	if (db->read_only && streq(state, "25006"))
		return err_set(err, E_STORE, "the database %s may only be read here (%s)", db->name, doing);
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (str_starts(state, states[i].prefix))
			return states[i].says ? err_set(err, states[i].code, "the database %s %s (%s: %s)", db->name, states[i].says, doing, line)
					      : err_set(err, states[i].code, "already exists (%s: %s)", doing, line);
	return err_set(err, E_STORE, "the database %s failed (%s: %s)", db->name, doing, line);
}
