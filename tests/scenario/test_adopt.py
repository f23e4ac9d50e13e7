"""updraft adopt: an environment's airflow becomes ours and back; scripts, dag.test() and pytest in it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from forge_client import PYTHON_DIR, venv_python  # noqa: E402

# Stands for our program: notes its calls, knows one Variable and one Connection.
PROGRAM = """#!/bin/sh
dir=$(dirname "$0")
echo "$(basename "$0") $*" >> "$dir/calls"
case "$2" in
  add-users) cat > "$dir/users" ;;
  get-variable) if [ "$3" = known ]; then echo '{"value": "from the store"}'; else echo null; fi ;;
  get-connection) if [ "$3" = pg ]; then echo '{"conn_type": "postgres", "host": "dbh", "port": 5432}'; else echo null; fi ;;
esac
"""
SEED_001 = """
import airflow
from airflow import models, settings
from airflow.contrib.auth.backends.password_auth import PasswordUser

user = PasswordUser(models.User())
user.username = 'admin'
user.email = 'me@gilsondev.in'
user.password = 'password'

session = settings.Session()
session.add(user)
session.commit()
session.close()
import sys
assert getattr(settings, 'engine', None) is None, 'an engine was built'
exit()
"""
DAG_FILE = """
from datetime import datetime, timedelta
from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.python_operator import PythonOperator
from airflow.models import Variable
from airflow.hooks.base_hook import BaseHook

def show(ds, **kw):
    print("CALLED", kw["execution_date"].isoformat(), Variable.get("known"), BaseHook.get_connection("pg").host)

dag = DAG("local_one", default_args={"start_date": datetime(2015, 6, 1)}, schedule_interval=timedelta(days=1))
first = BashOperator(task_id="first", bash_command="echo first {{ ds }} {{ macros.ds_add(ds, 7) }}", dag=dag)
second = PythonOperator(task_id="second", python_callable=show, provide_context=True, dag=dag)
first >> second

if __name__ == "__main__":
    run = dag.test(execution_date=datetime(2015, 6, 1))
    print("STATE", run.state)
"""
PYTEST = """
def test_bag(tmp_path):
    from airflow.models import DagBag
    bag = DagBag(dag_folder={folder!r}, include_examples=False) if 0 else DagBag(dag_folder={folder!r})
    assert bag.import_errors == {{}}
    assert set(bag.dags) == {{"local_one"}}
    assert bag.get_dag("local_one").catchup is True
    assert len(bag.get_dag("local_one").tasks) == 2
"""


class Adopt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if venv_python() is None:
            raise unittest.SkipTest("no environment with Airflow")
        cls.cache = tempfile.mkdtemp(prefix="updraft-test-cache-")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.cache)

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="updraft-test-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.venv = os.path.join(self.dir, "my venv")
        subprocess.run([venv_python(), "-m", "venv", "--without-pip", self.venv], check=True)
        real = subprocess.run([venv_python(), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                              check=True, capture_output=True, text=True).stdout.strip()  # fmt: skip
        with open(os.path.join(self.packages(), "real.pth"), "w") as f:
            f.write(real + "\n")
        self.write(os.path.join(self.venv, "bin", "airflow"), "#!/bin/sh\necho official\n")
        self.program = os.path.join(self.dir, "program")
        os.mkdir(self.program)
        for name in ("airflow", "updraft"):
            self.write(os.path.join(self.program, name), PROGRAM)
        self.home = os.path.join(self.dir, "home")
        os.makedirs(os.path.join(self.home, "dags"))

    def packages(self):
        lib = os.path.join(self.venv, "lib")
        return os.path.join(lib, os.listdir(lib)[0], "site-packages")

    @staticmethod
    def write(path, text):
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o755)

    def adopt(self, *arguments, binary=None):
        command = [venv_python(), "-m", "updraft.adopt", self.venv, *arguments]
        if "--undo" not in arguments:
            command += ["--airflow-binary", binary or os.path.join(self.program, "airflow")]
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": PYTHON_DIR}, capture_output=True, text=True)

    def run_python(self, *arguments, env=None, cwd=None):
        full = {"PATH": os.path.join(self.venv, "bin") + ":/usr/bin:/bin", "HOME": self.home, "LANG": "C.UTF-8",
                "AIRFLOW_HOME": self.home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "XDG_CACHE_HOME": self.cache,
                **(env or {})}  # fmt: skip
        return subprocess.run([os.path.join(self.venv, "bin", "python"), *arguments], env=full, cwd=cwd or self.home,
                              capture_output=True, text=True)  # fmt: skip

    def tree(self):
        found = {}
        for folder in ("bin", os.path.relpath(self.packages(), self.venv), ""):
            base = os.path.join(self.venv, folder)
            for name in sorted(os.listdir(base)):
                path = os.path.join(base, name)
                if os.path.isfile(path) and not name.endswith(".pyc"):
                    with open(path, "rb") as f:
                        found[os.path.join(folder, name)] = (os.stat(path).st_mode, f.read())
        return found

    def calls(self):
        path = os.path.join(self.program, "calls")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return f.read().splitlines()

    # ---- adopting

    def test_adopt_twice_and_undo(self):
        before = self.tree()
        done = self.adopt()
        self.assertEqual(done.returncode, 0, done.stderr)
        once = self.tree()
        self.assertNotEqual(before, once)
        self.assertEqual(self.adopt().returncode, 0)
        self.assertEqual(once, self.tree())
        subprocess.run([os.path.join(self.venv, "bin", "airflow"), "dags", "list a b"], check=True)
        subprocess.run([os.path.join(self.venv, "bin", "updraft"), "x"], check=True)
        self.assertEqual(self.calls(), ["airflow dags list a b", "updraft x"])
        self.assertEqual(self.adopt("--undo").returncode, 0)
        self.assertEqual(before, self.tree())
        again = self.adopt("--undo")
        self.assertEqual((again.returncode, again.stdout), (0, "nothing to undo\n"))

    def test_refusals_say_what_is_wrong(self):
        done = self.adopt(binary="/no/such/airflow")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot be run", done.stderr)
        self.venv = self.dir
        done = self.adopt()
        self.assertEqual(done.returncode, 1)
        self.assertIn("no virtual environment", done.stderr)

    def test_start_of_python_imports_nothing(self):
        self.assertEqual(self.adopt().returncode, 0)
        done = self.run_python("-c", "import sys; print([m for m in sys.modules if m.startswith(('airflow', 'updraft'))])")
        self.assertEqual(done.stdout.strip(), "['updraft', 'updraft.site_hook']")

    def test_module_run_is_our_program(self):
        self.assertEqual(self.adopt().returncode, 0)
        done = self.run_python("-m", "airflow", "version", "-v")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.calls(), ["airflow version -v"])

    # ---- what users type

    def test_python_session_of_seed_001(self):
        self.assertEqual(self.adopt().returncode, 0)
        done = self.run_python("-c", SEED_001)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.program, "users")) as f:
            self.assertEqual(json.load(f), [{"username": "admin", "email": "me@gilsondev.in", "password": "password"}])
        self.assertEqual(self.calls(), ["updraft internal add-users"])
        self.assertFalse(os.path.exists(os.path.join(self.home, "airflow.db")))

    def test_session_refuses_what_it_cannot(self):
        self.assertEqual(self.adopt().returncode, 0)
        for code, wanted in (
            ("from airflow import settings; settings.Session().query(1)", "REST API"),
            ("from airflow import settings; settings.Session().add(1)", "takes users"),
            ("from airflow import settings, models\ns = settings.Session(); s.add(models.User()); s.commit()", "username"),
        ):
            done = self.run_python("-c", code)
            self.assertEqual(done.returncode, 1)
            self.assertIn(wanted, done.stderr)

    def test_dag_test(self):
        self.assertEqual(self.adopt().returncode, 0)
        for folder in (os.path.join(self.home, "dags"), self.dir):
            with self.subTest(folder):
                path = os.path.join(folder, "my_dag.py")
                self.write(path, DAG_FILE)
                done = self.run_python(path, env={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////no/such/place.db"})
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode, 0, said)
                self.assertIn("first 2015-06-01 2015-06-08", said)
                self.assertIn("CALLED 2015-06-01T00:00:00+00:00 from the store dbh", said)
                self.assertIn("STATE success", said)
        self.assertFalse(os.path.exists(os.path.join(self.home, "airflow.db")))

    def test_dagbag(self):
        self.assertEqual(self.adopt().returncode, 0)
        folder = os.path.join(self.home, "dags")
        self.write(os.path.join(folder, "my_dag.py"), DAG_FILE)
        test = PYTEST.format(folder=folder) + "\ntest_bag(None)\nprint('fine')\n"
        done = self.run_python("-c", test)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("fine", done.stdout)
        self.assertFalse(os.path.exists(os.path.join(self.home, "airflow.db")))


if __name__ == "__main__":
    unittest.main()
