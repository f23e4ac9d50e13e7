#!/usr/bin/env python3
"""Records which files real Airflow 3.3.2 leaves out for .airflowignore rules: ignore_cases.json.

    VENV/bin/python tests/unit/data/make_ignore_cases.py tests/unit/data/ignore_cases.json"""
import json
import os
import pathlib
import sys
import tempfile

from airflow._shared.module_loading.file_discovery import find_path_from_directory

TREE = ["a.py", "b.py", "ab.py", "test_a.py", "a_test.py", "[x].py", "x.py", "with space.py", "hash#tag.py", "-dash.py", "Ünï.py", "!bang.py",
        "sub/a.py", "sub/b.py", "sub/deep/a.py", "sub/deep/b.py", "sub/deep/er/c.py", "sub/x1.py", "sub/x22.py", "sub.py",
        "other/a.py", "other/sub/a.py", "other/sub/deep/a.py", "a/a.py", "a/b/a.py", "a/b/c/a.py", ".hidden/a.py", ".hidden.py", "tests/test_a.py",
        "deep/sub/deep/z.py"]

GLOB = ["a.py", "*.py", "/a.py", "sub", "sub/", "/sub", "/sub/", "sub/*", "sub/**", "**/a.py", "**/deep", "**/deep/", "sub/**/a.py", "/**/b.py", "a/**/a.py",
        "a*.py", "?.py", "x[0-9].py", "x[0-9]*.py", "[ab].py", "[!ab].py", "[^ab].py", "[a-", "[]x].py", r"\[x\].py", "[[]x].py", r"\!bang.py", "!bang.py",
        "# only a comment", "a.py # and a comment", "a.py   ", "a.py\\ ", "  a.py", "", "/", "//", "a.py\nb.py", "*.py\n!a.py", "*.py\n!/a.py", "sub/\n!sub/a.py",
        "sub/*\n!sub/a.py", "sub/*\n!sub/deep/", "*\n!*.py", "*\n!sub\n!sub/*.py", "!a.py\n*.py", "*.py\n!*.py\na.py", "with space.py", "with*", "hash#tag.py",
        r"hash\#tag.py", "-dash.py", "Ünï.py", "Ü*.py", "?nï.py", ".*", ".hidden", "test*", "*test*", "tests/", "**", "***", "*/", "**/", "*/a.py", "*/*/a.py", "a/b/", "a/b",
        "b/", "b", "sub/deep/er", "deep/er", "sub/deep/**", "sub/**/er/c.py", "other/**/deep", "a.py/", "/*", "/*/", "/*.py", "*.PY", "A.py", "sub//a.py", "./a.py",
        "a.py\r", "a.py\t", "sub/!a.py", "!", "!!a.py", "*.py\n!!a.py", "a**.py", "**a.py", "s**b/a.py", "x{1,2}.py", "x+.py", "a.p(y)", "^a.py$", "a.py|b.py", r"a\.py", "\\", "sub\\deep"]

REGEXP = ["a", "a.py", "^a", r"^a\.py$", r"sub/.*", r"^sub/", "^sub$", "deep", r".*_test\.py", "test_", "[ab].py$", "(", "[", "a|b", r"\d", r"x\d\d", r"sub/x\d+\.py", "# comment",
          "a.py # comment", "(?i)A.PY", r"\bsub\b", "(?<!test_)a.py", r"^[^/]*$", "", " a", "a\nsub", r"Ü", r"\w+ï", r"^(?!sub)", "x{2}", "a*", r"other/sub", r"/a\.py$", r"(?P<n>a)/(?P=n)", r"\Aa\.py\Z", "hash#tag"]

NESTED = [
    {"sub": "a.py"}, {"sub": "/a.py"}, {"sub": "deep/a.py"}, {"sub": "deep"}, {"sub": "/deep/"}, {"sub": "*.py"}, {"": "*.py", "sub": "!*.py"}, {"": "a.py", "sub": "!a.py"},
    {"": "sub/a.py", "sub": "!a.py"}, {"": "deep", "sub": "!deep"}, {"": "b.py", "sub": "a.py", "sub/deep": "!a.py"}, {"sub/deep": "*"}, {"sub": "sub/a.py"}, {"sub": "**/er"},
    {"": "sub/", "sub": "!a.py"}, {"sub": "*\n!a.py", "sub/deep": "b.py"}, {"a": "/b"}, {"a": "b/c"}, {"a/b": "/c/"},
]


def found(syntax, ignore):
    with tempfile.TemporaryDirectory() as base:
        for rel in TREE:
            path = pathlib.Path(base, rel)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        for folder, text in ignore.items():
            pathlib.Path(base, folder, ".airflowignore").write_bytes(text.encode())
        try:
            return sorted(os.path.relpath(p, base) for p in find_path_from_directory(base, ".airflowignore", syntax))
        except Exception as e:
            return {"error": type(e).__name__}


cases = [{"syntax": s, "ignore": i, "ignored": r if isinstance(r, dict) else sorted(set(TREE) - set(r))}
         for s, i in [("glob", {"": t}) for t in GLOB] + [("regexp", {"": t}) for t in REGEXP] + [(s, n) for s in ("glob", "regexp") for n in NESTED]
         for r in [found(s, i)]]
pathlib.Path(sys.argv[1]).write_text(json.dumps({"tree": TREE, "cases": cases}, indent=0, ensure_ascii=False) + "\n")
