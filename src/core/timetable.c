/* timetable: reads the serialized form and names it as Airflow's user interface does. */
#include "core/timetable_impl.h"

static int compile(struct arena *a, const json_t *serialized, const char *dag_timezone, int depth, struct timetable **ret, struct err *err);

static int bad(struct err *err, const struct timetable *t, const char *field, const char *want)
{
	return err_set(err, E_INVALID, "timetable %s: '%s' must be %s", t->type, field, want);
}

/* a name, or seconds east of UTC */
static int read_timezone(const struct timetable *t, const json_t *v, const char *dflt, const struct tz **ret, struct err *err)
{
	char fixed[16];
	const char *name = json_is_string(v) ? json_string_value(v) : dflt ? dflt : "UTC";
	if (json_is_integer(v)) {
		int64_t offset = json_integer_value(v), abs_offset = offset < 0 ? -offset : offset;
		snprintf(fixed, sizeof fixed, "%c%02d:%02d", offset < 0 ? '-' : '+', (int)(abs_offset / 3600 % 100), (int)(abs_offset / 60 % 60));
		name = fixed;
	}
	int r = tz_load(name, ret, err);
	return r < 0 ? err_context(err, "timetable %s", t->type) : 0;
}

static int read_cron(struct arena *a, struct timetable *t, const json_t *text, const struct tz *tz, struct cron_rule *ret, struct err *err)
{
	if (!json_is_string(text))
		return bad(err, t, "expression", "a cron expression");
	ret->text = arena_strdup(a, cron_preset(json_string_value(text)));
	ret->tz = tz;
	int r = cron_parse(ret->text, &ret->cron, err);
	return r < 0 ? err_context(err, "timetable %s: '%s'", t->type, ret->text) : 0;
}

static int read_crons(struct arena *a, struct timetable *t, const json_t *var, const char *dag_timezone, struct err *err)
{
	const struct tz *tz;
	int r = read_timezone(t, jg(var, "timezone"), dag_timezone, &tz, err);
	if (r < 0)
		return r;
	const json_t *list = jg(var, "expressions");
	t->n_crons = list ? (uint32_t)json_array_size(list) : 1;
	if (!t->n_crons)
		return bad(err, t, "expressions", "a list of at least one cron expression");
	t->crons = arena_alloc(a, t->n_crons * sizeof *t->crons);
	for (uint32_t i = 0; i < t->n_crons && r == 0; i++)
		r = read_cron(a, t, list ? json_array_get(list, i) : jg(var, "expression"), tz, &t->crons[i], err);
	return r;
}

static void name_crons(struct arena *a, struct timetable *t)
{
	struct buf summary = {0}, description = {0};
	for (uint32_t i = 0; i < t->n_crons; i++) {
		buf_printf(&summary, "%s%s", i ? ", " : "", t->crons[i].text);
		buf_adds(&description, i ? ", " : "");
		cron_describe(t->crons[i].text, &description);
	}
	t->summary = arena_strdup(a, summary.data);
	t->description = arena_strdup(a, description.data);
	buf_clear(&summary);
	buf_clear(&description);
}

static void read_run_immediately(struct timetable *t, const json_t *v)
{
	if (json_is_true(v))
		t->immediately = RUN_AT_ONCE;
	if (json_is_number(v)) {
		t->immediately = RUN_WITHIN;
		t->immediately_within = usec_from_seconds(json_number_value(v));
	}
}

static int compile_cron(struct arena *a, struct timetable *t, const json_t *var, const char *dag_timezone, struct err *err)
{
	int r = read_crons(a, t, var, dag_timezone, err);
	if (r == 0 && jg(var, "interval"))
		r = span_read(jg(var, "interval"), "interval", &t->interval, err);
	if (r < 0)
		return r;
	read_run_immediately(t, jg(var, "run_immediately"));
	name_crons(a, t);
	return 0;
}

static int compile_cron_partition(struct arena *a, struct timetable *t, const json_t *var, const char *dag_timezone, struct err *err)
{
	struct civil sample = { .year = 2000, .month = 1, .day = 1 };
	struct buf key = {0};
	int64_t offset = jg_int(var, "run_offset", 0);
	t->key_format = jg_str(var, "key_format", "%Y-%m-%dT%H:%M:%S");
	t->run_offset = offset > 100000 ? 100000 : offset < -100000 ? -100000 : (int)offset;
	int r = compile_cron(a, t, var, dag_timezone, err);
	if (r == 0 && time_strftime(t->key_format, &sample, &key) < 0)
		r = bad(err, t, "key_format", "made of the format codes Y y m d H I p M S f j b B a A w u U W V G F T %");
	buf_clear(&key);
	return r;
}

static int compile_delta(struct arena *a, struct timetable *t, const json_t *var, struct err *err)
{
	int r = span_read(jg(var, "delta"), "delta", &t->delta, err);
	if (r == 0 && jg(var, "interval"))
		r = span_read(jg(var, "interval"), "interval", &t->interval, err);
	if (r < 0)
		return r;
	if (span_add(&t->delta, 0, 1) <= 0)
		return bad(err, t, "delta", "longer than nothing");
	t->summary = span_text(a, &t->delta);
	return 0;
}

static int compile_events(struct arena *a, struct timetable *t, const json_t *var, struct err *err)
{
	const json_t *dates = jg(var, "event_dates");
	t->n_events = (uint32_t)json_array_size(dates);
	t->events = arena_alloc(a, t->n_events * sizeof *t->events);
	for (uint32_t i = 0; i < t->n_events; i++) {
		const char *text = json_string_value(json_array_get(dates, i));
		if (!text || time_parse(text, &t->events[i]) < 0)
			return bad(err, t, "event_dates", "a list of ISO 8601 times");
	}
	t->restrict_to_events = jg_bool(var, "restrict_to_events", false);
	t->description = jg_str(var, "description", "");
	t->summary = jg_str(var, "_summary", t->description);
	return 0;
}

static int compile_asset_or_time(struct arena *a, struct timetable *t, const json_t *var, const char *tz, int depth, struct err *err)
{
	struct timetable *inner;
	int r = compile(a, jg(var, "timetable"), tz, depth + 1, &inner, err);
	if (r < 0)
		return r;
	t->inner = inner;
	t->asset_condition = jg(var, "asset_condition");
	t->summary = arena_printf(a, "Asset or %s", inner->summary);
	t->description = arena_printf(a, "Triggered by assets or %s", inner->description);
	return 0;
}

static const struct { const char *name; enum timetable_kind kind; const char *summary, *description; } kinds[] = {
	{ "NullTimetable", TT_NULL, "None", "Never, external triggers only" },
	{ "PartitionedAtRuntime", TT_NULL, "PartitionedAtRuntime", "Never, partition key(s) set at runtime" },
	{ "OnceTimetable", TT_ONCE, "@once", "Once, as soon as possible" },
	{ "ContinuousTimetable", TT_CONTINUOUS, "@continuous", "As frequently as possible, but only one run at a time." },
	{ "CronTriggerTimetable", TT_CRON_TRIGGER, "", "" },
	{ "CronDataIntervalTimetable", TT_CRON_INTERVAL, "", "" },
	{ "MultipleCronTriggerTimetable", TT_MULTIPLE_CRON, "", "" },
	{ "DeltaTriggerTimetable", TT_DELTA_TRIGGER, "", "" },
	{ "DeltaDataIntervalTimetable", TT_DELTA_INTERVAL, "", "" },
	{ "EventsTimetable", TT_EVENTS, "", "" },
	{ "AssetTriggeredTimetable", TT_ASSET, "Asset", "Triggered by assets" },
	{ "AssetOrTimeSchedule", TT_ASSET_OR_TIME, "", "" },
	{ "PartitionedAssetTimetable", TT_PARTITIONED_ASSET, "Partitioned Asset", "Triggered by assets" },   /* mappers are Python's */
	{ "CronPartitionTimetable", TT_CRON_PARTITION, "", "" },
};

static void find_kind(struct timetable *t)
{
	const char *name = strrchr(t->type, '.');
	name = name ? name + 1 : t->type;
	t->kind = TT_CUSTOM;
	t->summary = name;
	t->description = "";
	bool built_in = str_starts(t->type, "airflow.timetables.") || str_starts(t->type, "airflow.sdk.definitions.timetables.") || !strchr(t->type, '.');
	for (size_t i = 0; built_in && i < ARRAY_LEN(kinds); i++)
		if (streq(name, kinds[i].name)) {
			t->kind = kinds[i].kind;
			t->summary = kinds[i].summary;
			t->description = kinds[i].description;
		}
}

static int compile_kind(struct arena *a, struct timetable *t, const json_t *var, const char *tz, int depth, struct err *err)
{
	switch (t->kind) {
	case TT_CRON_TRIGGER: case TT_CRON_INTERVAL: case TT_MULTIPLE_CRON:
		return compile_cron(a, t, var, tz, err);
	case TT_DELTA_TRIGGER: case TT_DELTA_INTERVAL:
		return compile_delta(a, t, var, err);
	case TT_EVENTS:
		return compile_events(a, t, var, err);
	case TT_ASSET_OR_TIME:
		return compile_asset_or_time(a, t, var, tz, depth, err);
	case TT_CRON_PARTITION:
		return compile_cron_partition(a, t, var, tz, err);
	case TT_ASSET: case TT_PARTITIONED_ASSET: case TT_CUSTOM:
		t->asset_condition = jg(var, "asset_condition");
		return 0;
	case TT_NULL:
		t->at_runtime = streq(t->summary, "PartitionedAtRuntime");
		return 0;
	case TT_ONCE: case TT_CONTINUOUS: case TT_KIND_COUNT:
		return 0;
	}
	return 0;
}

static int compile(struct arena *a, const json_t *serialized, const char *dag_timezone, int depth, struct timetable **ret, struct err *err)
{
	const char *type = jg_str(serialized, "__type", NULL);
	if (!type || depth > 4)
		return err_set(err, E_INVALID, type ? "timetable: nested more than 4 deep" : "timetable: it has no '__type'");
	struct timetable *t = arena_alloc(a, sizeof *t);
	t->type = type;
	find_kind(t);
	int r = compile_kind(a, t, jg(serialized, "__var"), dag_timezone, depth, err);
	if (r == 0)
		*ret = t;
	return r;
}

int timetable_compile(struct arena *a, const json_t *serialized, const char *dag_timezone, struct timetable **ret, struct err *err)
{
	return compile(a, serialized, dag_timezone, 0, ret, err);
}

enum timetable_kind timetable_kind(const struct timetable *t)
{
	return t->kind;
}

const char *timetable_summary(const struct timetable *t)
{
	return t->summary;
}

const char *timetable_description(const struct timetable *t)
{
	return t->description;
}

const char *timetable_type(const struct timetable *t)
{
	return t->type;
}

const json_t *timetable_asset_condition(const struct timetable *t)
{
	return t->asset_condition;
}

bool timetable_is_periodic(const struct timetable *t)
{
	switch (t->kind) {
	case TT_CRON_TRIGGER: case TT_CRON_INTERVAL: case TT_DELTA_TRIGGER: case TT_DELTA_INTERVAL:
	case TT_MULTIPLE_CRON: case TT_EVENTS: case TT_CRON_PARTITION: case TT_CUSTOM:
		return true;
	case TT_ASSET_OR_TIME:
		return timetable_is_periodic(t->inner);
	case TT_NULL: case TT_ONCE: case TT_CONTINUOUS: case TT_ASSET: case TT_PARTITIONED_ASSET: case TT_KIND_COUNT:
		return false;
	}
	return false;
}

bool timetable_is_partitioned(const struct timetable *t)
{
	return t->kind == TT_CRON_PARTITION || t->kind == TT_PARTITIONED_ASSET;
}

bool timetable_takes_key(const struct timetable *t)
{
	return timetable_is_partitioned(t) || t->at_runtime || t->kind == TT_CUSTOM;
}

int timetable_active_runs_limit(const struct timetable *t)
{
	if (t->kind == TT_ASSET_OR_TIME)
		return timetable_active_runs_limit(t->inner);
	return t->kind == TT_CONTINUOUS ? 1 : 0;
}

bool timetable_can_be_scheduled(const struct timetable *t)
{
	return t->kind == TT_ASSET_OR_TIME ? timetable_can_be_scheduled(t->inner) : t->kind != TT_NULL;
}

void run_id_format(enum run_type type, usec_t logical_date, usec_t run_after, const char random8[9], char *ret, size_t n)
{
	char when[40];
	time_format(run_after, TIME_ISO_OFFSET, when);
	bool plain = logical_date != USEC_NONE || !random8;
	snprintf(ret, n, "%s%s%s%.8s", run_type_prefix(type), when, plain ? "" : "_", plain ? "" : random8);
}
