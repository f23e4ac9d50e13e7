/* graphs: the few versions whose graphs are kept. */
#include "api/graph.h"

#define KEPT 8

struct graphs { struct graph *at[KEPT]; uint64_t clock; };

struct graphs *graphs_new(void)
{
	return xcalloc(1, sizeof(struct graphs));
}

void graphs_free(struct graphs *s)
{
	for (size_t i = 0; s && i < KEPT; i++)
		graph_free(s->at[i]);
	free(s);
}

static struct graph **place_for(struct graphs *s, const struct uuid *version)
{
	struct graph **oldest = &s->at[0];
	for (size_t i = 0; i < KEPT; i++)
		if (s->at[i] && uuid_eq(&s->at[i]->version, version))
			return &s->at[i];
	for (size_t i = 0; i < KEPT; i++) {
		if (!s->at[i])
			return &s->at[i];
		if (s->at[i]->used < (*oldest)->used)
			oldest = &s->at[i];
	}
	return oldest;
}

static int read_graph(struct api *api, const struct uuid *version, struct graph **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *data = NULL;
	struct val v = v_uuid(version);
	int rc = store_query_text(api->db, "SELECT data FROM dag_version WHERE id = ?", &v, 1, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	if (!rc)
		return err_set(err, E_NOT_FOUND, "the DAG version is gone");
	rc = json_read(row_text(&r, 0), row_size(&r, 0), &data, err);
	return rc < 0 ? rc : graph_make(json_is_object(jg(data, "dag")) ? jg(data, "dag") : data, ret, err);
}

/* r: id, updated, version_number */
static int kept_or_read(struct api *api, struct rows *r, const struct graph **ret, struct err *err)
{
	struct graphs *s = api->graphs;
	struct uuid version;
	row_uuid(r, 0, &version);
	int64_t updated = row_int(r, 1), number = row_int(r, 2);
	struct graph **at = place_for(s, &version);
	if (!*at || !uuid_eq(&(*at)->version, &version) || (*at)->updated != updated) {
		struct graph *g = NULL;
		int rc = read_graph(api, &version, &g, err);
		if (rc < 0)
			return rc;
		graph_free(*at);
		*at = g;
		g->version = version;
		g->updated = updated;
		g->number = number;
	}
	(*at)->used = ++s->clock;
	*ret = *at;
	return 0;
}

static int find(struct api *api, const char *sql, const struct val *v, size_t n, const struct graph **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(api->db, sql, v, n, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	return rc ? kept_or_read(api, &r, ret, err) : err_set(err, E_NOT_FOUND, "there is no such DAG version");
}

#define HEAD "SELECT id, updated, version_number FROM dag_version WHERE "

int graphs_get(struct api *api, const char *dag_id, int64_t number, const struct graph **ret, struct err *err)
{
	struct val v[] = { v_text(dag_id), v_int(number) };
	return number ? find(api, HEAD "dag_id = ? AND version_number = ?", v, 2, ret, err)
	              : find(api, HEAD "dag_id = ? ORDER BY version_number DESC LIMIT 1", v, 1, ret, err);
}

int graphs_version(struct api *api, const struct uuid *version, const struct graph **ret, struct err *err)
{
	struct val v = v_uuid(version);
	return find(api, HEAD "id = ?", &v, 1, ret, err);
}
