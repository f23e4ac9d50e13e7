/* ui_rest: what the UI seldom asks: connection forms, partitions that wait, deadline alerts. */
#include "api/ask.h"
#include "api/handlers.h"
#include "api/permit.h"

/* ---- connection forms: only the providers know them ---- */

static void reply_forms(struct call *c, const json_t *result, const char *error)
{
	if (!result) {
		call_fail(c, 503, "%s", error);
		return;
	}
	jw_json(call_json(c), jg(result, "forms"));
	call_reply(c, 200);
}

void hook_meta_data(struct call *c)
{
	call_ask(c, json_pack("{s:s}", "what", "connection_forms"), true, reply_forms);
}

/* ---- partitions ---- */

#define REQUIRED "(SELECT count(*) FROM dag_schedule_asset s JOIN asset a ON a.id = s.asset WHERE s.dag_id = p.dag_id)"
#define RECEIVED "(SELECT count(DISTINCT k.asset) FROM asset_partition_key k JOIN dag_schedule_asset s ON s.asset = k.asset AND s.dag_id = p.dag_id " \
	"WHERE k.partition_run = p.id)"

static const struct field partition_fields[] = {
	INT("id", "p.id"), TEXT("partition_key", "p.partition_key"), TIME("created_at", "p.created"), INT("total_received", RECEIVED),
	INT("total_required", REQUIRED), TEXT("dag_id", "p.dag_id"), TEXT("state", "CASE WHEN p.dag_run IS NULL THEN 'pending' ELSE r.state END"),
	TEXT("created_dag_run_id", "r.run_id"), END
};

static int write_partitions(struct call *c, struct json_writer *w, const struct where *where, int64_t *ret_n, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	fields_sql(partition_fields, &columns);
	buf_printf(&sql, "SELECT %s FROM asset_partition_run p LEFT JOIN dag_run r ON r.id = p.dag_run%s ORDER BY p.created DESC, p.id DESC", columns.data,
	           where->text.data ? where->text.data : "");
	int rc = store_query_text(c->api->db, sql.data, where->values.at, where->values.n, &r, err);
	for (*ret_n = 0; rc >= 0 && (rc = rows_next(&r, err)) > 0; ++*ret_n) {
		jw_object(w);
		fields_write(c, w, partition_fields, &r, 0);
		jw_end_object(w);
	}
	return rc;
}

static int write_expressions(struct call *c, struct json_writer *w, const struct where *where, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	buf_printf(&sql, "SELECT d.dag_id, d.asset_expression FROM dag d WHERE d.dag_id IN (SELECT p.dag_id FROM asset_partition_run p%s)",
	           where->text.data ? where->text.data : "");
	int rc = store_query_text(c->api->db, sql.data, where->values.at, where->values.n, &r, err);
	jw_key(w, "asset_expressions");
	jw_object(w);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		jw_key(w, row_text(&r, 0));
		if (row_null(&r, 1))
			jw_null(w);
		else
			jw_raw(w, row_text(&r, 1), row_size(&r, 1));
	}
	jw_end_object(w);
	return rc;
}

void get_partitioned_dag_runs(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct where where = { .a = &c->r->arena };
	const char *dag_id = http_query(c->r, "dag_id"), *made = http_query(c->r, "has_created_dag_run_id");
	bool flag = false;
	int64_t n = 0;
	if (dag_id) {
		where_add(&where, "p.dag_id = ?");
		where_value(&where, v_text(dag_id));
	}
	if (made && query_bool(c, "has_created_dag_run_id", &flag))
		where_add(&where, flag ? "p.dag_run IS NOT NULL" : "p.dag_run IS NULL");
	where_dags(c, &where, "p.dag_id", false);
	if (call_problems(c)) {
		where_clear(&where);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "partitioned_dag_runs");
	jw_array(w);
	int rc = write_partitions(c, w, &where, &n, &err);
	jw_end_array(w);
	jw_kint(w, "total", n);
	if (rc >= 0 && n)
		rc = write_expressions(c, w, &where, &err);
	else
		jw_knull(w, "asset_expressions");
	jw_end_object(w);
	where_clear(&where);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (n || !dag_id || need_dag_named(c, dag_id))
		call_reply(c, 200);
}

static int write_keys(struct call *c, struct json_writer *w, int64_t partition_run, int64_t asset, int64_t *ret_n, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_int(partition_run), v_int(asset) };
	int rc = store_query_text(c->api->db, "SELECT DISTINCT source_key FROM asset_partition_key WHERE partition_run = ? AND asset = ? ORDER BY source_key",
	                          v, 2, &r, err);
	jw_array(w);
	for (*ret_n = 0; rc >= 0 && (rc = rows_next(&r, err)) > 0; ++*ret_n)
		jw_str(w, row_text(&r, 0));
	jw_end_array(w);
	return rc;
}

static int write_assets(struct call *c, struct json_writer *w, int64_t partition_run, const char *dag_id, const char *key, int64_t *ret_all, int64_t *ret_got,
                        struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT a.id, a.name, a.uri, a.active FROM dag_schedule_asset s JOIN asset a ON a.id = s.asset WHERE s.dag_id = ? "
	                          "ORDER BY a.uri", &v, 1, &r, err);
	jw_array(w);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		int64_t n = 0;
		jw_object(w);
		jw_kint(w, "asset_id", row_int(&r, 0));
		jw_kstr(w, "asset_name", row_text(&r, 1));
		jw_kstr(w, "asset_uri", row_text(&r, 2));
		jw_key(w, "received_keys");
		rc = write_keys(c, w, partition_run, row_int(&r, 0), &n, err);
		jw_kbool(w, "received", n > 0);
		jw_kint(w, "received_count", n > 0);
		jw_kint(w, "required_count", 1);
		jw_key(w, "required_keys");
		jw_array(w);
		jw_str(w, key);
		jw_end_array(w);
		jw_kbool(w, "is_rollup", false);
		jw_kbool(w, "mapper_error", false);
		jw_kbool(w, "asset_inactive", !row_bool(&r, 3));
		jw_end_object(w);
		++*ret_all;
		*ret_got += n > 0;
	}
	jw_end_array(w);
	return rc;
}

static int write_pending(struct call *c, const char *dag_id, const char *key, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(dag_id), v_text(key) };
	int64_t all = 0, got = 0;
	int rc = store_query_text(c->api->db, "SELECT p.id, p.created, p.updated, d.asset_expression FROM asset_partition_run p LEFT JOIN dag d ON d.dag_id = p.dag_id "
	                          "WHERE p.dag_id = ? AND p.partition_key = ? AND p.dag_run IS NULL ORDER BY p.id DESC LIMIT 1", v, 2, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	if (!rc)
		return err_set(err, E_NOT_FOUND, "No PartitionedDagRun for dag=%s partition=%s", dag_id, key);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kint(w, "id", row_int(&r, 0));
	jw_kstr(w, "dag_id", dag_id);
	jw_kstr(w, "partition_key", key);
	jw_ktime(w, "created_at", row_time(&r, 1));
	jw_ktime(w, "updated_at", row_time(&r, 2));
	jw_knull(w, "created_dag_run_id");
	jw_key(w, "assets");
	rc = write_assets(c, w, row_int(&r, 0), dag_id, key, &all, &got, err);
	jw_kint(w, "total_required", all);
	jw_kint(w, "total_received", got);
	jw_key(w, "asset_expression");
	if (row_null(&r, 3))
		jw_null(w);
	else
		jw_raw(w, row_text(&r, 3), row_size(&r, 3));
	jw_end_object(w);
	return rc;
}

void get_pending_partitioned_dag_run(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *key = http_query(c->r, "partition_key");
	if (!key)
		call_problem(c, "missing", "[\"query\",\"partition_key\"]", "Field required", "null", NULL);
	if (call_problems(c))
		return;
	if (write_pending(c, call_param(c, "dag_id"), key, &err) < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

/* ---- deadline alerts: of the serialized DAG ---- */

bool need_dag_named(struct call *c, const char *dag_id)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	int rc = store_one(c->api->db, SQL_dag_brief, &r, &err, v_text(dag_id));
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "Dag with id %s was not found", dag_id);
	else if (rc < 0)
		call_fail_err(c, &err);
	return rc == 0;
}

static bool alert_body(const json_t *alert, const json_t **ret)
{
	const json_t *var = jg(alert, "__var");
	*ret = var ? var : alert;
	return json_is_object(*ret);
}

/* a plain number of seconds, or Airflow's serialized timedelta; a dynamic one has none */
static void write_interval(struct json_writer *w, const json_t *v)
{
	const json_t *data = jg(v, "__data__");
	jw_key(w, "interval");
	if (json_is_number(v) || json_is_number(data))
		jw_double(w, json_number_value(json_is_number(v) ? v : data));
	else
		jw_null(w);
}

/* they have no row and so no id of their own: the version's, with the alert's place in the last byte */
static void write_alert(struct json_writer *w, struct uuid id, size_t at, usec_t created, const json_t *alert)
{
	char text[37];
	id.b[15] = (uint8_t)(id.b[15] ^ (at + 1));
	uuid_format(&id, text);
	jw_object(w);
	jw_kstr(w, "id", text);
	jw_kstr(w, "name", jg_str(alert, "name", NULL));
	jw_kstr(w, "reference_type", jg_str(jg(alert, "reference"), "reference_type", ""));
	write_interval(w, jg(alert, "interval"));
	jw_ktime(w, "created_at", created);
	jw_end_object(w);
}

struct placed { const json_t *alert; const char *name; size_t at; };

static int by_name(const void *a, const void *b, bool down)
{
	const struct placed *x = a, *y = b;
	if (!x->name != !y->name)
		return x->name ? -1 : 1;        /* without a name: last, both ways */
	int c = x->name ? strcmp(x->name, y->name) : 0;
	return c ? (down ? -c : c) : x->at < y->at ? -1 : 1;
}

static int by_name_up(const void *a, const void *b) { return by_name(a, b, false); }
static int by_name_down(const void *a, const void *b) { return by_name(a, b, true); }
static int by_place_down(const void *a, const void *b) { return ((const struct placed *)a)->at > ((const struct placed *)b)->at ? -1 : 1; }

/* All alerts of a version are as old as it is, and their ids grow with their place in the DAG. */
static struct placed *alerts_in_order(const json_t *list, const char *by)
{
	size_t n = json_array_size(list);
	struct placed *order = xcalloc(n + 1, sizeof *order);
	for (size_t i = 0; i < n; i++) {
		order[i].at = i;
		if (alert_body(json_array_get(list, i), &order[i].alert))
			order[i].name = jg_str(order[i].alert, "name", NULL);
		else
			order[i].alert = NULL;
	}
	if (streq(by, "name") || streq(by, "-name"))
		qsort(order, n, sizeof *order, *by == '-' ? by_name_down : by_name_up);
	else if (streq(by, "-id"))
		qsort(order, n, sizeof *order, by_place_down);
	return order;
}

static int write_alerts(struct call *c, const char *dag_id, int64_t number, const char *by, const struct page *p, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *list = NULL;
	struct val v[] = { v_text(dag_id), v_int(number) };
	struct uuid id;
	int rc = store_query_text(c->api->db, number ? "SELECT id, created, json_extract(data, '$.dag.deadline') FROM dag_version WHERE dag_id = ? AND version_number = ?"
		: "SELECT id, created, json_extract(data, '$.dag.deadline') FROM dag_version WHERE dag_id = ? ORDER BY version_number DESC LIMIT 1",
		v, number ? 2 : 1, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	if (!rc)
		return number ? err_set(err, E_NOT_FOUND, "Dag with id %s and version number %lld was not found", dag_id, (long long)number)
		              : err_set(err, E_NOT_FOUND, "Dag with id %s was not found", dag_id);
	row_uuid(&r, 0, &id);
	if (row_text(&r, 2) && (rc = json_read(row_text(&r, 2), row_size(&r, 2), &list, err)) < 0)
		return rc;
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "deadline_alerts");
	jw_array(w);
	CLEANUP(freep) struct placed *order = alerts_in_order(list, by);
	for (size_t i = (size_t)p->offset; i < json_array_size(list) && i < (size_t)(p->offset + p->limit); i++)
		if (order[i].alert)
			write_alert(w, id, order[i].at, row_time(&r, 1), order[i].alert);
	jw_end_array(w);
	jw_kint(w, "total_entries", (int64_t)json_array_size(list));
	jw_end_object(w);
	return 0;
}

static const struct order alert_orders[] = { { "id", "id" }, { "created_at", "created_at" }, { "name", "name" }, { NULL, NULL } };
static const struct list_spec alerts_spec = { .orders = alert_orders };

void get_dag_deadline_alerts(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct page p;
	int64_t number = 0;
	CLEANUP(buf_clear) struct buf order = {0};
	const char *by[12];
	list_page(c, &p);
	query_int(c, "version_number", INT64_MIN, &number);
	size_t n = query_list(c, "order_by", by, ARRAY_LEN(by));
	if (call_problems(c) || !list_order(c, &alerts_spec, by, n, &order))
		return;
	if (write_alerts(c, call_param(c, "dag_id"), number, n ? by[0] : "created_at", &p, &err) < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}
