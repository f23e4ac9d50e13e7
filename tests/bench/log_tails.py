#!/usr/bin/env python3
"""What a thousand open log tails cost the API server: memory, and how soon all have a line. Nothing is judged here.

    tests/bench/log_tails.py [tails] [files]        UPDRAFT_BUILD: the build folder"""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from tails_kit import Tails  # noqa: E402


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    files = int(sys.argv[2]) if len(sys.argv) > 2 else count
    t = Tails(count, files)
    pid = t.server.process.pid
    t.until_all_have("first")
    print(f"{count} tails of {files} logs: {t.memory() / 1024:.1f} MiB")
    before = cpu(pid)
    took = []
    for n in range(20):
        t.write(f"line {n}")
        took.append(t.until_all_have(f"line {n}"))
    spent = cpu(pid) - before
    print(f"a line in each log: all tails have it after {sorted(took)[10] * 1000:.0f} ms (middle of 20; the longest {max(took) * 1000:.0f} ms), {spent / 20 / count * 1e6:.0f} us CPU a tail and line")
    print(f"after 20 lines each: {t.memory() / 1024:.1f} MiB")
    before = cpu(pid)
    time.sleep(10)
    print(f"waiting: {(cpu(pid) - before) * 10:.1f} % of a core, {t.memory() / 1024:.1f} MiB")
    t.close()


if __name__ == "__main__":
    main()
