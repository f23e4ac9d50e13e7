"""updraft db export and db restore. UPDRAFT_BUILD names the build directory."""
import json, pathlib, sys, threading, unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import Home, Server
from test_import import KEY, command, restore


class Export(unittest.TestCase):
    def setUp(self):
        self.homes = []

    def tearDown(self):
        for h in self.homes:
            h.close()

    def home(self):
        self.homes.append(Home())
        return self.homes[-1]

    def filled(self):
        home = self.home()
        old = restore("airflow_3_3.sql.gz", home.path / "old.db")
        command(home, "db", "import", f"sqlite:///{old}", "--fernet-key", KEY, "--yes")
        home.run("INSERT INTO variable VALUES (?, ?, 0, NULL, NULL)", "odd", "line\nnext \x1b \u2028 ü \U0001f600 \"quoted\" \\")
        home.run("UPDATE dag SET last_parse_duration = 0.1 + 0.2 WHERE dag_id = 'old_shop'")
        home.add_dag("gone")
        home.add_run("gone", "gone")
        home.run("DELETE FROM dag_run WHERE dag_id = 'gone'")
        return home

    def lines(self, home, name="a.jsonl"):
        command(home, "db", "export", str(home.path / name))
        return (home.path / name).read_bytes()

    def test_twice_and_there_and_back_give_the_same_bytes(self):
        one = self.filled()
        first = self.lines(one)
        self.assertEqual(self.lines(one, "b.jsonl"), first)
        self.assertEqual(command(one, "db", "export", "-").encode(), first)
        self.assertEqual((one.path / "a.jsonl").stat().st_mode & 0o777, 0o600)
        two = self.home()
        command(two, "db", "restore", str(one.path / "a.jsonl"), "--yes")
        self.assertEqual(self.lines(two), first)
        self.assertEqual(one.run("SELECT * FROM task_instance ORDER BY id"), two.run("SELECT * FROM task_instance ORDER BY id"))
        self.assertEqual(one.run("SELECT value FROM variable WHERE key = 'odd'"), two.run("SELECT value FROM variable WHERE key = 'odd'"))
        two.add_dag("d")
        self.assertGreater(two.add_run("d", "next"), one.run("SELECT max(id) FROM dag_run")[0][0] + 1, "no number is given twice")
        command(two, "db", "check")

    def test_every_table_is_in_it(self):
        text = self.lines(self.filled()).decode().splitlines()
        self.assertEqual(json.loads(text[0])["updraft_export"], 1)
        tables = {json.loads(t)["table"] for t in text if t.startswith('{"table"')}
        there = {r[0] for r in self.homes[0].run("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")}
        self.assertEqual(there - tables, {"lease", "job", "login_failure"})

    def test_a_broken_file_changes_nothing(self):
        one = self.filled()
        good = self.lines(one).decode().splitlines(keepends=True)
        row = next(i for i, t in enumerate(good) if t.startswith("["))
        broken = {"missing": good[:-1], "shorter": good[:row] + good[row + 1:], "longer": good + ["{}\n"], "other schema": [good[0].replace('"schema":', '"schema":9')] + good[1:],
                  "no export": ["[1]\n"], "no JSON": good[:row] + ["[\n"], "a table of nobody": good[:1] + ['{"table":"x\\"; DROP TABLE dag; --","columns":["a"]}\n'],
                  "a column of nobody": good[:1] + ['{"table":"dag","columns":["dag_id","x"]}\n'], "twice": good[:row] + [good[row]] + good[row:], "empty": []}
        for why, lines in broken.items():
            with self.subTest(why):
                (one.path / "broken.jsonl").write_text("".join(lines))
                said = command(one, "db", "restore", str(one.path / "broken.jsonl"), "--yes", status=1)
                self.assertIn("nothing was changed", said)
        self.assertEqual(self.lines(one).decode(), "".join(good))

    def test_it_asks(self):
        one = self.filled()
        before = self.lines(one)
        command(one, "db", "restore", str(one.path / "a.jsonl"), status=1)
        self.assertEqual(self.lines(one), before)

    def test_while_somebody_writes_it_is_of_one_moment(self):
        one = self.filled()
        one.run("CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT i FROM n")
        one.run("INSERT INTO variable SELECT 'k' || i, '0', 0, NULL, NULL FROM n")
        done = threading.Event()
        out = []
        t = threading.Thread(target=lambda: (out.append(command(one, "db", "export", "-")), done.set()))
        t.start()
        n = 0
        while not done.is_set():              # both or neither: the first and the last row by key
            n += 1
            one.run("UPDATE variable SET value = ? WHERE key IN ('k1', 'k9999')", str(n))
        t.join()
        values = {json.loads(x)[-1] for x in out[0].splitlines() if '"k1"' in x or '"k9999"' in x}
        self.assertEqual(len(values), 1, values)


if __name__ == "__main__":
    unittest.main()
