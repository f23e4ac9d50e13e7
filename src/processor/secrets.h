/* secrets: Variables and Connections as tasks, parsing and people see them: the store's rows decrypted, then the environment
 * (AIRFLOW_VAR_*, AIRFLOW_CONN_*, and for connections a plain variable named by the connection id that holds a URI, as
 * Heroku's DATABASE_URL). Callers free what they get. */
#pragma once
#include "base/crypto.h"
#include "base/json.h"
#include "store/store.h"

struct connection { char *conn_id, *conn_type, *description, *host, *schema, *login, *password, *extra; int port; };  /* port 0: none */
void connection_clear(struct connection *c);
/* "postgres://user:pw@host:5432/db?sslmode=require" (percent escapes; __extra__ holds JSON) or a JSON object. conn_type is
 * normalised as Airflow does: postgresql is postgres, '-' is '_'. */
int connection_parse(const char *conn_id, const char *uri_or_json, struct connection *ret, struct err *err);
char *connection_uri(const struct connection *c);                        /* the other way round; malloc'd */

/* E_NOT_FOUND without text when there is none. from_env (may be NULL): the value came from the environment. */
int variable_find(struct store *db, const struct fernet *f, const char *key, char **ret, bool *from_env, struct err *err);
int connection_find(struct store *db, const struct fernet *f, const char *conn_id, struct connection *ret, bool *from_env, struct err *err);
int variable_save(struct store *db, const struct fernet *f, const char *key, const char *value, const char *description, struct err *err);
int connection_save(struct store *db, const struct fernet *f, const struct connection *c, struct err *err);   /* insert or replace */
/* a row of SQL_connection_get or SQL_connection_list, decrypted */
int connection_from_row(const struct rows *r, const struct fernet *f, struct connection *ret, struct err *err);

/* Answers the requests of children that are about Variables and Connections: GetVariable, GetVariableKeys, PutVariable,
 * DeleteVariable, GetConnection. 0: *ret_body is the answer's body (new reference; NULL: an empty answer); E_METHOD: not one
 * of these. mask(arg, text) is called for each value that must not appear in logs, before the answer is given. */
int secrets_answer(struct store *db, const struct fernet *f, const json_t *request, json_t **ret_body,
                   void (*mask)(void *arg, const char *value), void *arg, struct err *err);
json_t *error_body(const char *error, const char *key, const char *value);   /* {"type":"ErrorResponse",...} */
