"""Assets at their edges: several events before a consumer looks, mapped producers, skips and failures, what may stand in extra, templates."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAlias, Metadata, asset, task
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2024, 1, 1)
A, B, C, D, E = (Asset(f"ae_{n}", uri=f"s3://ae/{n}", extra={"of": n}, group="edges") for n in "abcde")


def told(events):
    return sorted([a.name, [[e.source_task_id, e.source_map_index, e.extra] for e in sorted(es, key=lambda e: (e.source_task_id, e.source_map_index, str(e.extra)))]] for a, es in events.items())


with DAG("ae_producer", schedule=None, start_date=START):
    @task(outlets=[A], max_active_tis_per_dagrun=1)
    def mapped(n, *, outlet_events):
        outlet_events[A].extra = {"n": n}

    @task(outlets=[B])
    def skips():
        raise AirflowSkipException

    @task(outlets=[B], retries=1, retry_delay=0.1)
    def second_try(*, ti, outlet_events):
        outlet_events[B].extra["try"] = ti.try_number
        if ti.try_number == 1:
            raise ValueError("first")

    @task(outlets=[C, D])
    def two(*, outlet_events):
        outlet_events[C].extra = {"nested": {"list": [1, None, "x"]}}
        yield Metadata(D, extra={"from": "yield"})

    @task(outlets=[AssetAlias("ae_alias")])
    def many_by_alias(*, outlet_events):
        outlet_events[AssetAlias("ae_alias")].add(E, extra={"k": 1})
        outlet_events[AssetAlias("ae_alias")].add(Asset("ae_new"))

    @task(outlets=[C])
    def wrong_extra(*, outlet_events):
        outlet_events[C].extra = {"bad": object()}

    @task(inlets=[A, Asset.ref(name="ae_b"), AssetAlias("ae_alias")])
    def reads(*, inlets, inlet_events):
        print([type(i).__name__ for i in inlets], len(inlet_events[A]), sorted(e.extra["n"] for e in inlet_events[A]), len(inlet_events[AssetAlias("ae_alias")]))
        try:
            inlet_events[E]
        except KeyError as e:
            print("KeyError", type(e.args[0]).__name__)

    @task(outlets=[C, D], trigger_rule="all_done")
    def last():
        pass

    mapped.expand(n=[1, 2, 3]) >> second_try() >> two() >> many_by_alias() >> [reads(), wrong_extra(), skips()] >> last() >> EmptyOperator(task_id="end")

for name, schedule in {"ae_all": [A, B, C], "ae_of_d": D, "ae_any": C | D, "ae_of_e": E, "ae_of_new": Asset("ae_new"), "ae_nested": (A & (B | Asset("ae_never"))) | Asset("ae_never"), "ae_never_runs": A & Asset("ae_never"), "ae_of_alias": AssetAlias("ae_alias")}.items():
    with DAG(name, schedule=schedule, start_date=START, max_active_runs=1):
        @task
        def look(*, triggering_asset_events, dag_run):
            print(dag_run.run_type, dag_run.logical_date, dag_run.conf)
            return told(triggering_asset_events)

        look() >> BashOperator(task_id="templated", bash_command="echo {{ triggering_asset_events | length }} {% for a, es in triggering_asset_events.items() | sort(attribute='0.name') %}{{ a.name }}:{{ es | length }} {% endfor %}")


@asset(schedule=None, uri="s3://ae/made", group="edges", name="ae_made")
def made(self, context):
    return {"name": self.name, "uri": self.uri, "task": context["task"].task_id, "outlets": [o.name for o in context["outlets"]]}


@asset.multi(schedule=None, outlets=[Asset("ae_m1"), Asset("ae_m2")])
def ae_multi(context, outlet_events):
    outlet_events[Asset("ae_m1")].extra = {"first": True}


@asset(schedule=made)
def ae_fails(ae_made):
    raise ValueError(ae_made.name)


with DAG("ae_wrong", schedule=None, start_date=START):
    F = Asset("ae_f")

    @task(outlets=[F])
    def not_an_outlet(*, outlet_events):
        outlet_events[D].extra = {"x": 1}

    @task(outlets=[F])
    def metadata_of_another():
        yield Metadata(A, extra={"x": 1})

    @task(outlets=[F])
    def no_asset(*, outlet_events):
        outlet_events["ae_f"].extra = {"x": 1}

    @task(outlets=["s3://not/an/asset"])
    def a_text():
        return 1

    not_an_outlet(), metadata_of_another(), no_asset(), a_text(), EmptyOperator(task_id="empty", outlets=[F])
