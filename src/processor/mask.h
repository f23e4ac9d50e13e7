/* mask: values under names that sound secret become "***", as Airflow's secrets masker decides by name. */
#pragma once
#include "base/json.h"
/* [core] hide_sensitive_var_conn_fields turned off, and sensitive_var_conn_names; zeroed: masking by the usual words */
struct mask { bool off; char *const *words; size_t n_words; };
bool mask_name(const struct mask *m, const char *name);       /* does the name sound secret? */
json_t *mask_json(const struct mask *m, const json_t *v, const char *name);   /* a masked copy; name: what v is called, or NULL */
