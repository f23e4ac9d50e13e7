/* xcoms: what tasks left for each other. */
#include "api/handlers.h"

#define HEAD \
	TEXT("key", "x.key"), TIME("timestamp", "x.timestamp"), TIME("logical_date", "r.logical_date"), INT("map_index", "x.map_index"), \
	TEXT("task_id", "x.task_id"), TEXT("dag_id", "r.dag_id"), TEXT("run_id", "r.run_id"), \
	TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"), TEXT("task_display_name", "COALESCE(k.display_name, x.task_id)"), \
	TIME("run_after", "r.run_after")
static const struct field xcom_fields[] = { HEAD, END };
/* stringify=true: a string's text, Python's words for truth, the JSON of what has parts; else the stored JSON as itself */
static const struct field xcom_raw_fields[] = { HEAD, TEXT("value", "CASE json_type(x.value) WHEN 'text' THEN json_extract(x.value, '$') "
	"WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' WHEN 'null' THEN NULL ELSE x.value END"), END };
static const struct field xcom_native_fields[] = { HEAD, JSON("value", "x.value"), END };

static const struct filter xcom_filters[] = {
	{ "xcom_key", FILTER_TEXT, "x.key" }, { "map_index", FILTER_INT, "x.map_index" }, { "map_index_filter", FILTER_INT, "x.map_index" },
	{ "xcom_key", FILTER_SEARCH, "x.key" }, { "dag_display_name", FILTER_SEARCH, "COALESCE(d.display_name, d.dag_id)" },
	{ "run_id", FILTER_SEARCH, "r.run_id" }, { "task_id", FILTER_SEARCH, "x.task_id" }, { "logical_date", FILTER_TIMES, "r.logical_date" },
	{ "run_after", FILTER_TIMES, "r.run_after" }, { NULL, FILTER_END }
};
static const struct order xcom_orders[] = {
	{ "key", "x.key" }, { "dag_id", "r.dag_id" }, { "run_id", "r.run_id" }, { "task_id", "x.task_id" }, { "map_index", "x.map_index" },
	{ "timestamp", "x.timestamp" }, { "run_after", "r.run_after" }, { NULL, NULL }
};
static const struct path_filter xcom_paths[] = { { "dag_id", "r.dag_id" }, { "dag_run_id", "r.run_id" }, { "task_id", "x.task_id" }, { NULL, NULL } };

#define XCOM_FROM "xcom x JOIN dag_run r ON r.id = x.dag_run JOIN dag d ON d.dag_id = r.dag_id " \
	"LEFT JOIN dag_version_task k ON k.version = r.version AND k.task_id = x.task_id"

const struct list_spec xcoms_list = { .key = "xcom_entries", .fields = xcom_fields, .from = XCOM_FROM, .dag = "r.dag_id", .filters = xcom_filters, .orders = xcom_orders,
	.order = "dag_id,task_id,run_id,map_index,key", .paths = xcom_paths, .missing = "XCom entry with key: `{xcom_key}` not found" };
static const struct list_spec xcom_raw = { .fields = xcom_raw_fields, .from = XCOM_FROM, .missing = "XCom entry with key: `{xcom_key}` not found" };
static const struct list_spec xcom_native = { .fields = xcom_native_fields, .from = XCOM_FROM, .missing = "XCom entry with key: `{xcom_key}` not found" };

void get_xcom_entry(struct call *c)
{
	int64_t map_index = -1;
	bool deserialize = false, stringify = false;
	query_int(c, "map_index", -1, &map_index);
	query_bool(c, "deserialize", &deserialize);
	query_bool(c, "stringify", &stringify);
	if (call_problems(c))
		return;
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")),
	                   v_text(call_param(c, "xcom_key")), v_int(map_index) };
	api_one_reply(c, stringify ? &xcom_raw : &xcom_native,
	              "r.dag_id = ? AND r.run_id = ? AND x.task_id = ? AND x.key = ? AND x.map_index = ?", v, 5, 200);
}
