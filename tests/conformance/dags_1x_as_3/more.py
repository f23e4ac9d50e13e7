"""dags_1x/more.py in the words of 3.x, with what Airflow 1 did by default said aloud."""
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.sdk import DAG

two_days_ago = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)

with DAG('l_no_schedule', start_date=datetime(2015, 6, 1), end_date=datetime(2015, 6, 2), schedule=timedelta(days=1), catchup=True):
    EmptyOperator(task_id='dummy')

with DAG('l_days_ago', start_date=two_days_ago, schedule='@daily', catchup=True):
    EmptyOperator(task_id='dummy')

with DAG('l_catchup_off', start_date=datetime(2015, 6, 1), schedule='@daily', catchup=False):
    EmptyOperator(task_id='dummy')


def show(ds, **kwargs):
    print(ds, kwargs['logical_date'].isoformat(), kwargs['data_interval_end'].strftime('%Y-%m-%d'), kwargs['task'].task_id)
    return ds


with DAG('l_words', start_date=datetime(2015, 6, 1), end_date=datetime(2015, 6, 2), schedule=timedelta(days=1), catchup=True):
    p = PythonOperator(task_id='python', python_callable=show)
    b = BashOperator(task_id='bash', bash_command='echo {{ logical_date.isoformat() }} {{ data_interval_end | ds }} {{ macros.ds_add(ds, -1) }} {{ macros.ds_add(ds, 1) | replace("-", "") }} {{ data_interval_end.isoformat() }}')
    pull = PythonOperator(task_id='pull', python_callable=lambda **c: print(c['ti'].xcom_pull(task_ids='python')))
    branch = BranchPythonOperator(task_id='branch', python_callable=lambda: 'left')
    left, right = EmptyOperator(task_id='left'), EmptyOperator(task_id='right')
    join = EmptyOperator(task_id='join', trigger_rule='none_failed_min_one_success')
    p.set_downstream(pull)
    b.set_upstream(p)
    branch >> [left, right] >> join
