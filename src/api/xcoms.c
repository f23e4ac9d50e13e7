/* xcoms: what tasks left for each other. */
#include "api/ask.h"
#include "api/handlers.h"
#include "api/pytext.h"
#include "api/xcom_text.h"
#include "loop/log.h"

#define HEAD \
	TEXT("key", "x.key"), TIME("timestamp", "x.timestamp"), TIME("logical_date", "r.logical_date"), INT("map_index", "x.map_index"), \
	TEXT("task_id", "x.task_id"), TEXT("dag_id", "r.dag_id"), TEXT("run_id", "r.run_id"), \
	TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"), TEXT("task_display_name", "COALESCE(k.display_name, x.task_id)"), \
	TIME("run_after", "r.run_after")
static const struct field xcom_fields[] = { HEAD, END };
static bool flag_of(struct call *c, const char *name)
{
	bool set = false;
	query_bool(c, name, &set);
	return set;
}

/* A text that holds JSON with one of Airflow's own classes in it: only Python can bring those back. What was pushed as such an
 * object is none: Airflow's API, too, shows it as it is stored. */
static bool takes_python(const json_t *v)
{
	CLEANUP(json_decrefp) json_t *inner = json_is_string(v) ? json_loads(json_string_value(v), JSON_DECODE_ANY, NULL) : NULL;
	CLEANUP(json_decrefp) json_t *shown = inner ? xcom_stringify(inner) : NULL;
	return inner && !shown;
}

/* deserialize: texts that are JSON are read, objects become texts; stringify: str() of what is there then.
 * c->state: what Python made of it, {value, text}; NULL: it was not asked */
static void write_shown(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(json_decrefp) json_t *v = NULL;
	CLEANUP(buf_clear) struct buf b = {0};
	if (c->state) {
		jw_json(w, jg(c->state, flag_of(c, "stringify") ? "text" : "value"));
		return;
	}
	if (!row_text(r, col) || json_read(row_text(r, col), row_size(r, col), &v, NULL) < 0) {
		jw_null(w);
		return;
	}
	if (flag_of(c, "deserialize")) {
		json_t *inner = json_is_string(v) ? json_loads(json_string_value(v), JSON_DECODE_ANY, NULL) : NULL;
		json_t *shown = xcom_stringify(inner ? inner : v);
		json_decref(inner);
		if (shown) {
			json_decref(v);
			v = shown;
		}
	}
	if (!flag_of(c, "stringify")) {
		jw_json(w, v);
	} else if (json_is_null(v)) {
		jw_null(w);
	} else {
		buf_adds(&b, "");
		python_str(v, &b);
		jw_strn(w, b.data, b.len);
	}
}

static const struct field xcom_shown_fields[] = { HEAD, COMPUTED("value", 1, "x.value", write_shown), END };
static const struct field xcom_native_fields[] = { HEAD, JSON("value", "x.value"), END };

static const struct filter xcom_filters[] = {
	{ "xcom_key", FILTER_TEXT, "x.key" }, { "map_index", FILTER_INT, "x.map_index", .bounded = true, .least = -1 }, { "map_index_filter", FILTER_INT, "x.map_index" },
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
static const struct list_spec xcom_shown = { .fields = xcom_shown_fields, .from = XCOM_FROM, .missing = "XCom entry with key: `{xcom_key}` not found" };
#define ONE_XCOM "r.dag_id = ? AND r.run_id = ? AND x.task_id = ? AND x.key = ? AND x.map_index = ?"
const struct list_spec xcom_native = { .fields = xcom_native_fields, .from = XCOM_FROM, .one = ONE_XCOM, .missing = "XCom entry with key: `{xcom_key}` not found" };

struct xcom_id { struct val v[5]; };

static struct xcom_id xcom_id(struct call *c)
{
	int64_t map_index = -1;
	query_int(c, "map_index", -1, &map_index);
	return (struct xcom_id){ { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")),
	                           v_text(call_param(c, "xcom_key")), v_int(map_index) } };
}

/* who has not answered (a class that is not there, or not allowed): the value is shown as it is stored */
static void reply_from_python(struct call *c, const json_t *result, const char *error)
{
	struct xcom_id id = xcom_id(c);
	if (error)
		log_warning("XCom %s of %s.%s cannot be deserialized: %s", call_param(c, "xcom_key"), call_param(c, "dag_id"), call_param(c, "task_id"), error);
	c->state = (void *)(uintptr_t)result;
	api_one_reply(c, &xcom_shown, ONE_XCOM, id.v, ARRAY_LEN(id.v), 200);
}

/* true: the question is on its way */
static bool ask_about_xcom(struct call *c, struct xcom_id *id)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *v = NULL;
	int rc = store_query_text(c->api->db, "SELECT x.value FROM xcom x JOIN dag_run r ON r.id = x.dag_run WHERE " ONE_XCOM, id->v, ARRAY_LEN(id->v), &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0)
		api_note(c->api, "reading an XCom", &err);
	if (rc <= 0 || !row_text(&r, 0) || json_read(row_text(&r, 0), row_size(&r, 0), &v, NULL) < 0 || !takes_python(v))
		return false;
	rows_close(&r);
	call_ask(c, json_pack("{s:s,s:O}", "what", "deserialize", "text", v), false, reply_from_python);
	return true;
}

void get_xcom_entry(struct call *c)
{
	int64_t map_index = -1;
	bool deserialize = false, stringify = false;
	query_int(c, "map_index", -1, &map_index);
	query_bool(c, "deserialize", &deserialize);
	query_bool(c, "stringify", &stringify);
	if (call_problems(c))
		return;
	struct xcom_id id = xcom_id(c);
	if (!deserialize || !ask_about_xcom(c, &id))
		api_one_reply(c, stringify || deserialize ? &xcom_shown : &xcom_native, ONE_XCOM, id.v, ARRAY_LEN(id.v), 200);
}
