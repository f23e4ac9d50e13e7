"""What a Python task costs through the forge: a table in milliseconds. Never a pass or a fail.

    .venv/bin/python tests/bench/forge_bench.py [rounds]

to success: from sending StartupDetails (spare) or the fork request (others) to the SucceedTask frame.
CPU: user and system time of the child plus what its fork cost the forge, per task.
"""

import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
from forge_client import Forge, Home, Store, startup  # noqa: E402

DAG = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
def noop(): return None
with DAG("one", schedule=None, start_date=datetime(2024, 1, 1)):
    PythonOperator(task_id="noop", python_callable=noop)
    BashOperator(task_id="bash_true", bash_command="true")
"""


def cpu_ms(pid):
    """User and system time of a process itself, in milliseconds, from the scheduler's own clock."""
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e6


def pss_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def one(control, task, spare):
    child = control.fork("task")
    if spare:
        wait_until_asleep(child.pid)
    child.run(startup("one", task, "one.py"), Store())
    assert child.types[-1] == "SucceedTask", (child.types, child.output)
    done = next(at for kind, at in child.stamps if kind == "SucceedTask")
    reaped = time.perf_counter()
    return ((done - child.began) * 1e3, (reaped - child.began) * 1e3,
            (child.exit["utime"] + child.exit["stime"]) * 1e3)  # fmt: skip


def wait_until_asleep(pid):
    """A spare is ready when it has nothing left to do but read."""
    while True:
        with open(f"/proc/{pid}/wchan") as w, open(f"/proc/{pid}/stat") as s:
            if s.read().rsplit(")", 1)[1].split()[0] == "S" and "poll" not in w.read():
                with open(f"/proc/{pid}/syscall") as f:
                    if f.read().split()[0] == "45":  # recvfrom
                        return


def measure(name, control, forge_pid, task, rounds, spare=False):
    for _ in range(3):
        one(control, task, spare)
    before = cpu_ms(forge_pid)
    rows = [one(control, task, spare) for _ in range(rounds)]
    forge_cpu = (cpu_ms(forge_pid) - before) / rounds
    success, reaped, child_cpu = ([row[i] for row in rows] for i in range(3))
    mean = statistics.mean(child_cpu)
    print(f"{name:34} {statistics.median(success):8.2f} {sorted(success)[int(rounds * 0.9)]:8.2f} "
          f"{statistics.median(reaped):8.2f} {mean:9.2f} {forge_cpu:9.2f} {mean + forge_cpu:9.2f}")  # fmt: skip


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    home = Home()
    home.write("one.py", DAG)
    os.utime(os.path.join(home.dags, "one.py"), (1, 1))
    forge = Forge(home)
    print(f"warm in {forge.ready['warm_ms']} ms, PSS {pss_mib(forge.ready['pid']):.1f} MiB")
    holder, verdict = forge.hold("dags-folder", home.dags, "one.py")
    assert holder, verdict
    print(f"{'ms':34} {'success':>8} {'p90':>8} {'reaped':>8} {'child cpu':>9} {'fork cpu':>9} {'cpu/task':>9}")
    for task in ("noop", "bash_true"):
        measure(f"{task}, parsed in the child", forge, forge.ready["pid"], task, rounds)
        measure(f"{task}, parsed ahead", holder, holder.pid, task, rounds)
        measure(f"{task}, spare", holder, holder.pid, task, rounds, spare=True)
    print(f"holder PSS {pss_mib(holder.pid):.1f} MiB, forge PSS {pss_mib(forge.ready['pid']):.1f} MiB")
    holder.sock.close()
    forge.close()
    home.remove()


if __name__ == "__main__":
    main()
