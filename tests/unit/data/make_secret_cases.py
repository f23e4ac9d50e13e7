#!/usr/bin/env python3
"""Records what real Airflow 3.3.2 reads from and writes into connection URIs and JSON: secret_cases.json.

    VENV/bin/python tests/unit/data/make_secret_cases.py tests/unit/data/secret_cases.json"""
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp())
from airflow.sdk import Connection  # noqa: E402

FIELDS = ("conn_type", "description", "host", "schema", "login", "password", "port", "extra")
# not here: texts without a scheme and schemes with "_", which Airflow reads as a path, and http://http://h, whose host it loses
URIS = ["postgres://user:pw@host:5432/db?sslmode=require", "postgresql://u:p@h/db", "mysql://h", "http://", "http://h:80", "http://h/", "http://h/a/b", "http://h/a%2Fb",
        "google-cloud-platform://", "my-conn-type://h", "HTTP://Host.Example/Path", "postgres://user@host", "postgres://:pw@host", "postgres://user:@host", "postgres://@host",
        "postgres://@:5432", "postgres://:5432", "a://u%40x:p%3A%2F%3F%23@h%20x:1/s%20y", "a://u:p@w:d@h", "a://u:p:w@h", "a://u:p@[::1]:5432/db", "a://[2001:db8::1]/x", "a://h?x=1&y=2", "a://h/?x=1",
        "a://h/s?x=", "a://h/s?x", "a://h/s?x=1&x=2", "a://h/s?a+b=c+d", "a://h/s?a%20b=c%26d%3De", "a://h/s?=v", "a://h/s?&&x=1&", "a://h?__extra__=%7B%22a%22%3A+1%7D", "a://h?__extra__=text",
        "a://h?x=1&__extra__=%7B%7D", "a://h?x=%C3%A9", "a://h/s?x=1#frag", "a://h#frag/x", "a://h/s#f?x=1", "spark://https://h:7077", "spark://yarn://u:p@h:1/s?x=1", "http://https://example.com/api?x=1", 
        "a://b://c://d", "a://u@b://h", "a://b:c://h", "a://", "a:///s", "a:///?x=1", "a://u:p@", "a://h:/s", "a://h:0", "a://h:99999", "a://h:port", "a://H.UPPER.Case:1", "a://h%2Fx/y",
        "a://u:p@%2Fvar%2Frun/db", "a://h/s/t/u", "a://h//s", "a://h/s?x=a=b", "a://h/s?x=a/b?c", "sqlite:////tmp/x.db", "redis://:p%40ss@h:6379/0", "aws://AKIA:sec%2Fret@/?region_name=eu&n=1", "a://ü:ö@ä/ß", "a://h?x=%zz", "a://h?x=%4",
        "postgres://user:pw@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d3adb33f", "a:b", "a:/x"]
JSONS = ['{}', '{"conn_type": "http", "host": "h"}', '{"conn_type": "postgresql", "host": "h", "port": 5432}', '{"conn_type": "my-type", "port": "99"}', '{"port": ""}', '{"port": null}', '{"port": 0}', '{"port": "x"}',
         '{"conn_type": "a", "login": "u", "password": "p", "schema": "s", "description": "d"}', '{"extra": {"a": 1, "b": [1, 2.5, null, true]}}', '{"extra": "{\\"a\\": 1}"}', '{"extra": ""}', '{"extra": {}}',
         '{"extra": null}', '{"extra": {"ü": "ö"}}', '{"extra": "no json"}', '{"extra": {"b": 1, "a": 2}}', '[]', '"text"', '{', '{"conn_type": ""}', '  {"conn_type": "a"}', '{"host": ""}', '{"extra": [1]}']
WRITTEN = [dict(conn_type="postgres", login="u", password="p", host="h", port=5432, schema="db", extra='{"sslmode": "require"}'), dict(conn_type="a"), dict(), dict(host="h"), dict(conn_type="My_Type", host="h"),
           dict(conn_type="a", login="u"), dict(conn_type="a", password="p"), dict(conn_type="a", login="", password=""), dict(conn_type="a", port=1), dict(conn_type="a", login="u", port=1), dict(conn_type="a", schema="s"),
           dict(conn_type="a", host="h", schema="a/b c"), dict(conn_type="a", login="u@x", password="p:/?#", host="h h"), dict(conn_type="a", host="https://h"), dict(conn_type="https", host="https://h"),
           dict(conn_type="a", host="https://h/p:1", login="u", port=2), dict(conn_type="a", extra='{"a": "b c", "d": "e&f=g+h/i"}'), dict(conn_type="a", extra='{"a": 1}'), dict(conn_type="a", extra='{"a": ""}'), dict(conn_type="a", extra="{}"),
           dict(conn_type="a", extra='{"a": {"b": "c"}}'), dict(conn_type="a", extra="no json"), dict(conn_type="a", extra='["a"]'), dict(conn_type="a", host="h", schema="s", extra='{"ü": "ö"}'), dict(conn_type="a", host="::1", port=1),
           dict(conn_type="a", extra=""), dict(conn_type="a", extra='{"": "x"}'), dict(conn_type="a", extra='{"a": null}'), dict(conn_type="a", extra='{"a": "~-_.!*()"}'), dict(conn_type="a", login="ü", password="日本"), dict(conn_type="a", extra='"text"')]


def fields(make):
    try:
        c = make()
    except Exception as e:
        return {"error": type(e).__name__}
    return {k: v for k in FIELDS if (v := getattr(c, k)) not in (None, "")}


def uri(kw):
    try:
        return Connection(conn_id="c", **kw).get_uri()
    except Exception as e:
        return {"error": type(e).__name__}


pathlib.Path(sys.argv[1]).write_text(json.dumps({"uris": [[u, fields(lambda: Connection.from_uri(u, conn_id="c"))] for u in URIS], "jsons": [[j, fields(lambda: Connection.from_json(j, conn_id="c"))] for j in JSONS],
                  "written": [[w, uri(w)] for w in WRITTEN]}, indent=0, ensure_ascii=False) + "\n")
