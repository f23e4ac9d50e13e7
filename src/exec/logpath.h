/* exec/logpath.h: [logging] log_filename_template, Airflow's layout of task logs below base_log_folder. Pure.
 * Understands {{ ti.dag_id }}, ti.run_id, ti.task_id, ti.map_index, ti.try_number, {{ try_number }} (with |default(...)),
 * {{ dag_id }}..., and {% if ti.map_index >= 0 %}...{% endif %}. Anything else in it is E_CONFIG by name. */
#pragma once
#include "base/base.h"
struct log_name { const char *dag_id, *run_id, *task_id; int map_index, try_number; };
/* Appends the relative path. Names with a path separator or ".." in them cannot leave the folder: '/' is written as '_'. */
int log_path_format(const char *format, const struct log_name *n, struct buf *ret, struct err *err);
