"""Pipfile.lock or poetry.lock as lines of a requirements.txt: what runs, not what develops. Hashes are kept, so that nothing else is installed."""
import json
import sys
import tomllib


def wanted_by(table, marker):
    return f" ; {marker}" if marker else ""


def line(name, package, hashes, marker):
    if package.get("git"):
        ref = package.get("ref") or package.get("reference") or package.get("resolved_reference") or "HEAD"
        return f"{name} @ git+{package['git']}@{ref}{wanted_by(package, marker)}"
    extras = f"[{','.join(package['extras'])}]" if package.get("extras") else ""
    return f"{name}{extras}{package['version']}{wanted_by(package, marker)}" + "".join(f" --hash={h}" for h in hashes)


def pipfile(text):
    for name, package in json.loads(text)["default"].items():
        if "file" in package or "path" in package:
            yield package.get("file") or package["path"]
        else:
            yield line(name, package, package.get("hashes", []), package.get("markers"))


def poetry(text):
    data = tomllib.loads(text)
    old_files = data.get("metadata", {}).get("files", {})
    for package in data.get("package", []):
        groups = package.get("groups", [package.get("category", "main")])
        if "main" not in groups or package.get("optional"):
            continue
        source = package.get("source", {})
        marker = package.get("markers")
        if isinstance(marker, dict):
            marker = marker.get("main")
        files = package.get("files") or old_files.get(package["name"], [])
        how = {"version": f"=={package['version']}"}
        if source.get("type") == "git":
            how = {"git": source["url"], "ref": source["resolved_reference"]}
        elif source.get("type") in ("directory", "file", "url"):
            yield source["url"]
            continue
        yield line(package["name"], how, [f["hash"] for f in files], marker)


name = sys.argv[1]
try:
    with open(name, encoding="utf-8") as f:
        lines = list((pipfile if name == "Pipfile.lock" else poetry)(f.read()))
except (ValueError, KeyError, TypeError, AttributeError) as e:
    sys.exit(f" !     {name} is damaged: {type(e).__name__}: {e}")
print("\n".join(lines))
