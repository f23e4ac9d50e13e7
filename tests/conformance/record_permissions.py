"""Who may do what in real Airflow: every route of its API asked as every role, once under the simple auth manager and once under
FAB's. The answer's kind is kept: "401", "403", or "in" for everything else.

    VENV/bin/python tests/conformance/record_permissions.py     VENV: apache-airflow 3.3.2 and apache-airflow-providers-fab

It needs no server: the application is called in this process, over an empty database in a temporary folder.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE / "recordings" / "permissions.json"
ROLES = ["Public", "Viewer", "User", "Op", "Admin"]
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


BODIES = {
    "PATCH /api/v2/variables": {"actions": [{"action": "create", "entities": [{"key": "x", "value": "y"}]}]},
    "PATCH /api/v2/pools": {"actions": [{"action": "create", "entities": [{"name": "x", "slots": 1}]}]},
    "PATCH /api/v2/connections": {"actions": [{"action": "create", "entities": [{"connection_id": "x", "conn_type": "http"}]}]},
    "PATCH /api/v2/dags/{dag_id}/dagRuns": {"actions": [{"action": "delete", "entities": [{"dag_run_id": "x", "dag_id": "x"}]}]},
    "POST /api/v2/dags/{dag_id}/clearDagRuns": {"dag_runs": [{"dag_run_id": "x", "dag_id": "x"}], "dry_run": True},
    "POST /api/v2/connections/enqueue-test": {"connection_id": "x", "conn_type": "http"},
    "POST /api/v2/backfills": {"dag_id": "x", "from_date": "2024-01-01T00:00:00Z", "to_date": "2024-01-02T00:00:00Z"},
    "POST /api/v2/backfills/dry_run": {"dag_id": "x", "from_date": "2024-01-01T00:00:00Z", "to_date": "2024-01-02T00:00:00Z"},
}


def fill(path):
    path = re.sub(r"\{(task_try_number|try_number|map_index|version_number|[a-z_]*_id)(:path)?\}",
                  lambda m: "1" if m[1] in ("task_try_number", "try_number", "map_index", "version_number", "backfill_id", "asset_id",
                                            "asset_alias_id", "event_log_id", "import_error_id") else "x", path)
    return re.sub(r"\{[a-z_:]+\}", "x", path)


def routes_of(app):
    for route in app.routes:
        if hasattr(route, "methods") and route.path.startswith(("/api/v2", "/ui")):
            for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
                yield method, route


def tokens(kind):
    """role -> headers. Public: none"""
    from airflow.api_fastapi.app import get_auth_manager
    manager = get_auth_manager()
    found = {"Public": {}}
    for role in ROLES[1:]:
        if kind == "simple":
            from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
            user = SimpleAuthManagerUser(username=role.lower(), role=role.upper())
        else:
            sm = manager.security_manager
            user = sm.find_user(username=role.lower()) or sm.add_user(role.lower(), role, role, f"{role}@x.y", sm.find_role(role), password="x")
        found[role] = {"Authorization": "Bearer " + manager.generate_jwt(user)}
    return found


def add_backfill():
    """the one thing that must be there for its operations to ask who is asking"""
    import datetime
    from airflow.models.backfill import Backfill
    from airflow.utils.session import create_session
    day = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    with create_session() as session:
        session.add(Backfill(id=1, dag_id="x", from_date=day, to_date=day, max_active_runs=1, dag_run_conf={}))


def record(kind):
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient
    app = create_app(apps="core")
    add_backfill()
    client = TestClient(app, raise_server_exceptions=False)
    if kind == "fab":
        from airflow.providers.fab.www.app import create_app as create_flask
        flask_app = create_flask(enable_plugins=False)
        flask_app.app_context().push()
    answers = {}
    held = tokens(kind)
    for method, route in routes_of(app):
        name = f"{method} {route.path}"
        answers[name] = {}
        for role, headers in held.items():
            body = BODIES.get(name, {}) if method in ("POST", "PUT", "PATCH") else None
            r = client.request(method, fill(route.path), headers=headers, json=body, follow_redirects=False)
            answers[name][role] = str(r.status_code) if r.status_code in (401, 403) else "in"
    return answers


def main():
    if len(sys.argv) > 1:
        json.dump(record(sys.argv[1]), open(sys.argv[2], "w"))
        return
    found = {}
    for kind in ("simple", "fab"):
        with tempfile.TemporaryDirectory() as home:
            env = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__API_AUTH__JWT_SECRET": "x" * 64,
                   "AIRFLOW__API__EXPOSE_CONFIG": "True"}
            if kind == "fab":
                env["AIRFLOW__CORE__AUTH_MANAGER"] = FAB
            here = os.path.dirname(sys.executable)
            subprocess.run([f"{here}/airflow", "db", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
            out = f"{home}/out.json"
            subprocess.run([sys.executable, __file__, kind, out], env=env, check=True)
            found[kind] = json.load(open(out))
    lines = [f'{json.dumps(kind)}: {{\n' + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(found[kind].items())) + "\n}" for kind in found]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
