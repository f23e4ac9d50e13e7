/* version: a DAG version with its texts and the few facts of each task that lists show. */
#include "base/crypto.h"
#include "store/rows.h"

static int save_task(struct store *s, const struct dag *dag, const struct dag_task *t, struct err *err)
{
	const json_t *config = jg(t->raw, "executor_config");
	CLEANUP(buf_clear) struct buf text = {0};
	if (json_is_object(config) && json_object_size(config))
		json_canonical(config, &text);
	bool mapped = t->expand || t->mapped_group != NO_INDEX;
	return store_run(s, SQL_dag_version_task_add, err, v_uuid(&dag->version_id), v_text(t->task_id), v_text(t->display_name),
		v_text(t->task_type), v_text(t->operator_name), v_text(t->queue), v_text(t->executor), v_text(t->owner),
		v_text(trigger_rule_name(t->rule)), v_bool(mapped), v_text(text.len ? text.data : NULL));
}

static int save_source(struct store *s, const char *source, char ret_hash[65], struct err *err)
{
	if (!source)
		return 0;
	sha256_hex(source, strlen(source), ret_hash);
	return store_run(s, SQL_dag_code_put, err, v_text(ret_hash), v_text(source));
}

int store_save_version_tasks(struct store *s, const struct dag *dag, struct err *err)
{
	int rc = store_run(s, SQL_dag_version_tasks_clear, err, v_uuid(&dag->version_id));
	for (uint32_t i = 0; rc == 0 && i < dag->n_tasks; i++)
		rc = save_task(s, dag, &dag->tasks[i], err);
	return rc;
}

int store_save_version(struct store *s, const struct dag *dag, const struct version_texts *t, usec_t now, struct err *err)
{
	char hash[65] = "";
	int rc = save_source(s, t->source, hash, err);
	if (rc == 0)
		rc = store_run(s, SQL_dag_version_add, err, v_uuid(&dag->version_id), v_text(dag->dag_id), v_int(dag->version_number),
			v_text(dag->bundle_name), v_text(dag->bundle_version), v_text(t->hash), v_text(hash[0] ? hash : NULL), v_int(now),
			v_text(t->side), v_text(t->data));
	for (uint32_t i = 0; rc == 0 && i < dag->n_tasks; i++)
		rc = save_task(s, dag, &dag->tasks[i], err);
	return rc;
}
