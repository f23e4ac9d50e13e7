#!/usr/bin/env python3
"""Every operation of ours, asked as every role: who gets in is who gets in at real Airflow (recordings/permissions.json), under the
simple auth manager and with password users and FAB's roles. A route that Airflow has not must name what it asks in routes.def.

    python3 tests/conformance/test_permissions.py"""
import json
import os
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scenario")]
from api_kit import Home, Server, ROOT  # noqa: E402
from record_permissions import BODIES, ROLES, fill  # noqa: E402

RECORDED = json.loads((HERE / "recordings" / "permissions.json").read_text())
# asked about something that is not there, real Airflow says so before it looks at who asks; we look first
LOOKS_LATER = {"PUT /api/v2/parseDagFile/{file_token}"}
# switched off in the recording, whoever asks
OFF = {"POST /api/v2/connections/enqueue-test", "GET /api/v2/connections/enqueue-test", "GET /ui/teams"}


def routes():
    text = (ROOT / "src/api/routes.def").read_text()
    for m in re.finditer(r'^ROUTE\(\s*(\w+)\s*,\s*(\w+)\s*,\s*"([^"]+)"\s*,\s*(\w+)', text, re.M):
        yield m[2], m[3], m[4]


def rows(table, columns):
    text = (ROOT / "src/api" / table).read_text()
    return [[w.strip() for w in m.split(",")] for m in re.findall(r"^\w+\((" + ",".join(["[^,]+"] * columns) + r")\)", text, re.M)]


def password_home():
    import subprocess
    from api_kit import PROBE
    home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__WEBSERVER__AUTHENTICATE="True", AIRFLOW__API__EXPOSE_CONFIG="True")
    hashed = subprocess.run([PROBE, "hash", "secret"], env=home.env, capture_output=True, text=True, check=True).stdout.strip()
    for role in ROLES[1:]:
        user = home.insert("users", {"username": role, "password_hash": hashed, "created": 0, "updated": 0})
        home.insert("user_role", {"user_id": user, "role": role})
    return home, {role: "secret" for role in ROLES}


def simple_home():
    users = ",".join(f"{r}:{r.lower()}" for r in ROLES[1:])
    home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=users, AIRFLOW__API__EXPOSE_CONFIG="True")
    (home.path / "simple_auth_manager_passwords.json.generated").write_text(json.dumps({r: "secret" for r in ROLES}))
    return home, None


class Permissions(unittest.TestCase):
    def world(self, kind):
        home, _ = simple_home() if kind == "simple" else password_home()
        self.addCleanup(home.close)
        home.insert("backfill", {"id": 1, "dag_id": "x", "from_date": 0, "to_date": 0, "reprocess_behavior": "none", "max_active_runs": 1, "created": 0, "updated": 0})
        server = Server(home)
        self.addCleanup(server.stop)
        tokens = {"Public": None}
        for role in ROLES[1:]:
            status, body = server.ask("POST", "/auth/token", {"username": role, "password": "secret"})
            self.assertEqual(status, 201, body)
            tokens[role] = body["access_token"]
        return server, tokens

    def matrix(self, kind):
        server, tokens = self.world(kind)
        resources = {r[0]: r for r in rows("resources.def", 9)}
        wrong, asked = [], 0
        for method, template, resource in sorted(set(routes())):
            name = f"{method} {template}"
            expected = RECORDED[kind].get(name)
            if name in LOOKS_LATER or name in OFF or template in ("/api/v2/auth/logout",):
                continue
            for role in ROLES:
                body = BODIES.get(name, {}) if method in ("POST", "PUT", "PATCH") else None
                headers = {"Authorization": f"Bearer {tokens[role]}"} if tokens[role] else {}
                want = expected[role] if expected else self.by_table(resources[resource], role, method, kind)
                if want is None:
                    continue
                status, _ = server.ask(method, fill(template), body, headers, raw=True)
                seen = str(status) if status in (401, 403) else "in"
                asked += 1
                if seen != want:
                    wrong.append(f"{name} as {role}: {status}, Airflow: {want}")
        self.assertGreater(asked, 400)
        self.assertFalse(wrong, "\n" + "\n".join(wrong))

    @staticmethod
    def by_table(row, role, method, kind):
        """ours: open, or for whoever the resource's row lets read; changes are looked at by tests of their own"""
        rank = [f"ROLE_{r.upper()}" for r in ROLES]
        least = row[2] if kind == "simple" else row[4]
        if method != "GET" or least == "ROLE_PUBLIC":
            return None
        return "in" if rank.index(f"ROLE_{role.upper()}") >= rank.index(least) else "401" if role == "Public" else "403"

    def test_simple(self):
        self.matrix("simple")

    def test_passwords(self):
        self.matrix("fab")


if __name__ == "__main__":
    unittest.main()
