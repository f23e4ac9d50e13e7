#!/usr/bin/env python3
"""Records what the Python libraries that Airflow uses write: repr of doubles, msgspec's msgpack, cryptography's Fernet
tokens, PyJWT's tokens. For tests/unit/test_base_str.c, test_msgpack.c and test_crypto.c:

    .venv/bin/python tests/unit/data/make_base_cases.py > tests/unit/data/base_cases.json
"""
import json
import random
import struct
from datetime import datetime, timedelta, timezone

import jwt
import msgspec
from cryptography.fernet import Fernet, MultiFernet

rng = random.Random(3)
NOW = 1_800_000_000


def doubles():
    values = [0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 2 / 3, 1e15, 1e16, 123456789012345678.0, 1e17, 1e22, 1e23, 5e-324, 1e-5, 1e-4,
              0.0001234, 123e-7, 1.7976931348623157e308, 2.2250738585072014e-308, 2.225073858507201e-308, 9007199254740993.0,
              0.30000000000000004, 100.0, 1e2, 99999999999999.98, 999999999999999.9, 9999999999999998.0, 3.14]
    values += [2.0 ** e for e in range(-1074, 1024, 7)] + [2.0 ** -44, 2.0 ** 122, 2.0 ** 89]
    values += [struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0] for _ in range(400)]
    values += [rng.uniform(-1000, 1000) for _ in range(200)] + [round(rng.uniform(0, 1e6), 3) for _ in range(200)]
    return [[struct.pack(">d", v).hex(), repr(v)] for v in values if v == v and abs(v) != float("inf")]


def packed():
    values = [None, True, False, 0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, -1, -32, -33, -128, -129,
              -32768, -32769, -2**31, -2**31 - 1, -2**63, 0.5, -1e300, "", "a", "x" * 31, "x" * 32, "y" * 255, "y" * 256,
              "Grüße 🎉", [], [1, "a", None], list(range(15)), list(range(16)), {}, {"a": 1, "b": [True, {"c": -5}]},
              {str(i): i for i in range(15)}, {str(i): i for i in range(16)}, [[[[[]]]]]]
    return [[msgspec.msgpack.encode(v).hex(), v] for v in values]


def packed_times():
    rows = []
    for moment in (datetime(2026, 11, 21, tzinfo=timezone.utc), datetime(2026, 11, 21, 1, 2, 3, 456789, timezone.utc),
                   datetime(1960, 1, 2, 3, 4, 5, 6, timezone.utc), datetime(2600, 1, 1, tzinfo=timezone.utc),
                   datetime(2015, 6, 1, tzinfo=timezone(timedelta(hours=2)))):
        text = moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
        rows.append([msgspec.msgpack.encode(moment).hex(), text])
        seconds = int(moment.timestamp() // 1)
        if 0 <= seconds < 2**32 and not moment.microsecond:
            rows.append([(b"\xd6\xff" + struct.pack(">I", seconds)).hex(), text])
    return rows


def fernets():
    keys = [Fernet.generate_key().decode() for _ in range(3)]
    rows = []
    for plain in ("", "x", "sixteen bytes!!!", "Grüße", '{"extra": 1}', "y" * 1000):
        rows.append([MultiFernet([Fernet(k) for k in keys[:2]]).encrypt(plain.encode()).decode(), plain])
    foreign = Fernet(keys[2]).encrypt(b"secret").decode()
    return {"keys": keys[:2], "tokens": rows, "foreign_key": keys[2], "foreign": foreign}


def tokens():
    key = "a secret of this test, long enough for HS512 to be content with it, is it not? Now it is."
    base = {"sub": "019", "iat": NOW - 10, "exp": NOW + 600, "nbf": NOW - 10, "aud": "urn:airflow.apache.org:task", "scope": "execution"}
    rows = []
    for why, change, algorithm in (("", {}, "HS512"), ("", {}, "HS256"), ("", {}, "HS384"), ("expired", {"exp": NOW - 60}, "HS512"),
                                   ("not valid yet", {"nbf": NOW + 60}, "HS512"), ("future", {"iat": NOW + 60}, "HS512"),
                                   ("", {"exp": NOW - 2, "nbf": NOW + 2, "iat": NOW + 2}, "HS512"), ("not a number", {"exp": "soon"}, "HS512"),
                                   ("", {"exp": NOW + 5.5}, "HS512")):
        payload = {**base, **change}
        rows.append([jwt.encode(payload, key, algorithm=algorithm, headers={"kid": "k1"}), why, json.dumps(payload, separators=(",", ":"))])
    bare = jwt.encode({"sub": "x"}, key, algorithm="HS512")
    none = jwt.encode({"sub": "x"}, None, algorithm="none")
    return {"key": key, "now": NOW, "leeway": 10, "rows": rows, "bare": bare, "none": none,
            "wrong_key": jwt.encode(base, key + "!", algorithm="HS512")}


parts = {"doubles": doubles(), "msgpack": packed(), "msgpack_times": packed_times(), "fernet": fernets(), "jwt": tokens()}
print("{")
for name, part in parts.items():
    if isinstance(part, list):
        print(f' "{name}": [')
        print(",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in part))
        print(" ],")
    else:
        print(f' "{name}": {json.dumps(part, ensure_ascii=False)},')
print(' "made_by": "make_base_cases.py"\n}')
