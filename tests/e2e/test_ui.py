"""Airflow's own web UI on our server, in a real browser: journeys.js over every page, on DAGs that ran. Needs what
tools/setup.sh test installs. E2E_SHOTS: a folder for a picture of each page."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from roles_kit import Roles, wait_for  # noqa: E402
from world import free_ports  # noqa: E402

SCRIPT = HERE / "journeys.js"
DAGS = ["ui_day", "ui_consumer", "ui_daily", "ui_slow", "ui_clears", "ui_fails", "ui_asks", "ui_paused"]
RUNS = ["ui_day", "ui_clears", "ui_fails", "ui_asks", "ui_slow"]
world = None
results, servers = {}, {}


def further_servers():
    """Two more API servers on the same store: one with a login, one below a path; what journeys.js is told of them."""
    (world.home / "simple_auth_manager_passwords.json.generated").write_text('{"olga": "secret", "vera": "secret"}')
    login, sub = free_ports(2)
    urls = {"E2E_LOGIN": f"http://127.0.0.1:{login}", "E2E_SUB": f"http://127.0.0.1:{sub}/sub"}
    world.begin("api-server", "--port", str(login), env={"AIRFLOW__API__BASE_URL": urls["E2E_LOGIN"], "AIRFLOW__API__PORT": str(login),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "olga:admin,vera:viewer"})
    world.begin("api-server", "--port", str(sub), env={"AIRFLOW__API__BASE_URL": urls["E2E_SUB"], "AIRFLOW__API__PORT": str(sub)})
    for url in urls.values():
        wait_for(url, lambda: answers(url))
    return urls


def answers(url):
    try:
        return urllib.request.urlopen(url + "/api/v2/version", timeout=60).status == 200
    except OSError:
        return False


def setUpModule():
    global world
    world = Roles(AIRFLOW__API__EXPOSE_CONFIG="True", AIRFLOW__CORE__TEST_CONNECTION="Enabled")
    shutil.copy(HERE / "dags/ui_day.py", world.dags)
    world.start()
    urls = further_servers()
    servers.update(urls)
    wait_for("the DAGs", lambda: world.store_path().exists() and set(DAGS) <= world.dag_ids())
    for dag in RUNS:
        world.trigger(dag, "e2e_1")
    wait_for("the first runs", lambda: [world.runs().get((d, "e2e_1")) for d in ("ui_day", "ui_clears", "ui_fails")] == ["success", "success", "failed"])
    wait_for("the consumer's run", lambda: any(d == "ui_consumer" and s == "success" for (d, _), s in world.runs().items()))
    wait_for("the question", lambda: world.rows("SELECT 1 FROM hitl_detail"))
    shots = os.environ.get("E2E_SHOTS", str(world.path / "shots"))
    wanted = os.environ.get("E2E_ONLY", "")
    if wanted == "crawl":
        return
    p = subprocess.run(["node", str(SCRIPT), f"http://127.0.0.1:{world.port}", shots, *([wanted] if wanted else [])], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **urls, **({} if "E2E_SHOTS" in os.environ else {"E2E_FAILED_SHOTS": "1"})})
    for line in p.stdout.splitlines():
        r = json.loads(line)
        results[r["name"]] = r
    if p.returncode:
        raise AssertionError(f"the browser left with {p.returncode}: {p.stderr[-3000:]}")


def tearDownModule():
    world.close()


class Journeys(unittest.TestCase):
    pass


class Crawl(unittest.TestCase):
    """every link that a user sees, one of each kind: no console error, no failed request, no 404, no 5xx"""

    def crawl(self, base, *user, least):
        p = subprocess.run(["node", str(HERE / "crawl.js"), base, *user], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(p.returncode, 0, p.stderr[-3000:])
        pages = [json.loads(line) for line in p.stdout.splitlines()]
        bad = [f"{x['path']} (from {x['from']}): {'; '.join(x['troubles'])}" for x in pages if x["troubles"]]
        self.assertFalse(bad, "\n".join(bad))
        self.assertGreater(len(pages), least, [x["path"] for x in pages])

    def setUp(self):
        if os.environ.get("E2E_ONLY", "crawl") != "crawl":
            self.skipTest("not asked for")

    def test_as_admin(self):
        self.crawl(servers["E2E_LOGIN"], "olga", "secret", least=30)

    def test_as_viewer(self):
        self.crawl(servers["E2E_LOGIN"], "vera", "secret", least=20)


def _method(name):
    def test(self):
        if os.environ.get("E2E_ONLY") and name not in results:
            self.skipTest("not asked for")
        self.assertIn(name, results)
        self.assertTrue(results[name]["ok"], results[name]["error"])
    return test


for _name in json.loads(subprocess.run(["node", str(SCRIPT), "--list"], text=True, stdout=subprocess.PIPE, check=True).stdout):
    setattr(Journeys, "test_" + "".join(x if x.isalnum() else "_" for x in _name), _method(_name))

if __name__ == "__main__":
    unittest.main()
