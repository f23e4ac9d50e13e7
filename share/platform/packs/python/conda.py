"""conda-requirements.txt or environment.yml as lines of a requirements.txt. conda's `name=1.2=py35_0` is `name==1.2`; what PyPI does not have because
it is no Python package (python itself, compilers, libraries) is left out and named on standard error."""
import pathlib
import re
import sys

NOT_PYTHON = {"python", "pip", "setuptools", "wheel", "openssl", "readline", "sqlite", "tk", "xz", "zlib", "mkl", "nomkl", "libgfortran", "openblas", "blas",
              "libgcc", "libgcc-ng", "libstdcxx-ng", "ncurses", "libffi", "ca-certificates", "bzip2", "postgresql", "libpq", "gcc", "conda", "hdf5", "libpng", "freetype"}
NAMES = {"pytables": "tables", "pytorch": "torch", "msgpack-python": "msgpack", "redis-py": "redis"}


def entries(path):
    nested = False
    for raw in path.read_text(encoding="utf-8").splitlines():
        text = raw.split("#")[0].rstrip()
        if not text.strip():
            continue
        if path.suffix in (".yml", ".yaml"):
            m = re.match(r"^\s*-\s*(.+)$", text)
            nested = nested or bool(m and m[1].strip() == "pip:")
            if not m or m[1].strip() == "pip:" or not section_is_dependencies(path, raw):
                continue
            text = m[1].strip().strip("'\"")
        yield text.strip()


def section_is_dependencies(path, wanted):
    section = ""
    for raw in path.read_text(encoding="utf-8").splitlines():
        m = re.match(r"^(\w+):", raw)
        section = m[1] if m else section
        if raw == wanted:
            return section == "dependencies"
    return False


def main():
    path = next(p for p in map(pathlib.Path, ("conda-requirements.txt", "environment.yml")) if p.exists())
    for entry in entries(path):
        entry = entry.split("::")[-1]
        m = re.match(r"^([A-Za-z0-9][\w.\-]*)\s*(?:=([^=<>!~]+?)(?:=[\w.]+)?)?$", entry)
        name = (m[1] if m else re.split(r"[<>=!~\[ ]", entry)[0]).lower()
        if name in NOT_PYTHON:
            print(f"       {entry} is no package of PyPI: left out", file=sys.stderr)
        elif m and m[2]:
            print(f"{NAMES.get(name, name)}=={m[2].strip()}")
        else:
            print(NAMES.get(name, name) + entry[len(name):])
    extra = pathlib.Path("requirements.txt")
    if extra.exists():
        print(extra.read_text(encoding="utf-8"))


main()
