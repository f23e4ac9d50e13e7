/* pickle: Python's pickled plain values (protocols 2 to 5) as JSON. Nothing is executed: anything but None, bool, int, float, str,
 * list, tuple and dict with text keys is refused, by name (E_UNSUPPORTED). Airflow 2 keeps `conf` of runs so, and XComs where
 * enable_xcom_pickling was set. */
#pragma once
#include "base/json.h"
/* tuples: as the SDK's serde writes them; else as lists. ret: a new reference */
int pickle_read(const void *p, size_t n, bool tuples, json_t **ret, struct err *err);
