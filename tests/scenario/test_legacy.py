"""DAG files of Airflow 1 and 2 on today's SDK: what loads, with which defaults, and what the errors say."""

import glob
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from forge_client import PYTHON_DIR, ROOT, Forge, Home, Store, parse_request, startup, venv_python  # noqa: E402

HEAD = "from datetime import datetime, timedelta\n"

SEED_000 = """
from airflow import DAG
from airflow.operators import PostgresOperator

dag = DAG(
        'transformation',
        default_args={ 'owner': 'airflow' })

task1 = PostgresOperator(
            sql='dim_get_count.sql',
            task_id='get_count',
            postgres_conn_id='DATABASE_URL',
            dag=dag)
"""

SEED_001 = '''
from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from datetime import datetime, timedelta

default_args = {
    'owner': 'airflow',
    'depends_on_past': False,
    'start_date': datetime(2015, 6, 1),
    'email': ['airflow@example.com'],
    'email_on_failure': False,
    'email_on_retry': False,
    'retries': 1,
    'retry_delay': timedelta(minutes=5),
}

dag = DAG('tutorial', default_args=default_args, schedule_interval=timedelta(days=1))

t1 = BashOperator(task_id='print_date', bash_command='date', dag=dag)
t2 = BashOperator(task_id='sleep', bash_command='sleep 5', retries=3, dag=dag)

templated_command = """
    {% for i in range(5) %}
        echo "{{ ds }}"
        echo "{{ macros.ds_add(ds, 7)}}"
        echo "{{ params.my_param }}"
    {% endfor %}
"""

t3 = BashOperator(
    task_id='templated',
    bash_command=templated_command,
    params={'my_param': 'Parameter I passed in'},
    dag=dag)

t2.set_upstream(t1)
t3.set_upstream(t1)
'''

CONTEXT_DAG = HEAD + """
from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.python_operator import PythonOperator
from airflow.operators.dummy_operator import DummyOperator
dag = DAG('old', default_args={'start_date': datetime(2015, 6, 1)}, schedule_interval='@daily')
t1 = BashOperator(task_id='t1', dag=dag, bash_command='echo {{ execution_date.isoformat() }} '
    '{{ next_execution_date.isoformat() }} {{ prev_execution_date.isoformat() }} {{ tomorrow_ds }} {{ yesterday_ds }} '
    '{{ next_ds }} {{ prev_ds }} {{ tomorrow_ds_nodash }} {{ macros.ds_add(ds, 7) }} {{ dag_run.execution_date.year }}')
def f(ds, execution_date, **kw):
    print('got', ds, execution_date.isoformat(), kw['ti'].execution_date.isoformat(), kw['tomorrow_ds'])
t2 = PythonOperator(task_id='t2', provide_context=True, python_callable=f, dag=dag)
t3 = DummyOperator(task_id='t3', dag=dag, trigger_rule='dummy')
t1 >> t2 >> t3
"""

MODERN_DAG = HEAD + """
from airflow.sdk import DAG, task
with DAG('modern', schedule=None, start_date=datetime(2024, 1, 1)):
    @task
    def load(tables, end_date, conf): print('tables', tables, end_date, conf)
    load('a', 'b', 'c')
    @task.bash
    def edate(): return 'echo {{ execution_date.year }}'
    edate()
"""


class Legacy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if venv_python() is None:
            raise unittest.SkipTest("no environment with Airflow")
        cls.home = Home()
        cls.forge = Forge(cls.home)

    @classmethod
    def tearDownClass(cls):
        cls.forge.close()
        cls.home.remove()

    def parse(self, text, name="case.py", env=None):
        """Return (record, result) of parsing `text`."""
        path = self.home.write(name, text)
        child = self.forge.fork("parse", env=env or {}).run(parse_request(path, self.home.dags), Store())
        self.assertEqual(child.exit["status"], 0, child.output)
        record, result = child.said[-2:]
        self.assertEqual(record["type"], "UpdraftParseRecord")
        return record, result

    def dag(self, text, env=None):
        record, result = self.parse(text, env=env)
        self.assertEqual(result["import_errors"], {}, result["import_errors"])
        (serialized,) = result["serialized_dags"]
        dag = serialized["data"]["dag"]
        return dag, record["dags"][dag["dag_id"]]

    def error(self, text):
        _, result = self.parse(text)
        return "\n".join(result["import_errors"].values())

    def run_task(self, text, dag_id, task_id, dag_run=None):
        self.home.write("case.py", text)
        run = {"logical_date": "2015-06-01T00:00:00Z", "data_interval_start": "2015-06-01T00:00:00Z",
               "data_interval_end": "2015-06-02T00:00:00Z", "run_type": "scheduled", **(dag_run or {})}  # fmt: skip
        return self.forge.fork("task").run(startup(dag_id, task_id, "case.py", dag_run=run), Store())

    # ---- seeds

    def test_tutorial_of_seed_001(self):
        dag, facts = self.dag(SEED_001)
        self.assertEqual(dag["timetable"]["__type"], "airflow.timetables.interval.DeltaDataIntervalTimetable")
        self.assertEqual(dag["timetable"]["__var"], {"delta": 86400.0})
        self.assertTrue(dag["catchup"])
        self.assertTrue(facts["legacy"])
        self.assertIn("airflow.operators.bash_operator.BashOperator", facts["legacy_reasons"])
        self.assertIn("argument schedule_interval", facts["legacy_reasons"])
        self.assertFalse(facts["explicit_catchup"])
        self.assertEqual(sorted(facts["direct"]), ["print_date", "sleep"])
        child = self.run_task(SEED_001, "tutorial", "templated")
        self.assertEqual(child.types[-1], "SucceedTask")
        lines = [line["event"].strip() for line in child.log_lines]
        for wanted in ("2015-06-01", "2015-06-08", "Parameter I passed in"):
            self.assertEqual(lines.count(wanted), 5, lines)

    def test_seed_000_names_the_package(self):
        text = self.error(SEED_000)
        self.assertIn("pip install apache-airflow-providers-postgres", text)

    def test_seed_000_with_the_package(self):
        stub = """
import sys, types
for name in ("airflow.providers.postgres", "airflow.providers.postgres.hooks", "airflow.providers.postgres.hooks.postgres"):
    sys.modules[name] = types.ModuleType(name); sys.modules[name].__path__ = []
"""
        self.home.write("dim_get_count.sql", "select 1")
        dag, facts = self.dag(stub + SEED_000)
        self.assertEqual(dag["timetable"]["__var"], {"delta": 86400.0})
        self.assertFalse(dag["catchup"])  # there is no start to catch up from
        self.assertEqual(facts["legacy_reasons"], ["airflow.operators.PostgresOperator"])
        (task,) = (t["__var"] for t in dag["tasks"])
        self.assertEqual((task["task_type"], task["conn_id"], task["sql"]),
                         ("PostgresOperator", "DATABASE_URL", "select 1"))  # fmt: skip

    # ---- defaults

    def test_defaults_apply_where_something_was_supplied(self):
        plain = HEAD + "from airflow import DAG\nd = DAG('d', start_date=datetime(2024, 1, 1){})\n"
        cases = [
            # arguments, legacy, catchup, timetable class
            ("", False, False, "NullTimetable"),
            (", schedule='@daily'", False, False, "CronTriggerTimetable"),
            (", schedule_interval='@daily'", True, True, "CronDataIntervalTimetable"),
            (", schedule_interval='@daily', catchup=False", True, False, "CronDataIntervalTimetable"),
            (", schedule_interval=None", True, True, "NullTimetable"),
            (", schedule_interval='@once'", True, True, "OnceTimetable"),
            (", default_view='graph'", True, True, "DeltaDataIntervalTimetable"),
            (", concurrency=4, schedule='@hourly'", True, True, "CronDataIntervalTimetable"),
            (", default_args={'task_concurrency': 2}", True, True, "DeltaDataIntervalTimetable"),
        ]
        for arguments, legacy, catchup, timetable in cases:
            with self.subTest(arguments):
                dag, facts = self.dag(plain.format(arguments))
                self.assertEqual(facts["legacy"], legacy, facts)
                self.assertEqual(dag["catchup"], catchup)
                self.assertEqual(dag["timetable"]["__type"].rsplit(".", 1)[1], timetable)
                self.assertTrue(dag["fileloc"].endswith("/case.py"))

    def test_configured_catchup_wins(self):
        text = HEAD + "from airflow import DAG\nd = DAG('d', start_date=datetime(2024, 1, 1), schedule_interval='@daily')\n"
        dag, _ = self.dag(text, env={"AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT": "False"})
        self.assertFalse(dag["catchup"])

    def test_legacy_task_makes_its_own_dag_legacy_only(self):
        text = HEAD + """
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator
with DAG('old', start_date=datetime(2024, 1, 1), schedule='@daily'):
    PythonOperator(task_id='p', python_callable=print, provide_context=True)
with DAG('new', start_date=datetime(2024, 1, 1), schedule='@daily'):
    PythonOperator(task_id='p', python_callable=print)
"""
        record, result = self.parse(text)
        dags = {d["data"]["dag"]["dag_id"]: d["data"]["dag"] for d in result["serialized_dags"]}
        self.assertTrue(record["dags"]["old"]["legacy"] and dags["old"]["catchup"])
        self.assertFalse(record["dags"]["new"]["legacy"] or dags["new"]["catchup"])

    def test_names_that_airflow_3_still_redirects_are_not_legacy(self):
        text = HEAD + """
from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.utils import timezone
with DAG('d', start_date=datetime(2024, 1, 1), schedule='@daily'): BashOperator(task_id='b', bash_command='true')
"""
        dag, facts = self.dag(text)
        self.assertFalse(facts["legacy"], facts)
        self.assertFalse(dag["catchup"])

    # ---- context

    def test_context_keys_in_templates_and_callables(self):
        child = self.run_task(CONTEXT_DAG, "old", "t1")
        self.assertEqual(child.types[-1], "SucceedTask", child.output)
        line = "2015-06-01T00:00:00+00:00 2015-06-02T00:00:00+00:00 2015-05-31T00:00:00+00:00 2015-06-02 2015-05-31 " \
               "2015-06-02 2015-05-31 20150602 2015-06-08 2015"  # fmt: skip
        self.assertIn(line, [x["event"] for x in child.log_lines])
        child = self.run_task(CONTEXT_DAG, "old", "t2")
        self.assertEqual(child.types[-1], "SucceedTask", child.output)
        wanted = b"got 2015-06-01 2015-06-01T00:00:00+00:00 2015-06-01T00:00:00+00:00 2015-06-02"
        self.assertIn(wanted, child.output["stdout"])

    def test_modern_dag_keeps_its_argument_names(self):
        child = self.run_task(MODERN_DAG, "modern", "load")
        self.assertEqual(child.types[-1], "SucceedTask", child.output)
        self.assertIn(b"tables a b c", child.output["stdout"])
        child = self.run_task(MODERN_DAG, "modern", "edate")
        self.assertIn("2015", [x["event"] for x in child.log_lines], child.output)

    # ---- errors

    def test_errors_say_what_to_do(self):
        cases = [
            ("from airflow.operators.subdag import SubDagOperator", "TaskGroup"),
            ("from airflow.operators.subdag_operator import SubDagOperator", "TaskGroup"),
            ("from airflow.operators import SubDagOperator", "TaskGroup"),
            ("from airflow.contrib.operators.bigquery_operator import BigQueryOperator",
             "pip install apache-airflow-providers-google"),
            ("from airflow.contrib.hooks.aws_hook import AwsHook", "pip install apache-airflow-providers-amazon"),
            ("from airflow.hooks.postgres_hook import PostgresHook", "pip install apache-airflow-providers-postgres"),
            ("from airflow.contrib.operators.whatever import X", "provider package"),
            ("from airflow.operators.bash_operator import NoSuch", "NoSuch"),
            ("from airflow.models import SlaMiss", "DeadlineAlert"),
            ("from airflow import DAG\nDAG('a', schedule='@daily', schedule_interval='@daily')", "takes one of"),
            ("from airflow import DAG\nfrom airflow.operators.bash_operator import BashOperator\n"
             "BashOperator(task_id='a', bash_command='x', foo=2, dag=DAG('a'))", "foo"),
        ]  # fmt: skip
        for text, wanted in cases:
            with self.subTest(text):
                self.assertIn(wanted, self.error("# airflow DAG\n" + text + "\n"))

    # ---- the list of old DAG files

    def test_list_of_old_files(self):
        files = sorted(glob.glob(os.path.join(ROOT, "tests/scenario/dags/old/*.py")))
        self.assertGreater(len(files), 40)
        failed = {}
        for path in files:
            with open(path) as f:
                text = f.read()
            _, result = self.parse(text, "old/" + os.path.basename(path))
            if result["import_errors"]:
                failed[os.path.basename(path)] = "\n".join(result["import_errors"].values())
        allowed = {"contrib.py", "postgres.py", "pg_hook.py", "subdag.py", "unknown_kw.py"}
        self.assertLessEqual(set(failed), allowed, failed)
        for name, text in failed.items():
            self.assertRegex(text, r"pip install|TaskGroup|Invalid arguments", name)

    def test_every_name_of_the_table_resolves_or_names_a_package(self):
        script = r"""
import sys, warnings; sys.path.insert(0, sys.argv[1]); warnings.simplefilter('ignore')
from updraft import legacy, legacy_names as n
legacy.install()
import importlib
for table in (n.MODULES, n.MORE_NAMES):
    for module, names in table.items():
        if module.startswith('airflow.providers'): continue
        m = importlib.import_module(module)
        for name in names:
            if f'{module}:{name}' in n.REMOVED: continue
            try: getattr(m, name)
            except ImportError as e:
                if 'pip install apache-airflow-providers-' not in str(e): print(module, name, e)
"""
        done = subprocess.run([venv_python(), "-c", script, PYTHON_DIR], capture_output=True, text=True,
                              env=self.home.env(), cwd=self.home.path)  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(re.sub(r"(?m)^\d{4}-.*\n", "", done.stdout), "")


if __name__ == "__main__":
    unittest.main()
