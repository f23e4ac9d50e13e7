#!/usr/bin/env python3
"""The words of the command line: exit code and stdout, against recordings of real Airflow.

Where it ends with 2 (misuse) the usage text is each program's own, and so is the text of an error; that there is one is checked.
What `tasks test`, `dags test` and `db check` print is a log, not compared either. Rows that come without an order are sorted.

    python3 tests/conformance/test_cli.py [-k word]        CONFORMANCE_AIRFLOW: as in test_conformance.py
    python3 tests/conformance/test_cli.py --record VENV/bin/airflow        CONFORMANCE_DATABASE: a URL, _cli is appended"""
import json
import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from api_world import DAGS, FIRST, prepare  # noqa: E402
from compare import differences  # noqa: E402
from harness import Server  # noqa: E402
from observe import Normaliser  # noqa: E402

PROGRAM = os.environ.get("CONFORMANCE_AIRFLOW", os.path.join(HERE, "..", "..", "build", "bin", "airflow"))
RECORDING = os.path.join(HERE, "recordings", "cli.json")
SEEN = {}
# {run}: the first run of api_outcomes; {tmp}: a private directory. A word in quotes may hold blanks.
COMMANDS = [line.strip() for line in """
    version
    dags list
    dags list -o json
    dags list -o yaml
    dags list -o plain
    dags list --columns dag_id,owners
    dags list --columns dag_id,nonsense
    dags list -o nonsense
    dags list-runs api_outcomes
    dags list-runs api_outcomes -o json
    dags list-runs api_outcomes --state failed -o plain
    dags list-runs api_paused
    dags list-runs nowhere
    dags state api_outcomes {run}
    dags state api_outcomes 2015-06-02
    dags state api_outcomes 2016-01-01
    dags state nowhere 2015-06-01
    dags next-execution api_manual
    dags next-execution api_outcomes
    dags next-execution nowhere
    dags pause api_manual
    dags pause api_manual -o json
    dags unpause api_manual
    dags unpause nowhere
    dags details nowhere
    dags list-import-errors -o json
    dags trigger nowhere
    dags trigger api_required
    dags trigger api_manual --conf {bad
    dags nonsense
    dags delete nowhere -y
    tasks list api_outcomes
    tasks list nowhere
    tasks state api_outcomes good {run}
    tasks state api_outcomes bad 2015-06-02
    tasks state api_outcomes good 2016-01-01
    tasks state api_outcomes nowhere 2015-06-01
    tasks state nowhere good 2015-06-01
    tasks states-for-dag-run api_outcomes 2015-06-01
    tasks states-for-dag-run api_outcomes {run} -o json
    tasks states-for-dag-run api_outcomes nowhere
    tasks render api_outcomes good {run}
    tasks render api_outcomes good 2015-06-02
    tasks render api_outcomes nowhere 2015-06-02
    variables list
    variables list -o json
    variables set one 1
    variables set two "text of words"
    variables set three {"a":1} -j
    variables set four 4 --description "a fourth"
    variables get one
    variables get two
    variables get three
    variables get three -j
    variables get nowhere
    variables get nowhere -d fallback
    variables list -o json
    variables list -o plain
    variables export {tmp}/v.json
    variables export -
    variables delete one
    variables delete nowhere
    variables import {tmp}/v.json
    variables import {tmp}/v.json -a skip
    variables import {tmp}/v.json -a fail
    variables import {tmp}/nowhere.json
    variables get one
    connections list
    connections add db --conn-uri postgres://user:p%40ssword@host:5432/base?sslmode=require
    connections add db --conn-uri postgres://other@host/base
    connections add bare --conn-type generic --conn-host h --conn-login l --conn-password secret --conn-port 80 --conn-extra {"a":1} --conn-description words
    connections add json --conn-json {"conn_type":"generic","host":"h","extra":{"k":"v"}}
    connections add nothing
    connections add both --conn-uri http://h --conn-type http
    connections add wrong --conn-uri nonsense
    connections get db
    connections get db -o json
    connections get nowhere
    connections list -o json
    connections list --conn-id db
    connections export {tmp}/c.json
    connections export {tmp}/c.yaml
    connections export {tmp}/c.env
    connections export {tmp}/c.txt
    connections export - --file-format json
    connections delete bare
    connections delete nowhere
    connections import {tmp}/c.json
    connections import {tmp}/c.json --overwrite
    connections import {tmp}/nowhere.json
    pools list
    pools set small 3 "a pool"
    pools set small 4 "a wider pool"
    pools set bad x "no number"
    pools set deferring 2 "with deferred" --include-deferred
    pools get small
    pools get small -o json
    pools get nowhere
    pools list -o json
    pools export {tmp}/p.json
    pools delete small
    pools delete nowhere
    pools delete default_pool
    pools import {tmp}/p.json
    pools import {tmp}/nowhere.json
    config get-value core executor
    config get-value core nowhere
    config get-value nowhere nowhere
    config get-value core dags_folder
    db check
    tasks test api_outcomes good 2015-06-01
    tasks test api_outcomes bad 2015-06-01
    tasks test api_outcomes nowhere 2015-06-01
    dags test api_manual 2015-07-01
    dags test nowhere
    nonsense
    dags
""".strip().splitlines()]
UNORDERED = ("variables list", "connections list", "tasks states-for-dag-run")
FILES = ("v.json", "c.json", "c.yaml", "c.env", "p.json")
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z \[")


def split(command, names):
    words = re.findall(r'"([^"{}]* [^"{}]*)"|(\S+)', command)
    return [a or re.sub(r"\{(run|tmp)\}", lambda m: names[m[1]], b) for a, b in words]


def tidy(text, norm):
    """Lines of stdout: without log lines and warnings, table columns and rules narrowed to one blank and one sign."""
    out, warning = [], False
    for line in text.splitlines():
        if LOG_LINE.match(line):
            warning = "[warning" in line
            continue
        if warning and ("graphviz" in line or "system packages" in line):
            continue
        line = re.sub(r"=+(\+|$)", r"=\1", line) if set(line) <= set("=+") else line
        out.append(re.sub(r" {2,}", " ", norm(line)).rstrip())
    return [line for line in out if line]


def outcome(command, code, out, err):
    """What of one command is compared."""
    if code == 2 or command.split()[1:2] == ["test"] or command == "db check":
        out = []
    if command.startswith(UNORDERED):
        out = sorted(json.loads(out[0]), key=str) if "json" in command and out else sorted(out)
    return {"exit": code, "stdout": out, "complains": bool(err.strip()) if code else None}


def observe(program, home, extra):
    """{command: {exit, stdout, stderr}} and the files written."""
    with Server(program, os.path.join(home, "home"), DAGS, extra) as server:
        prepare(server)
        norm, seen = Normaliser(server), {}
        names = {"run": FIRST, "tmp": home}
        for n, command in enumerate(COMMANDS):
            code, out, err = server.cli(*split(command, names))
            seen[f"{n:03} {command}"] = outcome(command, code, tidy(out.replace(home, "{tmp}"), norm), err)
    for name in FILES:
        path = os.path.join(home, name)
        seen["file " + name] = "<absent>"
        if os.path.exists(path):
            with open(path) as f:
                seen["file " + name] = f.read()
    return seen


def database():
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": os.environ["CONFORMANCE_DATABASE"] + "_cli"} if "CONFORMANCE_DATABASE" in os.environ else {}


def recorded():
    with open(RECORDING) as f:
        return json.load(f)


def setUpModule():
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        SEEN.update(json.loads(json.dumps(observe(PROGRAM, home, database()))))


class CommandLine(unittest.TestCase):
    maxDiff = None

    def compare(self, name):
        expected, seen = recorded()[name], SEEN[name]
        found = differences(expected, seen)
        if found:
            self.fail(f"{name}\n" + "\n".join(found[:30]))


for number, text in enumerate(COMMANDS):
    key = f"{number:03} {text}"
    setattr(CommandLine, "test_" + re.sub(r"\W+", "_", key), lambda self, key=key: self.compare(key))
for file_name in FILES:
    setattr(CommandLine, "test_file_" + file_name.replace(".", "_"), lambda self, key="file " + file_name: self.compare(key))


def main():
    if "--record" not in sys.argv:
        return unittest.main()
    program = sys.argv[sys.argv.index("--record") + 1]
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        seen = observe(program, home, database())
    with open(RECORDING, "w") as f:
        json.dump(seen, f, indent=1, sort_keys=True, ensure_ascii=False)
        f.write("\n")
    print(len(seen), "commands and files")


if __name__ == "__main__":
    main()
