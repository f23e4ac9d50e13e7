"""/metrics: well-formed, documented, and true. UPDRAFT_BUILD names the build directory."""
import pathlib, re, sys, unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import Home, ROOT, Server
from test_cli import Home as Full
from test_people import Web

SAMPLE = re.compile(r'^([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? (\S+)$')


def read(text):
    """{name: {labels: value}}, {family: type}; fails on whatever Prometheus would not take"""
    samples, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in kinds, f"{name} twice"
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            name, labels, value = SAMPLE.match(line).groups()
            family = re.sub("_(bucket|sum|count)$", "", name) if name not in kinds else name
            assert family in kinds, line
            assert labels not in samples.setdefault(name, {}), line
            samples[name][labels] = float(value)
    return samples, kinds


class Metrics(unittest.TestCase):
    def test_filled(self):
        home = Home()
        self.addCleanup(home.close)
        home.fill(dags=3, runs=3)
        home.insert("pool", {"name": 'odd "name\\\n', "slots": -1, "include_deferred": 0})
        home.run("UPDATE task_instance SET state = 'queued', queued_at = 1 WHERE state = 'running' AND task_id = 't0'")
        home.run("INSERT INTO job (job_type, state, hostname, pid, start_date, latest_heartbeat, info) VALUES ('SchedulerJob', 'running', 'h', 1, 0, 0, "
                 "'{\"steps\":7,\"commits\":6,\"commit_seconds\":0.5,\"spawns\":5,\"ends\":4}')")
        s = Server(home)
        self.addCleanup(s.stop)
        s.ask("GET", "/api/v2/nowhere")
        s.ask("GET", "/api/v2/dags")
        status, text = s.ask("GET", "/metrics")
        self.assertEqual((status, s.headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        got, kinds = read(text)
        documented = dict(re.findall(r"^\| (airflow_\w+) \| (\w+) \|", (ROOT / "docs/METRICS.md").read_text(), re.M))
        self.assertEqual(kinds, documented)
        self.assertEqual(got["airflow_task_instances"], {'{state="queued"}': 3, '{state="running"}': 6})
        self.assertEqual(got["airflow_dag_runs"], {'{state="running"}': 3})
        self.assertEqual(got["airflow_dags"], {'{state="active"}': 2, '{state="paused"}': 1})
        self.assertGreater(got["airflow_oldest_waiting_seconds"]['{state="queued"}'], 1e9)
        self.assertEqual(got["airflow_pool_slots"]['{pool="default_pool",state="queued"}'], 3)
        self.assertEqual(got["airflow_pool_slots"]['{pool="odd \\"name\\\\\\n",state="total"}'], -1)
        self.assertEqual(got["airflow_scheduler_steps_total"][None], 7)
        self.assertGreater(got["airflow_role_heartbeat_age_seconds"]['{role="Scheduler"}'], 1e9)
        self.assertLess(got["airflow_role_heartbeat_age_seconds"]['{role="ApiServer"}'], 1e6)
        self.assertEqual((got["airflow_api_requests_total"]['{status="4xx"}'], got["airflow_api_requests_total"]['{status="2xx"}']), (1, 1))
        buckets = list(got["airflow_api_request_seconds_bucket"].values())
        self.assertEqual((buckets, buckets[-1]), (sorted(buckets), got["airflow_api_request_seconds_count"][None]))

    def test_a_scheduler_counts(self):
        home = Full()
        self.addCleanup(home.close)
        home.start()
        home.ok("dags", "unpause", "words", "-y")
        home.run("dags", "trigger", "words", "--wait")   # one task of it fails, which counts as well
        port = int(home.env["AIRFLOW__API__PORT"])
        web = Web.__new__(Web)
        web.port = port
        def counted():
            got, _ = read(web.ask("GET", "/metrics")[1])
            return got.get("airflow_scheduler_tasks_started_total", {}).get(None, 0) >= 3 and got
        got = home.wait("the scheduler's counts at its next heartbeat", counted)
        self.assertEqual(got["airflow_scheduler_tasks_started_total"], got["airflow_scheduler_tasks_ended_total"])
        self.assertGreater(got["airflow_scheduler_commits_total"][None], 3)


if __name__ == "__main__":
    unittest.main()
