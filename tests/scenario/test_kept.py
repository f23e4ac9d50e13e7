"""Lists that are asked for again while nothing was committed are answered as the last time; never when they could be different."""
import re, unittest

from api_kit import Home, Server


class Kept(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.home.fill(dags=3, runs=2, tasks=2)
        self.server = Server(self.home)
        self.addCleanup(self.home.close)
        self.addCleanup(self.server.stop)

    def count(self):
        return int(re.search(r"^airflow_api_kept_answers_total (\d+)", self.server.ask("GET", "/metrics")[1], re.M)[1])

    def twice(self, path):
        """both answers, and whether the second was kept"""
        first = self.server.get(path)
        before = self.count()
        return first, self.server.get(path), self.count() > before

    def test_the_same_again(self):
        for path in ("/dags", "/dags/~/dagRuns", "/dags/d0/dagRuns/scheduled__0/taskInstances", "/dags/~/dagRuns/~/taskInstances?limit=3&order_by=-start_date"):
            with self.subTest(path):
                first, second, kept = self.twice(path)
                self.assertEqual(first, second)
                self.assertTrue(kept)

    def test_a_change_by_somebody_else(self):
        path = "/dags/d0/dagRuns/scheduled__0/taskInstances"
        self.twice(path)
        self.home.run("UPDATE task_instance SET state = 'skipped'")
        self.assertEqual({t["state"] for t in self.server.get(path)["task_instances"]}, {"skipped"})

    def test_a_change_of_its_own(self):
        self.twice("/dags")
        self.assertEqual(self.server.ask("PATCH", "/api/v2/dags/d0", {"is_paused": True})[0], 200)
        self.assertTrue(next(d for d in self.server.get("/dags")["dags"] if d["dag_id"] == "d0")["is_paused"])

    def test_what_depends_on_the_time(self):
        """A task that runs counts as ending now."""
        _, _, kept = self.twice("/dags/~/dagRuns/~/taskInstances?end_date_lte=2199-01-01T00:00:00Z")
        self.assertFalse(kept)

    def test_errors(self):
        for _ in range(2):
            self.assertEqual(self.server.ask("GET", "/api/v2/dags?limit=x")[0], 422)
        self.assertEqual(self.count(), 0)


class Others(unittest.TestCase):
    def test_nobody_gets_what_another_may_see(self):
        home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="ann:admin,bob:viewer")
        self.addCleanup(home.close)
        home.fill(dags=3)
        server = Server(home)
        self.addCleanup(server.stop)
        passwords = dict(re.findall(r"user '(\w+)': (\w+)", "".join(server.printed)))
        for name in ("ann", "bob", "ann"):
            server.token = None
            server.token = server.ask("POST", "/auth/token", {"username": name, "password": passwords[name]})[1]["access_token"]
            self.assertEqual(server.get("/dags")["total_entries"], 3)
        server.token = None
        self.assertEqual(server.ask("GET", "/api/v2/dags")[0], 401)


if __name__ == "__main__":
    unittest.main()
