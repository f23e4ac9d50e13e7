"""The tutorial of Airflow 1, in its 3.x spelling; two days of it."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

default_args = {
    'owner': 'airflow',
    'depends_on_past': False,
    'start_date': datetime(2015, 6, 1),
    'email': ['airflow@example.com'],
    'email_on_failure': False,
    'email_on_retry': False,
    'retries': 1,
    'retry_delay': timedelta(minutes=5),
    'end_date': datetime(2015, 6, 2),
}

dag = DAG('tutorial', default_args=default_args, schedule=timedelta(days=1), catchup=True)

t1 = BashOperator(task_id='print_date', bash_command='date', dag=dag, do_xcom_push=False)
t2 = BashOperator(task_id='sleep', bash_command='sleep 1', retries=3, dag=dag)
templated_command = """
    {% for i in range(5) %}
        echo "{{ ds }}"
        echo "{{ macros.ds_add(ds, 7)}}"
        echo "{{ params.my_param }}"
    {% endfor %}
"""
t3 = BashOperator(task_id='templated', bash_command=templated_command,
                  params={'my_param': 'Parameter I passed in'}, dag=dag)

t2.set_upstream(t1)
t3.set_upstream(t1)
