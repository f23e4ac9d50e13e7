"""Runs the test families and closes with "N passed, N failed" (", N skipped").

run_all.py [--long] [FAMILY ...]      families in order: see FAMILIES; none named = all
A C test program counts as one test; a Python file counts its test methods. --long sets UPDRAFT_LONG=1 and the long
figures (CHAOS_KILLS, SIM_RUNS). Everything a test needs it starts itself and stops by pid.
"""
from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
PYTHON = "/usr/bin/python3"
RELEASE, ASAN, CLANG = ROOT / "build", ROOT / "build-asan", ROOT / "build-clang"
SETUP = {  # folder -> (compiler, meson options)
    RELEASE: (None, ["--buildtype=release"]),
    ASAN: ("gcc", ["--buildtype=debugoptimized", "-Db_sanitize=address,undefined"]),
    CLANG: ("clang-16", ["--buildtype=debugoptimized", "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
}
passed: list[str] = []
failed: list[str] = []
skipped: list[str] = []


def say(text: str) -> None:
    print(text, flush=True)


def build(folder: pathlib.Path) -> bool:
    """Compiles with warnings as errors; False, with the errors printed, when it does not."""
    compiler, options = SETUP[folder]
    env = {**os.environ, **({"CC": compiler} if compiler else {})}
    log = CACHE / f"{folder.name}.log"
    with open(log, "w") as out:
        # --reconfigure: the libraries of the tests may have come after the first configuration
        args = ["meson", "setup", str(folder), *options] + (["--reconfigure"] if (folder / "build.ninja").exists() else [])
        bad = subprocess.run(args, cwd=ROOT, env=env, stdout=out, stderr=out).returncode
        bad = bad or subprocess.run(["ninja", "-C", str(folder)], stdout=out, stderr=out).returncode
    if bad:
        say("\n".join(x for x in log.read_text().splitlines() if re.search(r"error|FAILED|undefined", x))[:4000])
        failed.append(f"build {folder.name} (whole log: {log.relative_to(ROOT)})")
    else:
        passed.append(f"build {folder.name}")
    return not bad


def meson_suite(folder: pathlib.Path, suites: list[str]) -> None:
    """The C tests of one build folder."""
    args = ["meson", "test", "-C", str(folder), "--no-rebuild", "--num-processes", "2", "--timeout-multiplier", "10"]
    args += [a for s in suites for a in ("--suite", s)]
    subprocess.run(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        lines = (folder / "meson-logs/testlog.json").read_text().splitlines()
    except OSError:
        lines = []
    if not lines:
        failed.append(f"{folder.name}: no test of {', '.join(suites)} ran")
    for line in lines:
        t = json.loads(line)
        name = f"{folder.name} {t['name']}"
        if t["result"] == "OK":
            passed.append(name)
        elif t["result"] == "SKIP":
            skipped.append(f"{name}: {t['stdout'][-200:].strip()}")
        else:
            failed.append(name)
            say(f"--- {name}: {t['result']}\n{t.get('stdout', '')[-3000:]}\n{t.get('stderr', '')[-3000:]}")


def python_file(path: pathlib.Path, env: dict[str, str] | None = None, label: str = "", only: tuple[str, ...] = ()) -> None:
    """One unittest file, or of it the classes and methods named; its methods are counted."""
    name = str(path.relative_to(ROOT)) + label
    began = time.monotonic()
    r = subprocess.run([PYTHON, "-W", "ignore", "-m", "unittest", "-v", *([f"{path.stem}.{x}" for x in only] or [path.stem])], cwd=path.parent, text=True, errors="replace",
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "UPDRAFT_BUILD": str(RELEASE), **(env or {})})
    ran = re.search(r"^Ran (\d+) test", r.stdout, re.M)
    counts = {k: int(v) for k, v in re.findall(r"(failures|errors|skipped|unexpected successes)=(\d+)", r.stdout[r.stdout.rfind("Ran "):])}
    bad = counts.get("failures", 0) + counts.get("errors", 0) + counts.get("unexpected successes", 0)
    if not ran or (r.returncode and not bad):
        bad = max(bad, 1)
    total = int(ran.group(1)) if ran else 0
    missing = counts.get("skipped", 0)
    passed.extend([name] * max(0, total - bad - missing))
    failed.extend([name] * bad)
    reasons = re.findall(r"skipped ['\"](.*)['\"]$", r.stdout, re.M)
    skipped.extend(f"{name}: {why}" for why in (reasons + ["?"] * missing)[:missing])
    say(f"{'FAILED' if bad else 'ok':6} {name}: {total} tests, {time.monotonic() - began:.0f} s")
    if bad:
        say(r.stdout[-6000:])


def files(folder: str) -> list[pathlib.Path]:
    return sorted((ROOT / "tests" / folder).glob("test_*.py"))


def unit() -> None:
    for folder in (RELEASE, ASAN):
        if build(folder):
            meson_suite(folder, ["unit", "store"])


def sim() -> None:
    """Some two minutes of simulated worlds on two cores side by side, the same ones each time; --long: a million of them, and the planted bugs."""
    if not (RELEASE / "build.ninja").exists() and not build(RELEASE):
        return
    program, worlds = str(RELEASE / "tests/sim/sim"), int(os.environ.get("SIM_RUNS", "0"))
    seed = int(os.environ.get("SIM_SEED", "1"))
    if worlds:
        args = [["--seed", str(seed + k * (worlds // 2)), "--runs", str(worlds // 2), "--steps", "15"] for k in range(2)]
    else:
        args = [["--seed", str(seed + k * 1000000), "--runs", "4400"] for k in range(2)]
    args.insert(0, ["--seeds", str(ROOT / "tests/sim/seeds.txt")])  # worlds that failed once
    for process in [subprocess.Popen([program, *a], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for a in args]:
        said = process.communicate()[0]
        (failed if process.returncode else passed).append("sim")
        say(said.strip()[-6000:])
    if os.environ.get("UPDRAFT_LONG"):
        python_file(ROOT / "tests/sim/test_planted.py")


def fuzz() -> None:
    if build(CLANG):
        meson_suite(CLANG, ["fuzz"])  # the unit tests run in the two other builds; this one is instrumented for fuzzing


def two_at_a_time(folder: str) -> None:
    """Two files side by side: most of their time is a wait."""
    with concurrent.futures.ThreadPoolExecutor(2) as side_by_side:
        list(side_by_side.map(python_file, files(folder)))


def scenario() -> None:
    two_at_a_time("scenario")


def conformance() -> None:
    if not (RELEASE / "build.ninja").exists():
        build(RELEASE)
    for f in files("conformance"):
        python_file(f, {"CONFIG_PROBE": str(RELEASE / "tests/unit/config_probe")})


def e2e() -> None:
    for f in files("e2e"):
        python_file(f)


def chaos() -> None:
    for f in files("chaos"):
        python_file(f, {"CHAOS_KILLS": "300" if os.environ.get("UPDRAFT_LONG") else "30"})


# What runs over both engines besides the store's tests, which always do: file, environment, what of it in the short form (() is all).
OVER_POSTGRES = [
    ("scenario/test_roles.py", {}, ("Scheduler", "Commands")),
    ("chaos/test_chaos.py", {"CHAOS_KILLS": "10"}, ()),
    ("chaos/test_chaos.py", {"CHAOS_KILLS": "10", "UPDRAFT_TEST_ENGINE": "pgbouncer"}, ("Chaos.test_roles_die_and_tasks_do_not_notice",)),
    ("conformance/test_conformance.py", {"CONFORMANCE_SAMPLE": "5"}, ()),
]
ALL_OVER_POSTGRES = [*((f, {**env, "CHAOS_KILLS": "100", "CONFORMANCE_SAMPLE": "1"}, ()) for f, env, _ in OVER_POSTGRES), *((f"conformance/test_{x}.py", {}, ()) for x in ("api", "cli", "events", "versions", "examples"))]


def postgres() -> None:
    """One server for all of them; every home has a database of its own (tests/databases.py)."""
    sys.path.insert(0, str(ROOT / "tests"))
    import postgres as servers
    if not servers.programs():
        skipped.append("postgres: no PostgreSQL is installed (Debian: postgresql-15)")
        return
    server = servers.Server()
    pooler = servers.Pooler(server) if servers.Pooler.program() else None
    try:
        server.make()
        server.start()
        if pooler:
            pooler.start()
        for path, env, only in ALL_OVER_POSTGRES if os.environ.get("UPDRAFT_LONG") else OVER_POSTGRES:
            engine = env.get("UPDRAFT_TEST_ENGINE", "postgres")
            if engine == "pgbouncer" and not pooler:
                skipped.append(f"tests/{path} through PgBouncer: it is not installed (Debian: pgbouncer)")
                continue
            python_file(ROOT / "tests" / path, {**env, "UPDRAFT_TEST_ENGINE": engine, **servers.environment(server, pooler)}, f" over {engine}", only)
    finally:
        if pooler:
            pooler.stop()
        server.remove()


def platform() -> None:
    if not (RELEASE / "build.ninja").exists():
        build(RELEASE)
    two_at_a_time("platform")


FAMILIES = {"unit": unit, "sim": sim, "scenario": scenario, "conformance": conformance, "e2e": e2e, "chaos": chaos, "postgres": postgres, "platform": platform, "fuzz": fuzz}


def main(argv: list[str]) -> int:
    CACHE.mkdir(exist_ok=True)
    if "--long" in argv:
        argv.remove("--long")
        os.environ["UPDRAFT_LONG"] = "1"
        os.environ.setdefault("SIM_RUNS", "1000000")
    unknown = [a for a in argv if a not in FAMILIES]
    if unknown:
        say(f"unknown family {unknown[0]}; there are: {' '.join(FAMILIES)}")
        return 2
    for name in argv or FAMILIES:
        say(f"== {name}")
        began = time.monotonic()
        FAMILIES[name]()
        say(f"== {name}: {time.monotonic() - began:.0f} s")
    for label, rows in (("skipped", skipped), ("failed", failed)):
        for row in dict.fromkeys(rows):
            say(f"{label}: {row}")
    say(f"{len(passed)} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
