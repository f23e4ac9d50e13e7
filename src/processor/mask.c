#include "processor/mask.h"

static const char *const words[] = { "access_token", "api_key", "apikey", "authorization", "passphrase", "passwd", "password",
	"private_key", "proxy", "proxies", "secret", "token", "keyfile_dict", "service_account" };

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

bool mask_name(const struct mask *m, const char *name)
{
	if (!name || m->off)
		return false;
	for (size_t i = 0; i < m->n_words; i++)
		if (*m->words[i] && strcasestr(name, m->words[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

static json_t *mask_children(const struct mask *m, const json_t *v)
{
	const char *key;
	json_t *one, *copy;
	size_t i;
	if (json_is_array(v)) {
		copy = json_array();
		json_array_foreach(v, i, one)
			json_array_append_new(copy, mask_json(m, one, NULL));
		return copy;
	}
	copy = json_object();
	void *it = json_object_iter((json_t *)(uintptr_t)v);
	for (; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
		key = json_object_iter_key(it);
		json_object_set_new(copy, key, mask_json(m, json_object_iter_value(it), key));
	}
	return copy;
}

/* a secret name hides everything below it */
static json_t *mask_all(const json_t *v)
{
	if (json_is_object(v)) {
		json_t *copy = json_object();
		void *it = json_object_iter((json_t *)(uintptr_t)v);
		for (; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it))
			json_object_set_new(copy, json_object_iter_key(it), mask_all(json_object_iter_value(it)));
		return copy;
	}
	if (json_is_array(v)) {
		json_t *copy = json_array();
		for (size_t i = 0; i < json_array_size(v); i++)
			json_array_append_new(copy, mask_all(json_array_get(v, i)));
		return copy;
	}
	return json_is_null(v) || json_is_boolean(v) ? json_incref((json_t *)(uintptr_t)v) : json_string("***");
}

json_t *mask_json(const struct mask *m, const json_t *v, const char *name)
{
	if (mask_name(m, name))
		return mask_all(v);
	if (json_is_object(v) || json_is_array(v))
		return mask_children(m, v);
	return json_deep_copy(v);
}
