/* postgres_schema: the schema `updraft` and its version, kept in a table of its own; reset. */
#include "store/postgres.h"

static int refuse_foreign(struct pg_db *db, struct err *err)
{
	return err_set(err, E_STORE, "the schema " PG_SCHEMA " of the database %s holds tables of another program: it is left alone; name another database in "
		       "[database] sql_alchemy_conn", db->name);
}

/* One question to the tables of the catalogue themselves: to_regclass() answers from a cache, which after a wait for a lock does not
 * know yet what the holder of that lock has made. */
enum { NO_TABLES, THEIR_TABLES, OUR_TABLES };
static const char whose_tables[] = "SELECT CASE WHEN count(*) = 0 THEN 0 WHEN count(*) FILTER (WHERE tablename = 'schema_version') = 0 THEN 1 ELSE 2 END "
				   "FROM pg_catalog.pg_tables WHERE schemaname = '" PG_SCHEMA "'";

int pg_version_get(void *p, int *ret, struct err *err)
{
	struct pg_db *db = p;
	int64_t whose = NO_TABLES, version = 0;
	int rc = db->in_transaction ? 0 : pg_ready(db, err);
	if (rc == 0)
		rc = pg_int(db, whose_tables, &whose, err);
	if (rc == 0 && whose == OUR_TABLES)
		rc = pg_int(db, "SELECT version FROM " PG_SCHEMA ".schema_version", &version, err);
	if (rc < 0)
		return rc;
	if (whose == THEIR_TABLES)
		return refuse_foreign(db, err);
	*ret = (int)version;
	return 0;
}

int pg_version_set(void *db, int version, struct err *err)
{
	CLEANUP(freep) char *text = xasprintf("CREATE TABLE IF NOT EXISTS " PG_SCHEMA ".schema_version (version bigint NOT NULL); DELETE FROM " PG_SCHEMA
		".schema_version; INSERT INTO " PG_SCHEMA ".schema_version VALUES (%d)", version);
	return pg_script(db, "version", text, err);
}

int pg_prepare_schema(void *db, struct err *err)
{
	int64_t there = 0;
	int rc = pg_int(db, "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = '" PG_SCHEMA "'", &there, err);
	/* IF NOT EXISTS would ask for the right to make one even where it stands already */
	return rc < 0 || there ? rc : pg_script(db, "schema", "CREATE SCHEMA " PG_SCHEMA, err);
}

/* The tables go, the schema stays: somebody else may have made it for us. */
int pg_drop_all(void *db, struct err *err)
{
	static const char text[] = "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = '" PG_SCHEMA
		"' LOOP EXECUTE format('DROP TABLE " PG_SCHEMA ".%I CASCADE', t); END LOOP; END $$";
	int rc = pg_prepare_schema(db, err);
	return rc < 0 ? rc : pg_script(db, "reset", text, err);
}
