"""Requests to the FAB provider's /auth/fab/v1 and token endpoints: what recordings/fab_api.json holds real answers to, and what replays them.

    python3 fab_requests.py http://127.0.0.1:PORT > recordings/fab_api.json
against `airflow api-server` of Airflow 3.3.2 with FabAuthManager, users made by
    airflow users create --username admin --password admin --role Admin --email admin@x --firstname Ad --lastname Min
    airflow users create --username vera --password vera --role Viewer --email vera@x --firstname Ve --lastname Ra"""
import http.client, json, re, sys, urllib.parse

F = "/auth/fab/v1"
U = {"username": "u1", "email": "u1@x", "first_name": "U", "last_name": "One", "password": "secret", "roles": [{"name": "Op"}]}
TIME = re.compile(r"^20\d\d-\d\d-\d\dT[\d:.]+(Z|\+00:00)?$")


def pair(action, resource):
    return {"action": {"name": action}, "resource": {"name": resource}}


def requests():
    """(who, method, path, body); a body of bytes is sent as it is"""
    yield None, "POST", "/auth/token", {"username": "admin", "password": "no"}
    for body in ({"username": "admin"}, {}):
        yield None, "POST", "/auth/token", body
    for who in (None, "vera"):
        yield who, "GET", F + "/users", None
    yield "vera", "POST", F + "/users", {}
    for query in ("", "?order_by=-username", "?order_by=nope", "?limit=1", "?limit=0", "?limit=-1", "?offset=1&limit=1", "?offset=-1", "?limit=x"):
        yield "admin", "GET", F + "/users" + query, None
    for path in ("/users/admin", "/users/nobody", "/roles?order_by=id", "/roles/None", "/permissions?order_by=name"):
        yield "admin", "GET", F + path, None
    for body in ({**U, "username": "u2", "email": "u2@x", "roles": [{"name": "Nope"}, {"name": "Viewer"}, {"name": "Gone"}]},
                 {**U, "username": "u2", "email": "u2@x", "roles": [{"name": "Viewer"}, {"name": "Op"}, {"name": "Viewer"}]}, {"username": ""},
                 {**U, "x": 1, "username": 5, "roles": "Viewer", "password": 3}, {**U, "roles": [{"x": 1}, 3]}, b"[]", b"{", b"", U, U, {**U, "username": "u3"}):
        yield "admin", "POST", F + "/users", body
    for path, body in (("/users/u1", {"first_name": "Uu"}), ("/users/u1", {"username": "admin"}), ("/users/u1", {"email": "u2@x"}),
                       ("/users/u1?update_mask=last_name", {"first_name": "No", "last_name": "L"}), ("/users/u1?update_mask=nope", {"first_name": "No"}), ("/users/u1", {"roles": []}),
                       ("/users/u1", {"roles": [{"name": "Zip"}]}), ("/users/u1", {"roles": [{"name": "User"}], "password": "other"}), ("/users/u1", {"username": "u9", "first_name": ""}),
                       ("/users/u1", {"username": "u9"}), ("/users/zz", {})):
        yield "admin", "PATCH", F + path, body
    yield "admin", "GET", F + "/users/u9", None
    yield None, "POST", "/auth/token", {"username": "u9", "password": "secret"}
    for method in ("DELETE", "DELETE", "GET"):
        yield "admin", method, F + "/users/u9", None
    for body in ({"name": "R1", "actions": [pair("can_read", "DAGs"), pair("can_edit", "Pools")]}, {"name": "R1"}, {"name": "R2"}, {"name": ""}, {},
                 {"name": "R3", "actions": [pair("can_nope", "DAGs")]}, {"name": "R3", "actions": [pair("can_read", "Nope")]}, {"name": "R3", "permissions": []}, {"name": "R3", "actions": [{"action": {}}]}):
        yield "admin", "POST", F + "/roles", body
    yield "admin", "GET", F + "/roles/R1", None
    yield "admin", "PATCH", F + "/roles/R1", {"name": "R1", "actions": [pair("can_read", "Pools")]}
    yield "admin", "GET", F + "/roles/R1", None
    yield "admin", "PATCH", F + "/roles/R1", {"name": "R9"}
    yield "admin", "GET", F + "/roles/R9", None
    yield "admin", "PATCH", F + "/roles/R9?update_mask=name", {"name": "R8", "actions": []}
    yield "admin", "GET", F + "/roles/R8", None
    for path, body in (("/roles/R8?update_mask=zip", {"name": "R8", "actions": []}), ("/roles/R8?update_mask=actions", {"name": "xx", "actions": []}), ("/roles/gone", {"name": "R8"}), ("/roles/R8", {"actions": []})):
        yield "admin", "PATCH", F + path, body
    for path in ("/roles/R8", "/roles/R8", "/roles/R2"):
        yield "admin", "DELETE", F + path, None


def plain(v):
    """without times, which differ"""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return "TIME" if isinstance(v, str) and TIME.match(v) else v


def send(base, method, path, body, token=None):
    at = urllib.parse.urlsplit(base)
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=240)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    c.request(method, path, body if isinstance(body, bytes) or body is None else json.dumps(body), {**headers, **({"Authorization": f"Bearer {token}"} if token else {})})
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, json.loads(text) if text else None


def answers(base):
    tokens = {who: send(base, "POST", "/auth/token", {"username": who, "password": who})[1]["access_token"] for who in ("admin", "vera")}
    for who, method, path, body in requests():
        status, answer = send(base, method, path, body, tokens.get(who))
        yield {"who": who, "request": f"{method} {path}", "body": body.decode() if isinstance(body, bytes) else body, "status": status, "answer": plain(answer)}


if __name__ == "__main__":
    print("[\n" + ",\n".join(json.dumps(a, sort_keys=True) for a in answers(sys.argv[1])) + "\n]")
