select '{{ ds }}', {{ params.who | tojson }} -- {{ task.task_id }}
{% include 'part.sql' %}
