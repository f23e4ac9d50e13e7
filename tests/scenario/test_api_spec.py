"""Our API against Airflow's published specification: every operation is served, every query parameter is read."""
import json, re, subprocess, unittest, urllib.parse

from api_kit import ROOT, Home, Server

SPEC = "import airflow.api_fastapi.core_api as m, json, os, yaml; " \
       "print(json.dumps(yaml.safe_load(open(os.path.join(os.path.dirname(m.__file__), 'openapi', 'v2-rest-api-generated.yaml')))))"
METHODS = ("get", "post", "put", "patch", "delete")
PLACES = {"dag_id": "d0", "dag_run_id": "scheduled__0", "task_id": "t0", "map_index": "-1", "task_try_number": "1", "try_number": "1", "version_number": "1",
          "xcom_key": "k", "asset_id": "1", "asset_alias_id": "1", "backfill_id": "1", "event_log_id": "1", "import_error_id": "1", "connection_id": "c",
          "variable_key": "v", "pool_name": "default_pool", "section": "core", "option": "parallelism", "file_token": "x", "group_id": "g", "key": "k"}
# what a wrong value of each kind is, so that reading it shows
WRONG = {"integer": "x", "number": "x", "boolean": "maybe", "date-time": "nonsense", "enum": "nonsense"}
# texts that may be anything without a visible effect on the answer, and why
FREE = {("get", "/api/v2/auth/login", "next"): "where the browser goes afterwards", ("get", "/api/v2/auth/logout", "next"): "the same",
        ("patch", "update_mask"): "a name that is no field changes nothing", ("get", "cursor"): "tested by test_api", ("get", "order_by"): "tested below",
        ("get", "/api/v2/backfills", "dag_id"): "needed", ("get", "excluded_events"): "leaves out what is not there"}


def specification():
    return json.loads(subprocess.run([ROOT / ".venv/bin/python", "-c", SPEC], stdout=subprocess.PIPE, check=True).stdout)


def kinds(schema):
    """The kinds of value that a parameter takes: those of WRONG, or "text"."""
    if "anyOf" in schema:
        return set().union(*(kinds(s) for s in schema["anyOf"]))
    if schema.get("type") == "array":
        return kinds(schema["items"])
    if "enum" in schema or "$ref" in schema:
        return {"enum"}
    return {schema.get("format")} if schema.get("format") == "date-time" else {schema.get("type", "text").replace("string", "text")}


def with_query(path, query):
    return path + ("&" if "?" in path else "?") + query


class Spec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.spec = specification()
        cls.home = Home()
        cls.home.fill()
        for sql in FILL:
            cls.home.run(sql)
        cls.s = Server(cls.home)

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.home.close()

    def operations(self):
        for path, item in self.spec["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    @staticmethod
    def place(path):
        if path == "/api/v2/backfills":
            path += "?dag_id=d0"
        if path.endswith("listMapped"):
            path = path.replace("{task_id}", "t1")
        return re.sub(r"\{(\w+)\}", lambda m: urllib.parse.quote(PLACES[m[1]], safe=""), path)

    def test_every_operation_is_served(self):
        n = 0
        for path, method, operation in self.operations():
            with self.subTest(f"{method.upper()} {path}"):
                status, answer = self.s.ask("OPTIONS" if method == "delete" else method.upper(), self.place(path), raw=True)
                if method == "delete":      # not done, only looked up: another method's 405 names those that there are
                    self.assertNotEqual(answer, b'{"error":"API route not found"}')
                else:
                    self.assertNotEqual(status, 405)
                    self.assertNotIn(b"API route not found", answer)
            n += 1
        self.assertEqual(n, 128)

    def test_wrong_values_are_refused(self):
        for path, method, operation in self.operations():
            for p in operation.get("parameters", []):
                wrong = kinds(p["schema"]) - {"null"}
                if p["in"] != "query" or "text" in wrong or method != "get":
                    continue
                with self.subTest(f"{method.upper()} {path}?{p['name']}"):
                    query = urllib.parse.urlencode({"interval": 1, p["name"]: WRONG[sorted(wrong)[0]]})
                    self.assertEqual(self.s.ask(method.upper(), with_query(self.place(path), query), raw=True)[0], 422)

    def test_texts_narrow_lists(self):
        for path, method, operation in self.operations():
            named = [p for p in operation.get("parameters", []) if p["in"] == "query" and "text" in kinds(p["schema"])]
            if method != "get" or not any(p["name"] == "limit" for p in operation.get("parameters", [])) or "providers" in path or "plugins" in path:
                continue
            wide = self.place(path)
            status, before = self.s.ask("GET", wide)
            self.assertEqual(status, 200, path)
            self.assertGreater(before["total_entries"], 0, f"nothing to narrow in {path}")
            for p in named:
                if (method, p["name"]) in FREE or (method, path, p["name"]) in FREE:
                    continue
                with self.subTest(f"{path}?{p['name']}"):
                    value = "zzz nothing" if p["name"] != "task_group_id" else "nowhere"
                    status, after = self.s.ask("GET", with_query(wide, urllib.parse.urlencode({p['name']: value})))
                    self.assertTrue(status >= 400 or after["total_entries"] == 0, (status, after.get("total_entries")))

    def test_orders(self):
        for path, method, operation in self.operations():
            if method == "get" and any(p["name"] == "order_by" for p in operation.get("parameters", [])):
                with self.subTest(path):
                    self.assertEqual(self.s.ask("GET", with_query(self.place(path), "order_by=nothing"))[0], 400)
                    for name in re.findall(r"`(\w+)`", next(p.get("description") or "" for p in operation["parameters"] if p["name"] == "order_by")):
                        if name not in ("order_by",):
                            self.assertEqual(self.s.ask("GET", with_query(self.place(path), f"order_by=-{name}"))[0], 200, name)


# something in every list
FILL = """INSERT INTO dag_warning (dag_id, warning_type, message, timestamp) VALUES ('d0', 'asset conflict', 'm', 1);
INSERT INTO asset (id, name, uri, created, updated) VALUES (1, 'a', 'file://a', 1, 1);
INSERT INTO asset_alias (id, name) VALUES (1, 'x');
INSERT INTO asset_event (id, asset, timestamp, source_dag_id, source_task_id, source_run_id, source_map_index) VALUES (1, 1, 1, 'd0', 't0', 'scheduled__0', -1);
INSERT INTO backfill (dag_id, from_date, to_date, reprocess_behavior, max_active_runs, created, updated) VALUES ('d0', 1, 2, 'none', 1, 1, 1);
INSERT INTO variable (key, value, is_encrypted) VALUES ('v', '1', 0);
INSERT INTO connection (conn_id, conn_type, is_encrypted, is_extra_encrypted) VALUES ('c', 'http', 0, 0);
INSERT INTO import_error (bundle_name, filename, timestamp, stacktrace) VALUES ('dags-folder', 'bad.py', 1, 'boom');
INSERT INTO xcom (dag_run, task_id, key, map_index, timestamp, value) SELECT id, 't0', 'k', -1, 1, '1' FROM dag_run WHERE dag_id = 'd0' AND run_id = 'scheduled__0';
UPDATE task_instance SET map_index = 0 WHERE task_id = 't1';
INSERT INTO asset_state (asset, key, updated, value) VALUES (1, 'k', 1, '1');
INSERT INTO task_state (dag_run, task_id, map_index, key, updated, value) SELECT id, 't0', -1, 'k', 1, '1' FROM dag_run WHERE dag_id = 'd0' AND run_id = 'scheduled__0';
INSERT INTO asset_dag_queue (dag_id, asset, created) VALUES ('d0', 1, 1);
INSERT INTO hitl_detail (ti, options, subject, params, created) SELECT t.id, '["a"]', 's', '{}', 1 FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = 'd0' AND r.run_id = 'scheduled__0' AND t.task_id = 't0';
INSERT INTO log (dttm, event, dag_id) VALUES (1, 'e', 'd0')""".split(";\n")

if __name__ == "__main__":
    unittest.main()
