"""Spellings of Airflow 1; dags_1x_as_3 says the same in 3.x words, with what 1.x did by default said aloud."""
from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python_operator import BranchPythonOperator, PythonOperator
from airflow.utils.dates import days_ago

with DAG('l_no_schedule', start_date=datetime(2015, 6, 1), end_date=datetime(2015, 6, 2)) as no_schedule:
    DummyOperator(task_id='dummy')

with DAG('l_days_ago', start_date=days_ago(2), schedule_interval='@daily') as recent:
    DummyOperator(task_id='dummy')

with DAG('l_catchup_off', start_date=datetime(2015, 6, 1), schedule_interval='@daily', catchup=False) as off:
    DummyOperator(task_id='dummy')


def show(ds, **kwargs):
    print(ds, kwargs['execution_date'].isoformat(), kwargs['next_ds'], kwargs['task'].task_id)
    return ds


with DAG('l_words', start_date=datetime(2015, 6, 1), end_date=datetime(2015, 6, 2), schedule_interval=timedelta(days=1)) as words:
    p = PythonOperator(task_id='python', python_callable=show, provide_context=True)
    b = BashOperator(task_id='bash', bash_command='echo {{ execution_date.isoformat() }} {{ next_ds }} {{ yesterday_ds }} {{ tomorrow_ds_nodash }} {{ next_execution_date.isoformat() }}')
    pull = PythonOperator(task_id='pull', python_callable=lambda **c: print(c['ti'].xcom_pull(task_ids='python')), provide_context=True)
    branch = BranchPythonOperator(task_id='branch', python_callable=lambda: 'left')
    left, right = DummyOperator(task_id='left'), DummyOperator(task_id='right')
    join = DummyOperator(task_id='join', trigger_rule='none_failed_or_skipped')
    p.set_downstream(pull)
    b.set_upstream(p)
    branch >> [left, right] >> join
