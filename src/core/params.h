/* core/params.h: does a conf give a DAG's params values that their schemas allow? Pure. Checked are what DAG authors write by
 * hand: a value at all, type, enum, const, minimum, maximum and their exclusive kin, minLength, maxLength, minItems, maxItems. What else a
 * JSON schema can say is left to the task. */
#pragma once
#include "base/json.h"

/* params: a serialized DAG's "params"; conf may be NULL. E_BAD_REQUEST in Airflow's words: "Invalid input for param p: ..." */
int params_check(const json_t *params, const json_t *conf, struct err *err);
