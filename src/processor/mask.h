/* mask: values under names that sound secret become "***", as Airflow's secrets masker decides by name. */
#pragma once
#include "base/json.h"
#include "config/config.h"
/* [core] hide_sensitive_var_conn_fields turned off, and sensitive_var_conn_names; zeroed: masking by the usual words */
struct mask { bool off; char *const *words; size_t n_words; size_t min_length; };   /* min_length: characters */
/* By the configuration. *ret_words belongs to the caller, outlives *ret and is cleared with config_list_clear. */
void mask_configure(const struct config *cfg, struct config_list *ret_words, struct mask *ret);
bool mask_applies(const struct mask *m, const char *secret);  /* is this value looked for in logs? Not what is too short, nor the word "airflow" */
bool mask_name(const struct mask *m, const char *name);       /* does the name sound secret? */
json_t *mask_json(const struct mask *m, const json_t *v, const char *name);   /* a masked copy; name: what v is called, or NULL */
