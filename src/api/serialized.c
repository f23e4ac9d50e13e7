#include "api/serialized.h"
#include "base/time.h"

static bool encoded(const json_t *v, const char **ret_type, json_t **ret_var)
{
	const char *type = json_string_value(json_object_get(v, "__type"));
	json_t *var = json_object_get(v, "__var");
	if (!type || !var)
		return false;
	*ret_type = type;
	*ret_var = var;
	return true;
}

void iso_duration(usec_t span, struct buf *out)
{
	int64_t s = (span < 0 ? -span : span) / USEC_SEC, us = (span < 0 ? -span : span) % USEC_SEC;
	int64_t days = s / 86400, rest = s % 86400;
	buf_adds(out, span < 0 ? "-P" : "P");
	if (days / 365)
		buf_printf(out, "%lldY", (long long)(days / 365));
	if (days % 365)
		buf_printf(out, "%lldD", (long long)(days % 365));
	if (rest || us || !days)
		buf_addc(out, 'T');
	if (rest / 3600)
		buf_printf(out, "%lldH", (long long)(rest / 3600));
	if (rest % 3600 / 60)
		buf_printf(out, "%lldM", (long long)(rest % 3600 / 60));
	if (us) {
		char fraction[8];
		snprintf(fraction, sizeof fraction, "%06lld", (long long)us);
		size_t n = 6;
		while (fraction[n - 1] == '0')
			n--;
		buf_printf(out, "%lld.%.*sS", (long long)(rest % 60), (int)n, fraction);
	} else if (rest % 60 || !s) {
		buf_printf(out, "%lldS", (long long)(rest % 60));
	}
}

static bool span_of(const json_t *v, usec_t *ret)
{
	const char *type;
	json_t *var;
	if (encoded(v, &type, &var))
		v = var;
	if (!json_is_number(v))
		return false;
	double seconds = json_number_value(v);
	*ret = usec_from_seconds(seconds + (seconds < 0 ? -0.5e-6 : 0.5e-6));
	return true;
}

static json_t *plain_time(const json_t *var)
{
	usec_t t;
	char text[40];
	if (!span_of(var, &t))
		return json_deep_copy(var);
	time_format(t, TIME_ISO_Z, text);
	return json_string(text);
}

static json_t *plain_encoded(const char *type, const json_t *var)
{
	usec_t span;
	if (streq(type, "datetime"))
		return plain_time(var);
	if (streq(type, "timedelta") && span_of(var, &span)) {
		CLEANUP(buf_clear) struct buf b = {0};
		iso_duration(span, &b);
		return json_string(b.data);
	}
	return serialized_plain(var);
}

json_t *serialized_plain(const json_t *v)
{
	const char *type;
	json_t *var;
	if (json_is_array(v)) {
		json_t *list = json_array();
		for (size_t i = 0; i < json_array_size(v); i++)
			json_array_append_new(list, serialized_plain(json_array_get(v, i)));
		return list;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	if (encoded(v, &type, &var))
		return plain_encoded(type, var);
	json_t *o = json_object();
	for (void *it = json_object_iter((json_t *)(uintptr_t)v); it; it = json_object_iter_next((json_t *)(uintptr_t)v, it))
		json_object_set_new(o, json_object_iter_key(it), serialized_plain(json_object_iter_value(it)));
	return o;
}

const json_t *serialized_task(const json_t *element)
{
	json_t *var = json_object_get(element, "__var");
	return var ? var : element;
}

void serialized_time(struct json_writer *w, const json_t *v)
{
	usec_t t;
	if (span_of(v, &t))
		jw_time(w, t);
	else
		jw_null(w);
}

void serialized_duration(struct json_writer *w, const json_t *v)
{
	usec_t span;
	CLEANUP(buf_clear) struct buf b = {0};
	if (!span_of(v, &span)) {
		jw_null(w);
		return;
	}
	iso_duration(span, &b);
	jw_str(w, b.data);
}

void serialized_timedelta(struct json_writer *w, const json_t *v)
{
	usec_t span;
	if (!span_of(v, &span)) {
		jw_null(w);
		return;
	}
	int64_t s = span / USEC_SEC;
	jw_object(w);
	jw_kstr(w, "__type", "TimeDelta");
	jw_kint(w, "days", s / 86400);
	jw_kint(w, "seconds", s % 86400);
	jw_kint(w, "microseconds", span % USEC_SEC);
	jw_end_object(w);
}

static void write_param(struct json_writer *w, const json_t *p)
{
	const char *type;
	json_t *var;
	if (encoded(p, &type, &var))
		p = var;
	bool full = json_is_object(p) && json_object_get(p, "__class");
	CLEANUP(json_decrefp) json_t *value = serialized_plain(full ? json_object_get(p, "default") : p);
	CLEANUP(json_decrefp) json_t *schema = full ? serialized_plain(json_object_get(p, "schema")) : json_object();
	jw_object(w);
	jw_key(w, "value");
	if (value)
		jw_json(w, value);
	else
		jw_null(w);
	jw_key(w, "schema");
	if (schema)
		jw_json(w, schema);
	else
		jw_raw(w, "{}", 2);
	jw_kstr(w, "description", full ? jg_str(p, "description", NULL) : NULL);
	jw_kstr(w, "source", full ? jg_str(p, "source", NULL) : NULL);
	jw_end_object(w);
}

void serialized_params(struct json_writer *w, const json_t *params)
{
	const char *type;
	json_t *var;
	if (encoded(params, &type, &var))
		params = var;
	jw_object(w);
	for (size_t i = 0; i < json_array_size(params); i++) {
		const json_t *pair = json_array_get(params, i);
		const char *name = json_string_value(json_array_get(pair, 0));
		if (!name)
			continue;
		jw_key(w, name);
		write_param(w, json_array_get(pair, 1));
	}
	for (void *it = json_object_iter((json_t *)(uintptr_t)params); it; it = json_object_iter_next((json_t *)(uintptr_t)params, it)) {
		jw_key(w, json_object_iter_key(it));
		write_param(w, json_object_iter_value(it));
	}
	jw_end_object(w);
}

/* ---- doc_md ---- */

static size_t indent_of(const char *line)
{
	return strspn(line, " ");
}

static size_t common_indent(const char *s)
{
	size_t least = SIZE_MAX;
	const char *line = strchr(s, '\n');
	while (line) {
		size_t n = indent_of(++line);
		if (line[n] && line[n] != '\n' && n < least)
			least = n;
		line = strchr(line, '\n');
	}
	return least == SIZE_MAX ? 0 : least;
}

char *clean_doc(const char *s)
{
	struct buf b = {0};
	if (!s)
		return NULL;
	size_t cut = common_indent(s);
	s += indent_of(s);
	for (bool first = true; *s || first; first = false) {
		size_t n = strcspn(s, "\n"), skip = first ? 0 : indent_of(s) < cut ? indent_of(s) : cut;
		buf_add(&b, s + skip, n - skip);
		s += n;
		if (!*s)
			break;
		buf_addc(&b, '\n');
		s++;
	}
	while (b.len && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	size_t lead = b.data ? strspn(b.data, "\n") : 0;
	buf_consume(&b, lead);
	return buf_steal(&b);
}
