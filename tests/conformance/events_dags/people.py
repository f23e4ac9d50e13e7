"""Tasks that ask a person: every operator of the standard provider, answers by the API, and what happens without one."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLBranchOperator, HITLEntryOperator, HITLOperator
from airflow.sdk import DAG, Param, task

START = datetime(2015, 6, 1)

with DAG("h_ask", schedule=None, start_date=START):
    HITLOperator(task_id="ask", subject="Which way at {{ run_id[:6] }}?", body="**read** this", options=["left", "right", "back"], multiple=True,
                 params={"why": Param("no reason", type="string"), "n": 3}) >> EmptyOperator(task_id="after")

with DAG("h_one", schedule=None, start_date=START):
    HITLOperator(task_id="one", subject="One of two", options=["yes", "no"], defaults="no", response_timeout=timedelta(days=400))

with DAG("h_approve", schedule=None, start_date=START):
    ApprovalOperator(task_id="approve", subject="May it go on?") >> EmptyOperator(task_id="on")

with DAG("h_reject", schedule=None, start_date=START):
    ApprovalOperator(task_id="approve", subject="May it go on?") >> EmptyOperator(task_id="on")

with DAG("h_reject_fails", schedule=None, start_date=START):
    ApprovalOperator(task_id="approve", subject="May it go on?", fail_on_reject=True) >> EmptyOperator(task_id="on")

with DAG("h_branch", schedule=None, start_date=START):
    HITLBranchOperator(task_id="choose", subject="Where to?", options=["here", "there"]) >> [EmptyOperator(task_id="here"), EmptyOperator(task_id="there")]

with DAG("h_entry", schedule=None, start_date=START):
    entry = HITLEntryOperator(task_id="entry", subject="Fill in", params={"name": Param("", type="string"), "age": Param(1, type="integer")})

    @task
    def got(answer):
        return [answer["chosen_options"], answer["params_input"], answer["responded_by_user"]]

    got(entry.output)

with DAG("h_times_out", schedule=None, start_date=START):
    HITLOperator(task_id="defaults", subject="Too late", options=["a", "b"], defaults=["b"], params={"p": 5}, response_timeout=timedelta(milliseconds=300))
    HITLOperator(task_id="fails", subject="Too late", options=["a", "b"], response_timeout=timedelta(milliseconds=300))

with DAG("h_mapped", schedule=None, start_date=START):
    HITLOperator.partial(task_id="each", options=["x", "y"]).expand(subject=["first", "second"])
