"""Our reading of airflow.cfg and the environment against Airflow's own, case by case (config_cases.py).

    test_config.py                       compares with the recorded answers (recordings/config.json, config_table.json)
    test_config.py --record PYTHON       asks the Airflow of that Python and writes the recordings anew

CONFIG_PROBE names our program (tests/unit/config_probe of the build folder)."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))
from config_cases import CASES
from options_from_airflow import table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RECORDING = HERE / "recordings" / "config.json"
TABLE = HERE / "recordings" / "config_table.json"
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


# What Airflow knows by name: its options (with default and secrecy) and every earlier name its own tools mention.
ASK_TABLE = r'''
import json, sys
sys.path.insert(0, sys.argv[1])
from options_from_airflow import airflow_options
from airflow.configuration import AirflowConfigParser
from airflow.cli.commands.config_command import CONFIGS_CHANGES
old = {(s, k) for s, k, _ in AirflowConfigParser.deprecated_options.values()}
old |= {(c.config.section, c.config.option) for c in CONFIGS_CHANGES if c.renamed_to or (c.was_removed and c.remove_if_equals is None)}
options = [[s, k, default, secret] for (s, k), (default, secret, _) in airflow_options().items()]
print("\nANSWER " + json.dumps({"options": options, "old_names": sorted(old)}))
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


def ask_table(python):
    with tempfile.TemporaryDirectory() as folder:
        start = {"PATH": os.environ["PATH"], "HOME": folder, "AIRFLOW_HOME": folder}
        out = subprocess.run([python, "-c", ASK_TABLE, str(ROOT / "tools")], env=start, text=True, capture_output=True)
        answers = [line[7:] for line in out.stdout.splitlines() if line.startswith("ANSWER ")]
        return json.loads(answers[0]) if answers else sys.exit(f"Airflow did not answer:\n{out.stderr}")


def record(python):
    answers = ask_airflow(python)
    table = ask_table(python)
    TABLE.write_text("{\n" + ",\n".join(f'"{part}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for part, rows in table.items()) + "\n}\n")
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


class Table(unittest.TestCase):
    maxDiff = None

    def test_options(self):
        """Every option of Airflow is in our table, with its default."""
        ours = table(ROOT / "src" / "tables" / "options.def")
        recorded = json.loads(TABLE.read_text())["options"]
        self.assertGreater(len(recorded), 300)
        for section, key, default, secret in recorded:
            with self.subTest(f"[{section}] {key}"):
                self.assertEqual(ours.get((section, key)), (default, secret))

    def test_old_names(self):
        """Lint has a word on every earlier name that Airflow knows, and calls none unknown."""
        names = json.loads(TABLE.read_text())["old_names"]
        self.assertGreater(len(names), 100)
        sections = sorted({section for section, _ in names})
        cfg = "".join(f"[{s}]\n" + "".join(f"{k} = 1\n" for t, k in names if t == s) for s in sections)
        with tempfile.TemporaryDirectory() as folder:
            _, env = prepare({"cfg": cfg, "env": {}}, folder)
            out = subprocess.run([os.environ["CONFIG_PROBE"], "--lint"], env=env, text=True, capture_output=True)
        rows = [line.split("\t") for line in out.stdout.splitlines()]
        self.assertEqual([row for row in rows if row[0] == "unknown"], [])
        told = {(section, key) for _, section, key, _ in rows}
        silent = [tuple(name) for name in names if tuple(name) not in told]
        self.assertEqual(silent, [], out.stderr)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--record":
        record(sys.argv[2])
    else:
        unittest.main()
