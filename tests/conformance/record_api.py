#!/usr/bin/env python3
"""Ask real Airflow the requests of api_requests.py and keep the answers under recordings/api/.

    record_api.py --airflow VENV/bin/airflow [--database URL] [--home DIR] [--only open|more|users|ui|values]

The databases URL_open, URL_more, URL_users, URL_ui and URL_values must exist."""
import argparse
import json
import os
import shutil
import tempfile

from api_world import HERE, world

KINDS = ("open", "more", "users", "ui", "values")
RECORDINGS = os.path.join(HERE, "recordings", "api")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--airflow", required=True)
    p.add_argument("--database")
    p.add_argument("--home")
    p.add_argument("--only", action="append", choices=KINDS)
    a = p.parse_args()
    home = a.home or tempfile.mkdtemp(prefix="conformance-")
    extra = {k: {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{a.database}_{k}"} for k in KINDS} if a.database else {}
    os.makedirs(home, exist_ok=True)
    seen = world(a.airflow, home, extra, a.only or KINDS)
    os.makedirs(RECORDINGS, exist_ok=True)
    for kind, answers in seen.items():
        with open(os.path.join(RECORDINGS, kind + ".json"), "w") as f:
            json.dump(answers, f, indent=1, ensure_ascii=False, sort_keys=True)
            f.write("\n")
        print(kind, len(answers))
    if not a.home:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
