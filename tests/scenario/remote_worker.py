"""A worker that owns nothing but a token: it reads ExecuteTask workloads, one a line, and runs each in the official task supervisor, which
speaks the Execution API. Forks after the imports, as Airflow's own executors do.

    updraft internal workload --follow | python remote_worker.py DIR        DIR gets <dag>.<task>.<map>.<try>.log, what the supervisor says"""
import json
import os
import re
import sys
import traceback

from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.sdk.log import configure_logging
from pydantic import TypeAdapter

ROOM = 4


def run(line, folder):
    w = json.loads(line)["ti"]
    name = re.sub(r"\W", "_", f"{w['dag_id']}.{w['task_id']}.{w['map_index']}.{w['try_number']}") + ".log"
    fd = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    configure_logging(output=os.fdopen(os.dup(fd), "wb"), json_output=True)
    BaseExecutor.run_workload(TypeAdapter(workloads.All).validate_json(line))


def main(folder):
    print("ready", flush=True)
    children = set()
    for line in sys.stdin.buffer:
        while len(children) >= ROOM:
            children.discard(os.wait()[0])
        pid = os.fork()
        if pid == 0:
            try:
                run(line, folder)
                os._exit(0)
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
                os._exit(1)
        children.add(pid)
    while children:
        children.discard(os.wait()[0])


main(sys.argv[1])
