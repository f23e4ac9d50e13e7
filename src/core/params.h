/* core/params.h: does a conf give a DAG's params values that their schemas allow? Pure. Checked are what DAG authors write by
 * hand: a value at all, type, enum, const, minimum, maximum and their exclusive kin, minLength, maxLength, minItems, maxItems. What else a
 * JSON schema can say only Python's jsonschema answers: the API asks it before a run is made, the task when it starts. */
#pragma once
#include "base/json.h"

/* params: a serialized DAG's "params"; conf may be NULL. E_BAD_REQUEST in Airflow's words: "Invalid input for param p: ..." */
int params_check(const json_t *params, const json_t *conf, struct err *err);
/* does a schema in it say something that params_check does not look at? */
bool params_beyond(const json_t *params);
