#!/usr/bin/env python3
"""Which room may include which, and what the core may call.

usage: test_rooms.py [BUILD_DIR]

Every #include "room/..." under src/ goes along the arrows of docs/ARCHITECTURE.md. With a build directory, the objects
of the core's library are read with nm: what they leave undefined must be in the list of what is pure. Nothing that is made on a machine
(the environment, builds, caches), and no link to it, is kept in the repository.
"""
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
BUILD = None

# a room and the rooms it may use; base <- tables <- {core, config} <- {loop, store, http} <- {python, exec} <- engine <- api <- cli
# (within a brace the order is the build's)
LAYERS = [["base"], ["tables"], ["core", "config"], ["loop"], ["store", "http"], ["platform"], ["python"], ["exec"], ["moving"], ["processor"], ["engine"], ["api"], ["cli"], ["bin"]]

PURE = set("""
    memcpy memmove memset memcmp strlen strnlen strcmp strncmp strchr strrchr strdup
    malloc calloc realloc free snprintf vsnprintf strtok_r qsort
    ceil floor fabs llround pow
    __assert_fail __stack_chk_fail __chk_fail abort
    __memcpy_chk __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk __strncat_chk
    _GLOBAL_OFFSET_TABLE_
""".split())
SANITIZER = re.compile(r"^(__asan_|__ubsan_|__sanitizer_|__tsan_|__gcov|__llvm_)")
# base's and jansson's reading half: pure but for tz_load, which reads the system's zones once
OURS = re.compile(r"^(x(malloc|calloc|realloc_array|strdup|strndup|asprintf)|freep|arena_|buf_|vec_grow_|map_|heap_|str_|streq|utf8_|hash64|"
                  r"double_format|uuid_|err_|error_|civil_|usec_to_civil|usec_from_seconds|days_in_month|time_(format|parse|strftime|strptime)|tz_|cron_|jg|jg_|json_(object|array)_"
                  r"(get|size|iter|iter_next|iter_key|iter_value|iter_at|key_to_iter|foreach.*)|json_(string_value|integer_value|number_value|real_value|delete|decrefp)|"
                  r"json_object_iter.*|json_object_key_to_iter|json_equal|json_array|json_object|json_array_append_new|json_object_(del|set_new)|json_python|jw_(init|json)|"
                  r"ti_state_|run_state_|run_type_|trigger_rule_|reason_)")


def room_rank(room):
    for rank, rooms in enumerate(LAYERS):
        if room in rooms:
            return rank
    return None


class Includes(unittest.TestCase):
    def test_every_room_is_known(self):
        rooms = sorted(p.name for p in SRC.iterdir() if p.is_dir())
        self.assertEqual([r for r in rooms if room_rank(r) is None], [])

    def test_includes_follow_the_arrows(self):
        wrong = []
        for path in sorted(SRC.rglob("*.[ch]")):
            room = path.relative_to(SRC).parts[0]
            if room_rank(room) is None:
                continue                                       # main.c
            for line in path.read_text(errors="replace").splitlines():
                m = re.match(r'\s*#\s*include\s+"([a-z]+)/', line)
                if not m or m.group(1) == room or not (SRC / m.group(1)).is_dir():
                    continue
                used = m.group(1)
                if room_rank(used) is None or room_rank(used) >= room_rank(room):
                    wrong.append(f"{path.relative_to(ROOT)} includes {line.strip()}")
        self.assertEqual(wrong, [])


class Kept(unittest.TestCase):
    def git(self, *args):
        r = subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True)
        if r.returncode != 0:
            self.skipTest("no git repository here: " + r.stderr.strip())
        return r.stdout.splitlines()

    def test_nothing_that_is_ignored_is_kept(self):
        self.assertEqual(self.git("ls-files", "-ci", "--exclude-standard"), [])

    def test_no_links_are_kept(self):
        links = [line for line in self.git("ls-files", "-s") if line.startswith("120000")]
        self.assertEqual(links, [])


class Purity(unittest.TestCase):
    def setUp(self):
        if not BUILD:
            self.skipTest("no build directory was given")

    def test_core_calls_nothing_but_what_is_pure(self):
        lib = pathlib.Path(BUILD) / "src/core/libcore.a"
        self.assertTrue(lib.exists(), f"{lib} is not there: build it first")
        objects = sorted((pathlib.Path(BUILD) / "src/core/libcore.a.p").glob("*.o"))
        self.assertTrue(objects)
        undefined, defined = {}, set()
        for o in objects:
            out = subprocess.run(["nm", str(o)], check=True, capture_output=True, text=True).stdout
            for line in out.splitlines():
                kind, name = line.split()[-2:]
                if kind == "U":
                    undefined.setdefault(name, set()).add(o.name)
                else:
                    defined.add(name)
        bad = [f"{name} in {', '.join(sorted(where))}" for name, where in sorted(undefined.items())
               if name not in defined and name not in PURE and not OURS.match(name) and not SANITIZER.match(name)]
        self.assertEqual(bad, [])

    def test_core_has_no_changing_globals(self):
        found = []
        for o in sorted((pathlib.Path(BUILD) / "src/core/libcore.a.p").glob("*.o")):
            out = subprocess.run(["nm", "-f", "sysv", str(o)], check=True, capture_output=True, text=True).stdout
            for line in out.splitlines():
                fields = [f.strip() for f in line.split("|")]
                if len(fields) == 7 and fields[6] in (".data", ".bss", "*COM*") and not SANITIZER.match(fields[0]):
                    found.append(f"{fields[0]} in {o.name}")
        self.assertEqual(found, [])


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        BUILD = sys.argv.pop(1)
    unittest.main()
