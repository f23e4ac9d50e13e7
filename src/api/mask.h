/* mask: values under names that sound secret become "***", as Airflow's secrets masker decides by name. */
#pragma once
#include "base/json.h"
bool mask_name(const char *name);                             /* does the name sound secret? */
json_t *mask_json(const json_t *v, const char *name);         /* a masked copy; name: what v is called, or NULL */
