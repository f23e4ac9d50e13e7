"""The api-server role over a filled database: lists, errors, changes, logs, login. UPDRAFT_BUILD names the build directory."""
import base64, http.client, json, shutil, socket, ssl, subprocess, threading, unittest, urllib.parse

from api_kit import Home, PROBE, Server, T0


class Open(unittest.TestCase):
    """all_admins: what is asked and answered, without login in the way"""

    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.home.fill()
        cls.s = Server(cls.home)

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.home.close()

    def fails(self, status, method, path, detail=None, body=None, **kw):
        got, answer = self.s.ask(method, "/api/v2" + path, body, **kw)
        self.assertEqual(got, status, answer)
        if detail is not None:
            self.assertEqual(answer["detail"], detail)
        return answer

    def ids(self, path, key="dags", name="dag_id"):
        return [x[name] for x in self.s.get(path)[key]]

    # ---- lists ----

    def test_dag_filters(self):
        for query, want in {"": ["d0", "d1", "d2", "d3"], "limit=2": ["d0", "d1"], "limit=2&offset=3": ["d3"], "limit=0": [], "order_by=-dag_id": ["d3", "d2", "d1", "d0"],
                            "paused=true": ["d1", "d3"], "tags=red": ["d1", "d2"], "tags=red&tags=blue&tags_match_mode=all": ["d2"], "tags=blue&tags=x": ["d2"],
                            "owners=bob": ["d1"], "dag_id_pattern=D1": ["d1"], "dag_id_pattern=d1|d2": ["d1", "d2"], "dag_id_pattern=~": ["d0", "d1", "d2", "d3"],
                            "dag_id_pattern=%25": ["d0", "d1", "d2", "d3"], "dag_id_prefix_pattern=d": ["d0", "d1", "d2", "d3"], "dag_id_prefix_pattern=D": [],
                            "last_dag_run_state=running": ["d0", "d1", "d2", "d3"], "last_dag_run_state=failed": [], "dag_run_state=failed&limit=1": ["d0"],
                            "bundle_name=other": [], "is_favorite=true": [], "unknown=1&limit=1": ["d0"], "has_asset_schedule=false&limit=1": ["d0"],
                            "order_by=-last_run_start_date&order_by=dag_id": ["d0", "d1", "d2", "d3"], "timetable_type=x": []}.items():
            with self.subTest(query):
                self.assertEqual(self.ids("/dags?" + query), want)

    def test_run_filters(self):
        for query, want in {"": 3, "state=failed": 1, "state=failed&state=success": 2, "run_id_pattern=d__1": 1, "run_id_prefix_pattern=scheduled__2": 1, "run_type=manual": 0,
                            "logical_date_gte=2020-09-14T00:00:00Z": 2, "logical_date_lt=2020-09-14": 1, "run_after_lte=2020-09-14T12:26:40%2B00:00": 1,
                            "start_date_gte=2100-01-01T00:00:00Z": 0, "duration_gte=1": 3, "duration_gt=1.5": 0, "conf_contains={": 3, "dag_version=1": 3, "dag_version=2": 0}.items():
            with self.subTest(query):
                self.assertEqual(self.s.get("/dags/d3/dagRuns?" + query)["total_entries"], want)
        self.assertEqual(self.s.get("/dags/~/dagRuns?limit=1&dag_id_pattern=d3")["total_entries"], 3)

    def test_task_filters(self):
        base = "/dags/d3/dagRuns/~/taskInstances?"
        for query, want in {"": 9, "state=failed": 3, "state=none": 0, "task_id=t1": 3, "operator=BashOperator": 9, "queue=default": 9, "pool=x": 0, "version_number=1": 9,
                            "try_number=2": 0, "map_index=-1": 9, "task_display_name_pattern=T2": 3, "task_group_id=g": 3, "executor=x": 0, "duration_lt=1": 9}.items():
            with self.subTest(query):
                self.assertEqual(self.s.get(base + query)["total_entries"], want)
        self.fails(404, "GET", base + "task_group_id=nope", {"reason": "not_found", "message": "Task group nope not found"})

    def test_cursor(self):
        seen, cursor = [], ""
        while cursor is not None:
            page = self.s.get(f"/dags/~/dagRuns?limit=5&cursor={cursor}&dag_id_pattern=d3&order_by=-run_after")
            seen += [r["dag_run_id"] for r in page["dag_runs"]]
            cursor = page["next_cursor"]
        self.assertEqual(seen, ["scheduled__2", "scheduled__1", "scheduled__0"])
        self.fails(400, "GET", "/dags/~/dagRuns?cursor=%21", "Invalid cursor token")

    def test_batch_lists(self):
        status, got = self.s.ask("POST", "/api/v2/dags/~/dagRuns/list", {"dag_ids": ["d3"], "states": ["failed"], "order_by": "-run_after"})
        self.assertEqual((status, got["total_entries"]), (200, 1))
        status, got = self.s.ask("POST", "/api/v2/dags/~/dagRuns/~/taskInstances/list", {"dag_ids": ["d3"], "state": [None, "failed"], "page_limit": 1})
        self.assertEqual((status, got["total_entries"], len(got["task_instances"])), (200, 3, 1))
        self.fails(422, "POST", "/dags/~/dagRuns/list", body={"bad": 1})

    def test_every_list_has_its_shape(self):
        for path, key in {"/dags": "dags", "/variables": "variables", "/connections": "connections", "/pools": "pools", "/importErrors": "import_errors", "/eventLogs": "event_logs",
                          "/jobs": "jobs", "/dags/d0/dagVersions": "dag_versions", "/dagWarnings": "dag_warnings", "/dagTags": "tags", "/assets": "assets",
                          "/assets/aliases": "asset_aliases", "/assets/events": "asset_events", "/backfills?dag_id=d0": "backfills", "/dagStats": "dags", "/dags/d0/tasks": "tasks",
                          "/dags/d0/dagRuns/scheduled__0/taskInstances/t0/xcomEntries": "xcom_entries"}.items():
            with self.subTest(path):
                got = self.s.get(path)
                self.assertIsInstance(got[key], list)
                self.assertIsInstance(got["total_entries"], int)
                if path not in ("/dagStats", "/dags/d0/tasks"):
                    self.fails(422, "GET", path + ("&" if "?" in path else "?") + "limit=x")

    # ---- errors ----

    def test_errors(self):
        self.fails(404, "GET", "/dags/nope", "The Dag with ID: `nope` was not found")
        self.fails(404, "GET", "/dags/nope/dagRuns", "The Dag with ID: `nope` was not found")
        self.fails(404, "GET", "/dags/d0/dagRuns/x", "The DagRun with dag_id: `d0` and run_id: `x` was not found")
        self.fails(404, "GET", "/dags/d0/dagRuns/x/taskInstances", "DagRun with dag_id: `d0` and run_id: `x` was not found")
        self.fails(404, "GET", "/dags/d0/dagRuns/scheduled__0/taskInstances/x", "The Task Instance with dag_id: `d0`, run_id: `scheduled__0` and task_id: `x` was not found")
        self.fails(400, "GET", "/dags?order_by=bad", "Ordering with 'bad' is disallowed or the attribute does not exist on the model")
        self.fails(422, "GET", "/dags/d0/dagRuns?state=foo", "Invalid value for state. Valid values are queued, running, success, failed")
        self.fails(422, "GET", "/dags?limit=-1&paused=maybe", [
            {"type": "greater_than_equal", "loc": ["query", "limit"], "msg": "Input should be greater than or equal to 0", "input": "-1", "ctx": {"ge": 0}},
            {"type": "bool_parsing", "loc": ["query", "paused"], "msg": "Input should be a valid boolean, unable to interpret input", "input": "maybe"}])
        self.assertEqual(self.s.ask("GET", "/api/v2/nope"), (404, {"error": "API route not found"}))
        self.assertEqual(self.s.ask("GET", "/api/v2/dags/"), (404, {"error": "API route not found"}))
        self.assertEqual(self.s.ask("DELETE", "/api/v2/version"), (405, {"detail": "Method Not Allowed"}))
        self.assertEqual(self.s.headers["allow"], "GET")
        self.assertEqual(self.s.ask("HEAD", "/api/v2/dags")[0], 405)

    def test_trigger_validation(self):
        cases = [({}, "missing", ["body", "logical_date"]), ({"logical_date": None, "foo": 1}, "extra_forbidden", ["body", "foo"]),
                 ({"logical_date": "2020-01-01"}, "timezone_aware", ["body", "logical_date"]), ({"logical_date": "nonsense"}, "datetime_from_date_parsing", ["body", "logical_date"]),
                 ({"logical_date": True}, "datetime_type", ["body", "logical_date"]), ({"logical_date": None, "conf": []}, "dict_type", ["body", "conf"]),
                 ({"logical_date": None, "dag_run_id": 5}, "string_type", ["body", "dag_run_id"]), ([], "model_attributes_type", ["body"]),
                 ({"logical_date": None, "data_interval_start": "2020-01-01T00:00:00Z"}, "value_error", ["body"])]
        for body, kind, loc in cases:
            with self.subTest(body=body):
                first = self.fails(422, "POST", "/dags/d0/dagRuns", body=body)["detail"][0]
                self.assertEqual((first["type"], first["loc"]), (kind, loc))
        broken = self.fails(422, "POST", "/dags/d0/dagRuns", body="{bad", headers={"Content-Type": "application/json"})["detail"][0]
        self.assertEqual((broken["type"], broken["loc"], broken["ctx"]["error"]), ("json_invalid", ["body", 1], "Expecting property name enclosed in double quotes"))
        for run_id in ("a/b", "..", "scheduled__2015", "a b"):
            self.fails(400, "POST", "/dags/d0/dagRuns", body={"logical_date": None, "dag_run_id": run_id})
        self.fails(404, "POST", "/dags/nope/dagRuns", "Dag with dag_id: 'nope' not found", body={"logical_date": None})

    def test_injection(self):
        for bad in ("' OR 1=1 --", '";DROP TABLE dag;--', "%27", "d0' UNION SELECT 1"):
            q = urllib.parse.quote(bad, safe="")
            self.fails(404, "GET", f"/dags/{q}")
            self.assertEqual(self.s.get(f"/dags?dag_id_pattern={q}&tags={q}&owners={q}&bundle_name={q}")["total_entries"], 0)
            self.fails(400, "GET", f"/dags?order_by={q}")
        self.assertEqual(self.s.get("/dags")["total_entries"], 4)
        status, _ = self.s.ask("GET", "/api/v2/auth/login?next=" + urllib.parse.quote("/x\r\nSet-Cookie: a=b"))
        self.assertEqual(status, 400)

    # ---- DAGs ----

    def test_details_and_tasks(self):
        d = self.s.get("/dags/d1/details")
        self.assertEqual((d["dag_run_timeout"], d["doc_md"], d["catchup"], d["start_date"]), ("P1DT1H0.5S", "Title\n\n  more", True, "2015-06-01T00:00:00Z"))
        self.assertEqual(d["params"], {"p": {"value": 5, "schema": {"type": "integer"}, "description": None, "source": "dag"}})
        self.assertEqual(d["default_args"], {"retries": 1, "retry_delay": "PT5M"})
        self.assertEqual((d["latest_dag_version"]["version_number"], d["owners"], d["active_runs_count"]), (1, ["ann", "bob"], 1))
        t = self.s.get("/dags/d1/tasks/t0")
        self.assertEqual((t["retries"], t["downstream_task_ids"], t["retry_delay"], t["extra_links"]), (2.0, ["t1"], {"__type": "TimeDelta", "days": 0, "seconds": 60, "microseconds": 0}, ["Somewhere"]))
        self.fails(404, "GET", "/dags/d1/tasks/x", "Task with id x was not found")
        self.assertEqual(self.s.get("/dagSources/d1")["content"], "print(1)\n")
        self.assertEqual(self.s.ask("GET", "/api/v2/dagSources/d1", headers={"Accept": "text/plain"}), (200, "print(1)\n"))
        stats = self.s.get("/dagStats?dag_ids=d3")["dags"]
        self.assertEqual([(x["state"], x["count"]) for x in stats[0]["stats"]], [("queued", 0), ("running", 1), ("success", 1), ("failed", 1)])
        links = self.s.get("/dags/d0/dagRuns/scheduled__0/taskInstances/t0/links")
        self.assertEqual(links, {"extra_links": {"Somewhere": None}, "total_entries": 1})

    def test_pause(self):
        self.assertTrue(self.s.ask("PATCH", "/api/v2/dags/d2", {"is_paused": True})[1]["is_paused"])
        self.assertFalse(self.s.ask("PATCH", "/api/v2/dags/d2?update_mask=is_paused", {"is_paused": "false"})[1]["is_paused"])
        for word, paused in ((1, True), ("off", False), ("YES", True), (0, False)):
            self.assertIs(self.s.ask("PATCH", "/api/v2/dags/d2", {"is_paused": word})[1]["is_paused"], paused, word)
        self.fails(400, "PATCH", "/dags/d2?update_mask=tags", body={"is_paused": True})
        self.fails(422, "PATCH", "/dags/d2", body={"is_pause": True})
        self.fails(404, "PATCH", "/dags/nope", "Dag with id: nope was not found", body={"is_paused": True})
        many = self.s.ask("PATCH", "/api/v2/dags?dag_id_pattern=d2", {"is_paused": True})[1]
        self.assertEqual([(d["dag_id"], d["is_paused"]) for d in many["dags"]], [("d2", True)])
        self.assertEqual(self.s.ask("PATCH", "/api/v2/dags", {"is_paused": True})[1]["total_entries"], 0)
        self.s.ask("PATCH", "/api/v2/dags/d2", {"is_paused": False})

    def test_favorites_and_delete(self):
        self.home.add_dag("gone")
        self.assertEqual(self.s.ask("POST", "/api/v2/dags/gone/favorite")[0], 204)
        self.assertEqual(self.ids("/dags?is_favorite=true"), ["gone"])
        self.assertEqual(self.s.ask("POST", "/api/v2/dags/gone/unfavorite")[0], 204)
        self.assertEqual(self.s.ask("DELETE", "/api/v2/dags/gone")[0], 204)
        self.fails(404, "DELETE", "/dags/gone", "Dag with id: gone was not found")
        self.fails(409, "DELETE", "/dags/d0", "Task instances of dag with id: 'd0' are still running")

    # ---- runs ----

    def test_run_life(self):
        status, run = self.s.ask("POST", "/api/v2/dags/d1/dagRuns", {"logical_date": None, "dag_run_id": "mine", "conf": {"a": [1, 2.5, None]}})
        self.assertEqual((status, run["dag_run_id"], run["state"], run["conf"], run["triggered_by"]), (200, "mine", "queued", {"a": [1, 2.5, None]}, "rest_api"))
        again = self.fails(409, "POST", "/dags/d1/dagRuns", body={"logical_date": None, "dag_run_id": "mine"})
        self.assertEqual(again["detail"]["reason"], "Unique constraint violation")
        patched = self.s.ask("PATCH", "/api/v2/dags/d1/dagRuns/mine", {"state": "failed", "note": "why"})[1]
        self.assertEqual((patched["state"], patched["note"]), ("failed", "why"))
        masked = self.s.ask("PATCH", "/api/v2/dags/d1/dagRuns/mine?update_mask=note", {"state": "success", "note": "new"})[1]
        self.assertEqual((masked["state"], masked["note"]), ("failed", "new"))
        self.fails(422, "PATCH", "/dags/d1/dagRuns/mine", body={"state": "running"})
        self.assertEqual(self.s.ask("POST", "/api/v2/dags/d1/dagRuns/mine/clear", {"dry_run": False})[1]["state"], "queued")
        dry = self.s.ask("POST", "/api/v2/dags/d1/dagRuns/scheduled__1/clear", {"only_failed": True})[1]
        self.assertEqual(dry["total_entries"], 3)
        new = {"task_instances": [{"task_id": "t9", "task_display_name": "t9"}], "total_entries": 1}
        self.home.run("INSERT INTO dag_version_task (version, task_id, is_mapped) SELECT version, 't9', 0 FROM dag WHERE dag_id = 'd1'")
        self.assertEqual(self.s.ask("POST", "/api/v2/dags/d1/dagRuns/scheduled__1/clear", {"only_new": True}), (200, new))
        self.assertEqual(self.s.ask("POST", "/api/v2/dags/d1/clearDagRuns", {"only_new": True, "dag_runs": [{"dag_run_id": "scheduled__1"}]}), (200, new))
        self.home.run("DELETE FROM dag_version_task WHERE task_id = 't9'")
        self.fails(409, "DELETE", "/dags/d1/dagRuns/scheduled__2", "The DagRun with dag_id: `d1` and run_id: `scheduled__2` cannot be deleted in running state")
        waited = self.s.ask("GET", "/api/v2/dags/d1/dagRuns/scheduled__0/wait?interval=1")
        self.assertEqual(waited, (200, '{"state": "success"}\n'))
        events = self.s.get("/eventLogs?dag_id=d1&run_id=mine&order_by=id")["event_logs"]
        self.assertEqual([e["event"] for e in events][:2], ["trigger_dag_run", "patch_dag_run"])

    def test_wait_follows(self):
        self.home.add_run("d1", "slow", state="running", n=50)
        got = []
        t = threading.Thread(target=lambda: got.append(self.s.ask("GET", "/api/v2/dags/d1/dagRuns/slow/wait?interval=0.05")))
        t.start()
        self.home.run("UPDATE dag_run SET state = 'failed' WHERE run_id = 'slow'")
        t.join()
        self.assertTrue(got[0][1].endswith('{"state": "failed"}\n'))
        self.assertLess(got[0][1].count("\n"), 50)
        self.home.run("DELETE FROM dag_run WHERE run_id = 'slow'")

    def test_windows_of_partitions(self):
        for path in ("/dags/d1/clearPartitions", "/dags/d1/clearDagRuns"):
            for start, end, wrong in ((2, 1, True), ("2020-01-02", "2020-01-01T00:00:00Z", True), (1, "2020-01-01", False), ("x", 5, True), (1.5, None, False)):
                status, answer = self.s.ask("POST", "/api/v2" + path, {"partition_date_start": start, "partition_date_end": end})
                self.assertEqual(status, 422 if wrong else 200, (path, start, end, answer))

    def test_wait_tells_results(self):
        run = self.home.add_run("d1", "told", n=51)
        for task, index, named, value in (("t0", -1, 1, '{"a": 1}'), ("t1", 0, 0, "5"), ("t1", 1, 0, "null"), ("t2", -1, 0, '"x"')):
            self.home.insert("xcom", {"dag_run": run, "task_id": task, "key": "return_value", "map_index": index, "timestamp": T0, "dag_result": named, "value": value})
        for query, want in (("", {"t0": {"a": 1}}), ("&result=t1&result=t2", {"t1": [5, None], "t2": "x"}), ("&result=none", None)):
            lines = self.s.ask("GET", "/api/v2/dags/d1/dagRuns/told/wait?interval=5" + query)[1].splitlines()
            self.assertEqual([json.loads(x) for x in lines], [{"state": "success", **({"results": want} if want else {})}])
        for query in ("", "?interval=0", "?interval=x"):
            self.fails(422, "GET", "/dags/d1/dagRuns/told/wait" + query)
        self.home.run("DELETE FROM xcom WHERE dag_run = ?", run)
        self.home.run("DELETE FROM dag_run WHERE id = ?", run)

    def test_accept(self):
        for path in ("/api/v2/dagSources/d0", "/api/v2/config", "/api/v2/config/section/core/option/parallelism"):
            self.assertEqual(self.s.ask("GET", path, headers={"Accept": "image/png"}), (406, {"detail": "Only application/json or text/plain is supported"}))
        self.assertEqual(self.s.ask("GET", "/api/v2/dagSources/d0", headers={"Accept": "text/plain"}), (200, "print(1)\n"))

    # ---- task instances ----

    def test_mapped_and_tries(self):
        run = self.home.add_run("d1", "maps", n=60)
        for i in range(3):
            self.home.add_ti(run, "t1", map_index=i, dag_id="d1", rendered_map_index="x" if i == 2 else None)
        self.home.add_ti(run, "t0", try_number=2, dag_id="d1")
        self.home.run("INSERT INTO task_try (ti, dag_run, task_id, map_index, try_number, state, max_tries, pool_slots, priority_weight, reschedules, updated) VALUES (x'00', ?, 't0', -1, 1, 'failed', 2, 1, 1, 0, 0)", run)
        base = "/dags/d1/dagRuns/maps/taskInstances"
        self.assertEqual([t["rendered_map_index"] for t in self.s.get(base + "/t1/listMapped")["task_instances"]], ["0", "1", "x"])
        self.assertEqual(self.s.get(base + "/t1/1")["map_index"], 1)
        self.fails(404, "GET", base + "/t1", "Task instance is mapped, add the map_index value to the URL")
        self.fails(404, "GET", base + "/t1/7")
        self.fails(422, "GET", base + "/t1/x")
        self.assertEqual([(t["try_number"], t["state"]) for t in self.s.get(base + "/t0/tries")["task_instances"]], [(1, "failed"), (2, "success")])
        self.assertEqual(self.s.get(base + "/t0/tries/1")["state"], "failed")
        self.fails(404, "GET", base + "/t0/tries/3")
        self.home.run("DELETE FROM task_instance WHERE dag_run = ?", run)
        self.home.run("DELETE FROM dag_run WHERE id = ?", run)

    def test_marks_reach_other_runs_in_an_order(self):
        """What lets tasks of the run after it start is for the newest run first; a failure for the oldest (depends_on_past)."""
        path = "/api/v2/dags/d3/dagRuns/scheduled__1/taskInstances/t0"
        runs = [r[0] for r in self.home.run("SELECT run_id FROM dag_run WHERE dag_id = 'd3' ORDER BY logical_date")]
        self.assertEqual(len(runs), 3)
        for state, want in (("failed", runs), ("skipped", runs[::-1]), ("failed", runs), ("success", runs[::-1])):
            last = self.home.run("SELECT COALESCE(max(id), 0) FROM command")[0][0]
            code, got = self.s.ask("PATCH", path, {"new_state": state, "include_past": True, "include_future": True})[:2]
            self.assertEqual(code, 200, got)
            asked = self.home.run("SELECT args FROM command WHERE id > ? AND kind = 'ti.mark' ORDER BY id", last)
            self.assertEqual([json.loads(a[0])["run_id"] for a in asked], want, state)

    def test_change_and_clear(self):
        base = "/api/v2/dags/d3/dagRuns/scheduled__1/taskInstances"
        got = self.s.ask("PATCH", base + "/t0", {"new_state": "Success", "note": "n", "include_downstream": True})[1]
        self.assertEqual([t["task_id"] for t in got["task_instances"]], ["t0"])
        self.assertEqual({t["note"] for t in got["task_instances"]}, {"n"})
        up = self.s.ask("PATCH", base + "/t1/dry_run", {"new_state": "success", "include_upstream": True, "include_past": True})[1]
        self.assertEqual(sorted((t["dag_run_id"], t["task_id"]) for t in up["task_instances"]), [("scheduled__1", "t0"), ("scheduled__1", "t1")])
        self.fails(422, "PATCH", base[7:] + "/t0", body={"new_state": "running"})
        self.fails(404, "PATCH", base[7:] + "/x", body={"new_state": "failed"})
        clear = "/dags/d3/clearTaskInstances"
        for body, want in (({"dag_run_id": "scheduled__1"}, 3), ({"dag_run_id": "scheduled__1", "task_ids": ["t1"]}, 1), ({"dag_run_id": "scheduled__1", "task_ids": [["t1", -1]]}, 1),
                           ({"dag_run_id": "scheduled__1", "task_ids": ["t1"], "include_upstream": True}, 2), ({"dag_run_id": "scheduled__1", "only_failed": False, "include_past": True}, 6),
                           ({"only_failed": False}, 9), ({"only_failed": False, "only_running": True}, 3), ({"only_failed": False, "end_date": "2020-09-13T12:26:40Z"}, 3),
                           ({"dry_run": False, "dag_run_id": "scheduled__1", "task_ids": ["t2"]}, 1)):
            with self.subTest(body=body):
                self.assertEqual(self.s.ask("POST", "/api/v2" + clear, body)[1]["total_entries"], want)
        for body in ({"only_failed": True, "only_running": True}, {"task_ids": []}, {"dag_run_id": "x", "start_date": "2020-01-01T00:00:00Z"}):
            self.assertEqual(self.fails(422, "POST", clear, body=body)["detail"][0]["type"], "value_error")
        self.fails(404, "POST", clear, "Dag Run id x not found in dag d3", body={"dag_run_id": "x"})

    # ---- logs ----

    def log_file(self, run, task="t0", n=1):
        path = self.home.path / f"logs/dag_id=d0/run_id={run}/task_id={task}"
        path.mkdir(parents=True, exist_ok=True)
        return path / f"attempt={n}.log"

    def test_log_of_an_ended_try(self):
        f = self.log_file("scheduled__0")
        lines = [{"timestamp": "2026-11-21T08:16:15.538628Z", "level": "info", "event": f"line {i} ä", "logger": "task"} for i in range(3000)]
        f.write_text("".join(json.dumps(l, separators=(",", ":"), ensure_ascii=False) + "\n" for l in lines) + "plain text\n")
        path = "/dags/d0/dagRuns/scheduled__0/taskInstances/t0/logs/1"
        got = self.s.get(path)
        self.assertIsNone(got["continuation_token"])
        self.assertEqual([e["event"] for e in got["content"][:3]], ["::group::Log message source details", str(f), "::endgroup::"])
        self.assertEqual(list(got["content"][3]), ["timestamp", "event", "level", "logger"])
        self.assertEqual([e["event"] for e in got["content"][3:]], [l["event"] for l in lines] + ["plain text"])
        status, text = self.s.ask("GET", "/api/v2" + path, headers={"Accept": "application/x-ndjson"})
        rows = [json.loads(l) for l in text.splitlines()]
        self.assertEqual(rows[0], {"timestamp": None, "event": "::group::Log message source details"})
        self.assertEqual(len(rows), 3004)
        self.fails(406, "GET", path, "Only application/json or application/x-ndjson is supported", headers={"Accept": "text/plain"})
        self.fails(404, "GET", path[:-1] + "2", "TaskInstance not found")
        self.fails(400, "GET", path + "?token=nonsense", "Bad Signature. Please use only the tokens provided by the API.")
        self.fails(422, "GET", path[:-1] + "-1")
        for bad in ("..%2F..%2Fetc", "%2Fetc%2Fpasswd"):
            self.assertIn(self.s.ask("GET", f"/api/v2/dags/{bad}/dagRuns/scheduled__0/taskInstances/t0/logs/1")[0], (404,))

    def test_log_while_running(self):
        f = self.log_file("scheduled__2")
        f.write_text('{"timestamp":"2026-11-21T08:16:15Z","level":"info","event":"one"}\n{"timestamp":"2026-11-21T08:16:15Z","lev')
        path = "/dags/d0/dagRuns/scheduled__2/taskInstances/t0/logs/1"
        first = self.s.get(path)
        self.assertEqual([e["event"] for e in first["content"][3:]], ["one"])
        with f.open("a") as out:
            out.write('el":"info","event":"two"}\n')
        second = self.s.get(path + "?token=" + first["continuation_token"])
        self.assertEqual([e["event"] for e in second["content"]], ["two"])
        # lines end with what is there, though the task runs: the web UI asks again
        text = self.s.ask("GET", "/api/v2" + path, headers={"Accept": "application/x-ndjson"})[1]
        self.assertEqual([json.loads(x)["event"] for x in text.splitlines()[3:]], ["one", "two"])
        c = socket.create_connection(("127.0.0.1", self.s.port))
        c.sendall(f"GET /api/v2{path}?follow=true HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\nConnection: close\r\n\r\n".encode())
        stream, text = c.makefile("rb"), b""
        self.addCleanup(c.close)
        self.addCleanup(stream.close)
        while b'"two"' not in text:
            text += stream.readline()
        with f.open("a") as out:
            out.write('{"timestamp":"2026-11-21T08:16:16Z","level":"info","event":"three"}\n')
        while b'"three"' not in text:
            text += stream.readline()
        self.home.run("UPDATE task_instance SET state = 'success' WHERE dag_run = (SELECT id FROM dag_run WHERE dag_id = 'd0' AND run_id = 'scheduled__2') AND task_id = 't0'")
        self.assertTrue((text + stream.read()).endswith(b"0\r\n\r\n"))
        self.home.run("UPDATE task_instance SET state = 'running' WHERE dag_run = (SELECT id FROM dag_run WHERE dag_id = 'd0' AND run_id = 'scheduled__2') AND task_id = 't0'")

    def test_log_of_no_try(self):
        self.home.run("UPDATE task_instance SET state = 'upstream_failed', try_number = 0 WHERE dag_run = (SELECT id FROM dag_run WHERE dag_id = 'd0' AND run_id = 'scheduled__1') AND task_id = 't2'")
        got = self.s.get("/dags/d0/dagRuns/scheduled__1/taskInstances/t2/logs/0")
        self.assertEqual([e["event"] for e in got["content"]][2], "Task did not run because upstream task(s) failed.")

    # ---- XComs, variables, connections, pools ----

    def test_xcoms(self):
        run = self.home.run("SELECT id FROM dag_run WHERE dag_id = 'd0' AND run_id = 'scheduled__0'")[0][0]
        self.home.insert("xcom", {"dag_run": run, "task_id": "t0", "key": "a/b", "map_index": -1, "timestamp": T0, "value": '{"x":1}'})
        base = "/dags/d0/dagRuns/scheduled__0/taskInstances/t0/xcomEntries"
        self.assertEqual(self.s.get(base + "/a%2Fb")["value"], {"x": 1})
        self.assertEqual(self.s.get(base + "/a%2Fb?stringify=true")["value"], "{'x': 1}")
        self.assertEqual(self.s.get(base + "/a%2Fb?deserialize=true")["value"], {"x": 1})
        self.assertEqual(self.s.get("/dags/~/dagRuns/~/taskInstances/~/xcomEntries?xcom_key=a/b")["total_entries"], 1)
        self.fails(404, "GET", base + "/none", "XCom entry with key: `none` not found")

    def test_variables(self):
        status, v = self.s.ask("POST", "/api/v2/variables", {"key": "k/1", "value": "plain ä", "description": "d"})
        self.assertEqual((status, v), (201, {"key": "k/1", "value": "plain ä", "description": "d", "is_encrypted": True, "team_name": None}))
        self.assertTrue(self.home.run("SELECT value FROM variable WHERE key = 'k/1'")[0][0].startswith("gAAAA"))
        self.fails(409, "POST", "/variables", "The Variable with key: `k/1` already exists", body={"key": "k/1", "value": "x"})
        self.assertEqual(self.s.get("/variables/k%2F1")["value"], "plain ä")
        self.assertEqual(self.s.ask("PATCH", "/api/v2/variables/k%2F1?update_mask=value", {"key": "k/1", "value": {"a": 1}, "description": "no"})[1]["description"], "d")
        self.assertEqual(self.s.get("/variables/k%2F1")["value"], '{"a": 1}')
        self.fails(400, "PATCH", "/variables/k%2F1", "Invalid body, key from request body doesn't match uri parameter", body={"key": "other", "value": 1})
        self.s.ask("POST", "/api/v2/variables", {"key": "my_password", "value": "s3cret"})
        self.assertEqual(self.s.get("/variables/my_password")["value"], "***")
        self.s.ask("PATCH", "/api/v2/variables/my_password", {"key": "my_password", "value": "***"})
        self.assertEqual(self.s.get("/variables?variable_key_pattern=pass")["total_entries"], 1)
        self.assertEqual(self.s.ask("DELETE", "/api/v2/variables/k%2F1")[0], 204)
        self.fails(404, "DELETE", "/variables/k%2F1", "The Variable with key: `k/1` was not found")
        text = json.dumps(self.s.get("/eventLogs?order_by=-id&limit=100"))
        self.assertNotIn("s3cret", json.dumps(self.home.run("SELECT value FROM variable")))
        self.assertIn("post_variable", text)

    def test_bulk(self):
        status, got = self.s.ask("PATCH", "/api/v2/variables", {"actions": [
            {"action": "create", "entities": [{"key": "b1", "value": 1}, {"key": "b2", "value": "x"}]},
            {"action": "create", "entities": [{"key": "b1", "value": 2}], "action_on_existence": "overwrite"},
            {"action": "create", "entities": [{"key": "b2", "value": 2}]},
            {"action": "update", "entities": [{"key": "b1", "value": 5, "description": "new"}], "update_mask": ["value"]},
            {"action": "delete", "entities": ["b2", "none"], "action_on_non_existence": "skip"},
            {"action": "delete", "entities": ["none"]}]})
        self.assertEqual(status, 200)
        self.assertEqual(got["create"]["success"], ["b1", "b2", "b1"])
        self.assertEqual(got["create"]["errors"], [{"error": "The variables with these keys: {'b2'} already exist.", "status_code": 409}])
        self.assertEqual((got["update"]["success"], got["delete"]["success"], got["delete"]["errors"][0]["status_code"]), (["b1"], ["b2"], 404))
        self.assertEqual(self.s.get("/variables/b1"), {"key": "b1", "value": "5", "description": None, "is_encrypted": True, "team_name": None})
        self.s.ask("DELETE", "/api/v2/variables/b1")

    def test_connections(self):
        body = {"connection_id": "pg", "conn_type": "postgres", "host": "h", "port": 5, "password": "p4ss", "extra": '{"token": "t0k", "x": 1}'}
        status, c = self.s.ask("POST", "/api/v2/connections", body)
        self.assertEqual((status, c["password"], c["extra"], c["port"]), (201, "***", '{"token": "***", "x": 1}', 5))
        row = self.home.run("SELECT password, extra FROM connection")[0]
        self.assertTrue(all(x.startswith("gAAAA") for x in row))
        self.assertEqual(self.fails(409, "POST", "/connections", body=body)["detail"]["reason"], "Unique constraint violation")
        patched = self.s.ask("PATCH", "/api/v2/connections/pg", {"connection_id": "pg", "conn_type": "postgres", "password": "***", "extra": '{"token": "***", "x": 2}'})[1]
        self.assertEqual((patched["extra"], patched["host"]), ('{"token": "***", "x": 2}', "h"))
        self.assertEqual(self.fails(422, "POST", "/connections", body={**body, "connection_id": "a b"})["detail"][0]["type"], "string_pattern_mismatch")
        self.assertEqual(self.fails(422, "POST", "/connections", body={**body, "extra": "["})["detail"][0]["loc"], ["body", "extra"])
        self.assertEqual(self.s.ask("DELETE", "/api/v2/connections/pg")[0], 204)
        self.fails(404, "GET", "/connections/pg", "The Connection with connection_id: `pg` was not found")

    def test_pools(self):
        self.assertEqual(self.s.ask("POST", "/api/v2/pools", {"name": "p/1", "slots": 3})[0], 201)
        self.assertEqual(self.s.ask("PATCH", "/api/v2/pools/p%2F1", {"slots": 9, "include_deferred": None})[1]["open_slots"], 9)
        self.fails(422, "POST", "/pools", body={"name": "x", "slots": -2})
        self.fails(400, "DELETE", "/pools/default_pool", "Default Pool can't be deleted")
        self.fails(404, "DELETE", "/pools/none", "The Pool with name: `none` was not found")
        p = self.s.get("/pools/default_pool")
        self.assertEqual(p["occupied_slots"], p["running_slots"])
        self.assertEqual(self.s.ask("DELETE", "/api/v2/pools/p%2F1")[0], 204)

    # ---- the rest ----

    def test_plain_pages(self):
        self.assertEqual(self.s.get("/version")["version"], "3.3.2")
        self.assertEqual(self.s.get("/monitor/health")["metadatabase"], {"status": "healthy"})
        self.assertEqual(self.s.ask("GET", "/health")[0], 200)
        self.assertIn("airflow_task_instances{", self.s.ask("GET", "/metrics")[1])
        self.assertIn("<h1>updraft</h1>", self.s.ask("GET", "/")[1])
        self.fails(403, "GET", "/config")

    def test_token(self):
        status, got = self.s.ask("GET", "/auth/token")
        self.assertEqual(status, 201)
        head, claims, _ = (json.loads(base64.urlsafe_b64decode(p + "==")) if i < 2 else p for i, p in enumerate(got["access_token"].split(".")))
        self.assertEqual(head, {"alg": "HS512", "kid": "not-used", "typ": "JWT"})
        self.assertEqual((claims["sub"], claims["role"], claims["aud"], claims["exp"] - claims["iat"]), ("Anonymous", "ADMIN", "apache-airflow", 86400))
        self.fails(403, "GET", "/dags", "Invalid JWT token", headers={"Authorization": "Bearer nonsense"})
        self.assertEqual(self.s.ask("GET", "/api/v2/dags", headers={"Authorization": "Bearer " + got["access_token"]})[0], 200)

    def test_many_at_once(self):
        def work():
            for _ in range(20):
                results.append(self.s.ask("GET", "/api/v2/dags?limit=2")[0])
        results, threads = [], [threading.Thread(target=work) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [200] * 320)


class Users(unittest.TestCase):
    """the simple auth manager's users, and password users"""

    def login(self, s, user, password, path="/auth/token"):
        status, got = s.ask("POST", path, {"username": user, "password": password})
        return got["access_token"] if status == 201 else (status, got["detail"])

    def test_simple(self):
        home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="admin:admin,vera:viewer,olga:op,uwe:user")
        home.fill(dags=1)
        s = Server(home)
        file = home.path / "simple_auth_manager_passwords.json.generated"
        passwords = json.loads(file.read_text())
        self.assertEqual(file.stat().st_mode & 0o77, 0)
        self.assertEqual(len(s.printed), 4)
        self.assertEqual(s.ask("GET", "/api/v2/dags"), (401, {"detail": "Not authenticated"}))
        self.assertEqual(s.ask("GET", "/api/v2/version")[0], 200)
        self.assertEqual(s.ask("GET", "/auth/token")[0], 403)
        may = {"vera": (200, 403, 403, 403), "uwe": (200, 200, 403, 403), "olga": (200, 200, 200, 201), "admin": (200, 200, 200, 201)}
        for user, want in may.items():
            with self.subTest(user):
                s.token = self.login(s, user, passwords[user])
                got = (s.ask("GET", "/api/v2/dags")[0], s.ask("PATCH", "/api/v2/dags/d0", {"is_paused": False})[0], s.ask("GET", "/api/v2/variables")[0],
                       s.ask("POST", "/api/v2/pools", {"name": user, "slots": 1})[0])
                self.assertEqual(got, want)
        s.token = None
        self.assertEqual(self.login(s, "admin", "wrong"), (401, "Invalid credentials"))
        self.assertEqual(self.login(s, "nobody", passwords["admin"]), (401, "Invalid credentials"))
        self.assertEqual(self.login(s, "", ""), (400, "Username and password must be provided"))
        self.assertEqual(s.ask("POST", "/auth/token/cli", {"username": "x"})[1]["detail"][0]["loc"], ["body", "password"])
        for _ in range(6):
            last = self.login(s, "vera", "wrong")
        self.assertEqual(last[0], 429)
        status, _ = s.ask("POST", "/auth/login/", f"username=olga&password={passwords['olga']}&next=/api/v2/dags", {"Content-Type": "application/x-www-form-urlencoded"})
        cookie = s.headers["set-cookie"]
        self.assertEqual((status, s.headers["location"]), (303, "/api/v2/dags"))
        self.assertRegex(cookie, r"^_token=[^;]+; HttpOnly; Path=/; SameSite=lax$")
        session = {"Cookie": cookie.split(";")[0]}
        self.assertEqual(s.ask("GET", "/api/v2/dags", headers=session)[0], 200)
        self.assertEqual(s.ask("POST", "/auth/login/", f"username=olga&password={passwords['olga']}&next=//evil", {"Content-Type": "application/x-www-form-urlencoded"})[0], 303)
        self.assertEqual(s.headers["location"], "/")
        self.assertEqual(s.ask("GET", "/api/v2/auth/logout", headers=session)[0], 307)
        self.assertEqual(s.ask("GET", "/api/v2/dags", headers=session)[0], 403)
        s.stop()
        again = Server(home)
        self.assertEqual((again.printed, json.loads(file.read_text())), ([], passwords))
        again.stop()
        home.close()

    def test_passwords(self):
        home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__WEBSERVER__AUTHENTICATE="True",
                    AIRFLOW__WEBSERVER__AUTH_BACKEND="airflow.contrib.auth.backends.password_auth")
        home.fill(dags=1)
        hashed = subprocess.run([PROBE, "hash", "pässword"], env=home.env, capture_output=True, text=True, check=True).stdout.strip()
        user = home.insert("users", {"username": "eva", "password_hash": hashed, "created": 0, "updated": 0})
        home.run("INSERT INTO user_role VALUES (?, 'Viewer')", user)
        s = Server(home)
        self.assertEqual(self.login(s, "eva", "wrong"), (401, "Invalid credentials"))
        self.assertEqual(self.login(s, "nobody", "pässword"), (401, "Invalid credentials"))
        s.token = self.login(s, "eva", "pässword")
        self.assertEqual(s.ask("GET", "/api/v2/dags")[0], 200)
        self.assertEqual(s.ask("PATCH", "/api/v2/dags/d0", {"is_paused": True})[0], 403)
        self.assertEqual(home.run("SELECT login_count, fail_login_count FROM users"), [(1, 0)])
        s.stop()
        home.run("UPDATE users SET active = 0")
        s.__init__(home)
        token = s.token
        self.assertEqual(self.login(s, "eva", "pässword"), (401, "Invalid credentials"))
        s.stop()
        home.close()

    def test_open_door(self):
        home = Home(AIRFLOW__API__HOST="0.0.0.0")
        p = subprocess.run([PROBE, "serve"], env=home.env, capture_output=True, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("--i-know", p.stderr)
        home.close()

    def test_sub_path(self):
        home = Home(AIRFLOW__API__BASE_URL="http://localhost/team/")
        home.fill(dags=1)
        s = Server(home)
        for path in ("", "/auth", "/execution"):
            self.assertIn(f"/team{path}/openapi.json", s.ask("GET", f"/team{path}/docs?version=2026-06-30")[1], path)
        self.assertEqual(s.ask("GET", "/team/api/v2/dags")[1]["total_entries"], 1)
        self.assertEqual(s.ask("GET", "/team/auth/token/login")[0], 307)
        self.assertEqual((s.headers["location"], "Path=/team;" in s.headers["set-cookie"]), ("/team/", True))
        s.stop()
        home.close()

    def test_no_pages_of_documents(self):
        home = Home(AIRFLOW__API__ENABLE_SWAGGER_UI="False")
        s = Server(home)
        for path, there in (("/docs", False), ("/redoc", False), ("/auth/docs", True), ("/execution/docs?version=x", True)):
            self.assertEqual("/openapi.json" in str(s.ask("GET", path)[1]), there, path)
        s.stop()
        home.close()

    @unittest.skipUnless(shutil.which("openssl"), "makes its certificate with openssl")
    def test_tls(self):
        home = Home()
        cert, key = home.path / "cert.pem", home.path / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        s = Server(home, AIRFLOW__API__SSL_CERT=str(cert), AIRFLOW__API__SSL_KEY=str(key))
        c = http.client.HTTPSConnection("127.0.0.1", s.port, context=ssl._create_unverified_context(), timeout=60)
        for _ in range(3):
            c.request("GET", "/auth/token/login")
            r = c.getresponse()
            r.read()
            self.assertEqual(r.status, 307)
            self.assertIn("; Secure", r.headers["set-cookie"])
        c.close()
        s.stop()
        p = subprocess.run([PROBE, "serve"], env={**home.env, "AIRFLOW__API__SSL_CERT": str(cert)}, capture_output=True, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("belong together", p.stderr)
        home.close()

    def test_port_taken(self):
        home = Home()
        s = Server(home)
        p = subprocess.run([PROBE, "serve"], env={**home.env, "AIRFLOW__API__PORT": str(s.port)}, capture_output=True, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn(f"port {s.port}: another program does already", p.stderr)
        s.stop()
        home.close()

    def test_expose_config(self):
        home = Home(AIRFLOW__API__EXPOSE_CONFIG="True")
        s = Server(home)
        got = s.get("/config?section=core")["sections"][0]
        self.assertEqual(got["name"], "core")
        self.assertEqual(s.get("/config/section/core/option/fernet_key")["sections"][0]["options"], [{"key": "fernet_key", "value": "< hidden >"}])
        self.assertEqual(s.ask("GET", "/api/v2/config?section=none")[0], 404)
        s.stop()
        home.close()


class Inbox(unittest.TestCase):
    """a scheduler that lives: the request waits for its answer"""

    def test_answer_by_datagram(self):
        home = Home()
        home.fill(dags=1)
        s = Server(home, "silent")
        wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        wake.bind(str(home.path / ".updraft/scheduler.wake"))
        home.insert("lease", {"name": "scheduler", "owner": "test", "fence": 1, "expires": 1 << 60, "taken": 0, "host": "h", "pid": 1})
        got = []
        for code, result, want in ((0, {"result": {"dag_id": "d0", "run_id": "scheduled__0", "id": 1}}, 200), (-3, {"detail": "there already"}, 409), (-4, {"detail": "no, for a reason"}, 409)):
            t = threading.Thread(target=lambda: got.append(s.ask("POST", "/api/v2/dags/d0/dagRuns", {"logical_date": None})))
            t.start()
            wake.recv(16)
            ident, kind, args, reply_to, by = home.run("SELECT id, kind, args, reply_to, requested_by FROM command WHERE done IS NULL")[0]
            self.assertEqual((kind, json.loads(args)["dag_id"], by), ("dag_run.trigger", "d0", "Anonymous"))
            home.run("UPDATE command SET done = 1, code = ?, result = ? WHERE id = ?", code, json.dumps({"code": code, **result}), ident)
            wake.sendto(b"x", reply_to)
            t.join()
            self.assertEqual(got.pop()[0], want)
        hanging = threading.Thread(target=lambda: got.append(s.ask("POST", "/api/v2/dags/d0/dagRuns", {"logical_date": None})))
        hanging.start()
        wake.recv(16)
        s.stop()
        hanging.join()
        self.assertEqual(got[0][0], 503)
        self.assertIn("kept", got[0][1]["detail"])
        self.assertEqual(home.run("SELECT count(*) FROM command WHERE done IS NULL"), [(1,)])
        wake.close()
        home.close()


if __name__ == "__main__":
    unittest.main()
