echo "hello {{ params.name }} from {{ task.task_id }}"
