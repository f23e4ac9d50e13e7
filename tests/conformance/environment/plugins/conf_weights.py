"""Weight rules of one's own: the weight comes from the instance."""
from airflow.plugins_manager import AirflowPlugin
from airflow.task.priority_strategy import PriorityWeightStrategy


class ByInstance(PriorityWeightStrategy):
    """The digit that ends the task's name, the map index, the tries so far, the number of tasks that follow."""

    def get_weight(self, ti):
        return int(ti.task_id[-1]) * 1000 + (ti.map_index + 1) * 100 + ti.task.priority_weight * 10 + (ti.try_number or 0) + len(ti.task.downstream_task_ids)


class Weights(AirflowPlugin):
    name = "conf_weights"
    priority_weight_strategies = [ByInstance]
