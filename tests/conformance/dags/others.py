"""DAGs that start other DAGs: TriggerDagRun, assets."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, AssetAlias, Metadata, task

START = datetime(2015, 6, 1)

with DAG("o_child", schedule=None, start_date=START):
    BashOperator(task_id="show", bash_command="echo '{{ dag_run.conf }}'; test '{{ dag_run.conf.get('fail', 'no') }}' = no")

with DAG("o_parent", schedule=None, start_date=START):
    def child(name, run, **kw):
        return TriggerDagRunOperator(task_id=name, trigger_dag_id="o_child", trigger_run_id=run, **kw)

    child("plain", "from_plain")
    with_conf = child("with_conf", "from_conf", conf={"x": "{{ task.task_id }}"})
    child("dated", "from_dated", logical_date="2015-06-01T00:00:00+00:00")
    child("waits", "from_waits", wait_for_completion=True, poke_interval=1) >> child("again", "from_waits")
    child("waits_for_failure", "from_failing", conf={"fail": "yes"}, wait_for_completion=True, poke_interval=1)
    child("skips_again", "from_conf", skip_when_already_exists=True, trigger_rule="all_done").set_upstream(with_conf)
    child("first", "from_conf_first")
    TriggerDagRunOperator(task_id="no_such_dag", trigger_dag_id="o_nowhere")

one, two = Asset("conf_one"), Asset(name="conf_two", uri="file://conf/two")
alias = AssetAlias("conf_alias")

with DAG("a_producer", schedule=None, start_date=START):
    BashOperator(task_id="makes_one", bash_command="true", outlets=[one])

    @task(outlets=[two])
    def makes_two():
        yield Metadata(two, {"rows": 5})

    @task(outlets=[alias])
    def through_alias(*, outlet_events):
        outlet_events[alias].add(Asset("conf_aliased"), extra={"k": "v"})

    @task(outlets=[Asset("conf_failing")])
    def fails():
        raise ValueError("no event of this one")

    makes_two()
    through_alias()
    fails()

with DAG("a_consumer_one", schedule=[one], start_date=START):
    @task
    def events(*, triggering_asset_events):
        for asset, found in triggering_asset_events.items():
            print(asset.name, [(e.source_dag_id, e.source_task_id, e.extra) for e in found])

    events()

with DAG("a_consumer_both", schedule=(one & two), start_date=START):
    EmptyOperator(task_id="t")

with DAG("a_consumer_either", schedule=(Asset("conf_failing") | two), start_date=START):
    EmptyOperator(task_id="t")

with DAG("a_consumer_alias", schedule=[alias], start_date=START):
    EmptyOperator(task_id="t")

with DAG("a_consumer_failing", schedule=[Asset("conf_failing")], start_date=START):
    EmptyOperator(task_id="t")
