echo "hello from {{ task.task_id }}"
