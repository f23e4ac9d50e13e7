/* recorded: cases recorded from Airflow or Python, found in the directory that the environment's TEST_DATA names. */
#pragma once
#include "base/json.h"
#include <setjmp.h>
#include <cmocka.h>

static inline json_t *recorded(const char *file)
{
	const char *dir = getenv("TEST_DATA");
	CLEANUP(freep) char *path = xasprintf("%s/%s", dir ? dir : "tests/unit/data", file);
	json_error_t why;
	json_t *v = json_load_file(path, 0, &why);
	if (!v)
		fail_msg("%s line %d: %s (set TEST_DATA to tests/unit/data)", path, why.line, why.text);
	return v;
}

#define recorded_each(v, i, item) for (size_t i = 0; i < json_array_size(v); i++) for (json_t *item = json_array_get(v, i); item; item = NULL)
