"""Assets: conditions, references, aliases, events by hand, queues, materialisation, watchers."""
import os
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.sdk import DAG, Asset, AssetAlias, AssetAll, AssetAny, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, Metadata, asset, task

START = datetime(2015, 6, 1)
ONE, TWO, THREE = (Asset(name=n, uri=f"s3://bucket/{n}", extra={"kind": n}) for n in ("x_one", "x_two", "x_three"))
Q1, Q2, Q3 = (Asset(name=n, uri=f"s3://queue/{n}") for n in ("q_one", "q_two", "q_three"))
TWICE = Asset("x_twice")
LOOSE = Asset("x_loose")


def told(events):
    return sorted([a.name, [[e.source_task_id, e.source_dag_id, e.source_map_index, e.extra, e.partition_key] for e in es]] for a, es in events.items())


def consumer(dag_id, schedule, **kwargs):
    with DAG(dag_id, schedule=schedule, start_date=START, catchup=False, **kwargs):
        @task
        def told_of(triggering_asset_events=None):
            return told(triggering_asset_events)

        told_of()


consumer("x_both", [ONE, TWO])
consumer("x_either", AssetAny(ONE, TWO))
consumer("x_nested", AssetAll(Q3, AssetAny(Q1, Q2)))
consumer("x_by_name", Asset.ref(name="q_one"))
consumer("x_by_uri", AssetAll(Asset.ref(uri="s3://queue/q_one"), LOOSE))
consumer("x_aliased", AssetAlias("x_alias"))
consumer("x_or_time", AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 1 1 *", timezone="UTC"), assets=[Q3]))
consumer("x_queued", [Q3, LOOSE, Q2])
consumer("x_unqueued", [Q3, LOOSE])

with DAG("x_produce", schedule=None, start_date=START):
    @task(outlets=[ONE])
    def produce(outlet_events=None):
        outlet_events[ONE].extra = {"rows": 3}

    @task(outlets=[TWO])
    def metadata():
        yield Metadata(TWO, {"from": "metadata"})

    @task(inlets=[ONE, AssetAlias("x_alias")])
    def look(inlet_events=None):
        return [e.extra for e in inlet_events[ONE]][-1:]

    produce() >> metadata() >> look()

with DAG("x_alias_producer", schedule=None, start_date=START):
    @task(outlets=[AssetAlias("x_alias")])
    def through(outlet_events=None):
        outlet_events[AssetAlias("x_alias")].add(Asset("x_behind"), extra={"via": "alias"})

    @task(inlets=[AssetAlias("x_alias")])
    def seen(inlet_events=None):
        return [e.extra for e in inlet_events[AssetAlias("x_alias")]][-1:]

    through() >> seen()

for n in (1, 2):
    with DAG(f"x_twice_{n}", schedule=None, start_date=START):
        EmptyOperator(task_id="t", outlets=[TWICE])

with DAG("x_no_materialisation", schedule=None, start_date=START, allowed_run_types=["manual"]):
    EmptyOperator(task_id="t", outlets=[Asset("x_not_by_hand")])


@asset(schedule=None)
def x_made():
    return "made"


@asset(schedule=x_made)
def x_made_of(context, x_made):
    return [x_made.name, [e.source_dag_id for e in context["inlet_events"][x_made]][-1:]]


FLAG = os.path.join(os.environ["AIRFLOW_HOME"], "flag")
WATCHED = Asset("x_watched_file", watchers=[AssetWatcher(name="flag", trigger=FileDeleteTrigger(filepath=FLAG, poke_interval=0.5))])
consumer("x_watched", [WATCHED])
