/* xcom_text: an XCom's stored JSON as people read it. Pure. */
#pragma once
#include "base/json.h"

/* Serialised objects become texts ("pkg.Class@version=1(a=2)"), all else stays; a new reference. NULL: one of Airflow's own
 * classes is in it, which only Python can bring back. */
json_t *xcom_stringify(const json_t *v);
