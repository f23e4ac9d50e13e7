"""Our reading of airflow.cfg and the environment against Airflow's own, case by case (config_cases.py).

    test_config.py                       compares with the recorded answers (recordings/config.json)
    test_config.py --record PYTHON       asks the Airflow of that Python and writes the recording anew

CONFIG_PROBE names our program (tests/unit/config_probe of the build folder)."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from config_cases import CASES

HERE = Path(__file__).resolve().parent
RECORDING = HERE / "recordings" / "config.json"
HOME = "/nonexistent/home"
ERROR = {"error": True}

# Runs inside real Airflow: one fork per case, so that each starts from a fresh import. Reads cases, writes answers.
ASK_AIRFLOW = r'''
import json, os, sys, warnings
warnings.simplefilter("ignore")
import logging
logging.disable(logging.CRITICAL)
import airflow.configuration as configuration
from airflow.exceptions import AirflowConfigException

def ask(conf, query):
    kind, _, name = query.rpartition(" ") if query.split(" ")[0] in ("int", "bool", "float", "list") else ("", "", query)
    section, key = name.split("/")
    getter = {"": conf.get, "int": conf.getint, "bool": conf.getboolean, "float": conf.getfloat, "list": conf.getlist}[kind]
    try:
        return getter(section, key)
    except AirflowConfigException as e:
        return None if "not found in config" in str(e) else {"error": True}
    except Exception:
        return {"error": True}

def run(case):
    os.environ.clear()
    os.environ.update(case["env"])
    configuration.AIRFLOW_HOME = configuration.get_airflow_home()
    configuration.AIRFLOW_CONFIG = configuration.get_airflow_config(configuration.AIRFLOW_HOME)
    try:
        conf = configuration.conf = configuration.initialize_config()
        conf.validate()
    except Exception as e:
        return {query: {"error": True} for query in case["ask"]}
    return {query: ask(conf, query) for query in case["ask"]}

for line in sys.stdin:
    case = json.loads(line)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        print("\nANSWER " + json.dumps(run(case)), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
'''


def prepare(case, folder):
    """Writes the case's airflow.cfg below folder and gives its environment."""
    home = Path(folder) / "airflow"
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": HOME, "AIRFLOW_HOME": str(home), **case["env"]}
    if case["cfg"] is not None:
        (home / "airflow.cfg").write_bytes(case["cfg"].replace("@HOME@", str(home)).encode())
    return str(home), env


def masked(answer, home):
    return json.loads(json.dumps(answer).replace(home, "@HOME@"))


def ask_airflow(python):
    with tempfile.TemporaryDirectory() as folder:
        lines, homes = [], []
        for i, case in enumerate(CASES):
            (Path(folder) / str(i)).mkdir()
            home, env = prepare(case, Path(folder) / str(i))
            homes.append(home)
            lines.append(json.dumps({"env": env, "ask": case["ask"]}))
        start = {"PATH": os.environ["PATH"], "HOME": folder, "AIRFLOW_HOME": folder + "/start"}
        out = subprocess.run([python, "-c", ASK_AIRFLOW], input="\n".join(lines), env=start, text=True, capture_output=True)
        answers = [json.loads(line[7:]) for line in out.stdout.splitlines() if line.startswith("ANSWER ")]
        if len(answers) != len(CASES):
            sys.exit(f"Airflow answered {len(answers)} of {len(CASES)} cases:\n{out.stderr}")
        return {case["name"]: masked(answer, home) for case, answer, home in zip(CASES, answers, homes)}


def record(python):
    answers = ask_airflow(python)
    RECORDING.parent.mkdir(exist_ok=True)
    RECORDING.write_text(json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    print(f"{len(answers)} cases recorded in {RECORDING}")


class Config(unittest.TestCase):
    maxDiff = None

    def probe(self, env, *args):
        return subprocess.run([os.environ["CONFIG_PROBE"], *args], env=env, text=True, capture_output=True)

    def compare(self, case, expected):
        with tempfile.TemporaryDirectory() as folder:
            home, env = prepare(case, folder)
            out = self.probe(env, *case["ask"])
            answers = masked(json.loads(out.stdout), home)
            for query in case["ask"]:
                wanted = case["ours"].get(query, expected[query])
                if wanted == ERROR:
                    self.refused(case, query, env, answers)
                else:
                    self.assertEqual(answers.get(query), wanted, f"{query}: {out.stderr}")

    def refused(self, case, query, env, answers):
        """Where Airflow raises, our start is refused in words that name the place."""
        if answers == ERROR:
            return
        out = self.probe(env, "--check")
        self.assertEqual(out.returncode, 1, f"Airflow refuses {query}; we took {answers.get(query)!r}")
        self.assertIn(query.rpartition("/")[2], out.stderr)

    def test_cases(self):
        recorded = json.loads(RECORDING.read_text())
        self.assertEqual(sorted(recorded), sorted(case["name"] for case in CASES), "record anew: test_config.py --record PYTHON")
        for case in CASES:
            with self.subTest(case["name"]):
                self.compare(case, recorded[case["name"]])


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--record":
        record(sys.argv[2])
    else:
        unittest.main()
