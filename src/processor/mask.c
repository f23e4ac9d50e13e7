#include "processor/mask.h"

/* DEFAULT_SENSITIVE_FIELDS of Airflow 3.3.2 */
static const char *const words[] = { "access_key", "access_token", "api_key", "apikey", "auth_header", "authorization", "bearer", "connection_string",
	"dsn", "passphrase", "passwd", "password", "private_key", "proxy", "proxies", "secret", "service_account", "service_key", "token",
	"keyfile_dict", "webhook_url" };
#define DEEPEST 5       /* below that a secret's structure is hidden, too */

void mask_configure(const struct config *cfg, struct config_list *ret_words, struct mask *ret)
{
	*ret_words = config_list(cfg, OPT_core_sensitive_var_conn_names);
	*ret = (struct mask){ !config_bool(cfg, OPT_core_hide_sensitive_var_conn_fields), ret_words->at, ret_words->n,
		(size_t)config_int(cfg, OPT_logging_min_length_masked_secret) };
}

bool mask_applies(const struct mask *m, const char *secret)
{
	size_t n = 0;
	for (const char *p = secret; *p; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	return n && n >= m->min_length && !str_case_eq(secret, "airflow");
}

static bool word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* small letters, and one '_' for whatever stands between words: "X-Api-Key" is "x_api_key"; malloc'd */
static char *plain_name(const char *name)
{
	char *text = xstrdup(name), *to = text, *from = text;
	size_t n = strlen(text);
	bool between = false;
	while (n && strchr(" \t\r\n\f\v", text[n - 1]))
		text[--n] = '\0';
	from += strspn(from, " \t\r\n\f\v");
	for (; *from; from++) {
		char c = *from >= 'A' && *from <= 'Z' ? (char)(*from | 0x20) : *from;
		if (word_byte(c)) {
			*to++ = c;
			between = false;
		} else if (!between) {
			*to++ = '_';
			between = true;
		}
	}
	*to = '\0';
	return text;
}

static bool has_lower(const char *text, const char *word)
{
	CLEANUP(freep) char *small = xstrdup(word);
	for (char *p = small; *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
	return strstr(text, small) != NULL;
}

bool mask_name(const struct mask *m, const char *name)
{
	if (!name || m->off)
		return false;
	CLEANUP(freep) char *text = plain_name(name);
	for (size_t i = 0; i < m->n_words; i++)
		if (*m->words[i] && has_lower(text, m->words[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

/* A secret name hides every text below it. Numbers stay, as in Airflow. */
static json_t *mask_all(const json_t *v, int depth)
{
	if (depth > DEEPEST || json_is_string(v))
		return json_string("***");
	if (json_is_object(v)) {
		json_t *copy = json_object();
		void *it = json_object_iter((json_t *)(uintptr_t)v);
		for (; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it))
			json_object_set_new(copy, json_object_iter_key(it), mask_all(json_object_iter_value(it), depth + 1));
		return copy;
	}
	if (json_is_array(v)) {
		json_t *copy = json_array();
		for (size_t i = 0; i < json_array_size(v); i++)
			json_array_append_new(copy, mask_all(json_array_get(v, i), depth + 1));
		return copy;
	}
	return json_deep_copy(v);
}

static json_t *mask_at(const struct mask *m, const json_t *v, const char *name, int depth)
{
	json_t *copy, *one;
	size_t i;
	if (mask_name(m, name))
		return mask_all(v, depth);
	if (json_is_array(v)) {
		copy = json_array();
		json_array_foreach(v, i, one)
			json_array_append_new(copy, mask_at(m, one, NULL, depth + 1));
		return copy;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	copy = json_object();
	void *it = json_object_iter((json_t *)(uintptr_t)v);
	for (; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it))
		json_object_set_new(copy, json_object_iter_key(it), mask_at(m, json_object_iter_value(it), json_object_iter_key(it), depth + 1));
	return copy;
}

json_t *mask_json(const struct mask *m, const json_t *v, const char *name)
{
	return mask_at(m, v, name, 0);
}
