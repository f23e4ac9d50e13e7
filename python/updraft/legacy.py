"""Supplies what Airflow 3 dropped: an import hook for the names, adapters for arguments and contexts.

install() costs microseconds and imports nothing of Airflow: two finders wait on sys.meta_path. The one
in front adds names and adapters to modules that still exist, the moment they are imported; the one at
the end supplies modules that nothing else knows. What a file needed of this is remembered per file,
because Airflow's old defaults apply to the DAGs of such files only (updraft.legacy_adapt).
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import types
from typing import Any

from updraft import legacy_names as names

# Modules whose import triggers an adapter in updraft.legacy_adapt.
ON_IMPORT = {
    "airflow.sdk.definitions.dag": "adapt_dag",
    "airflow.sdk.bases.operator": "adapt_operator",
    "airflow.sdk.definitions._internal.templater": "adapt_templates",
    "airflow.sdk.execution_time.task_runner": "adapt_context",
}

# Packages that register modules of their own making below them -> those of the table. (Airflow's packages
# put redirecting modules into sys.modules; such a module is never found by a finder.)
_SHIMMED: dict[str, list[str]] = {}
for _child in names.MODULES:
    _SHIMMED.setdefault(_child.rpartition(".")[0], []).append(_child)

# Files that asked for a legacy name -> what they asked for, in order.
_asked: dict[str, list[str]] = {}
_installed = False


def _note(what: str) -> None:
    """Remember `what` for every user file that is being imported now."""
    from updraft.watch import is_installed

    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith("<") and not is_installed(path):
            reasons = _asked.setdefault(path, [])
            if what not in reasons:
                reasons.append(what)
        frame = frame.f_back


def asked_by(path: str) -> list[str]:
    return _asked.get(path, [])


def _load(module: str, name: str, target: str) -> Any:
    where, attribute = target.split(":")
    try:
        value = getattr(importlib.import_module(where), attribute)
    except ModuleNotFoundError as e:
        package = names.pip_package_of(where)
        if package is None or not str(e.name).startswith("airflow.providers"):
            raise
        raise ImportError(
            f"{module}.{name} is {where}.{attribute} now. That needs the package {package}, which is not "
            f"installed in {sys.prefix}: pip install {package}"
        ) from e
    except AttributeError:
        raise ImportError(f"{module}.{name} should be {where}.{attribute}, but that does not exist here") from None
    return value


def _removed(module: str, name: str = "") -> str | None:
    return names.REMOVED.get(f"{module}:{name}") or names.REMOVED.get(module)


def _looked_up(module: str, table: dict[str, str], name: str) -> Any:
    """The value of a legacy name; AttributeError when this table has it not."""
    text = names.REMOVED.get(f"{module}:{name}")
    if text:
        raise ImportError(f"{module}.{name}: {text}")
    target = table.get(name)
    if target is None and "*" in table and not name.startswith("__"):
        target = f"{table['*']}:{name}"
    if target is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    value = _load(module, name, target)
    _note(f"{module}.{name}")
    return value


# ---------------------------------------------------------------- modules that are gone


def _is_package(name: str) -> bool:
    if any(known.startswith(name + ".") for known in names.MODULES):
        return True
    return name == "airflow.contrib" or (name.startswith("airflow.contrib.") and name.count(".") == 2)


def _guessed_contrib(module: str, name: str) -> Any:
    """What an installed provider has under the name today; None when it is not where such things usually went.

    airflow.contrib.hooks.slack_webhook_hook went to airflow.providers.slack.hooks.slack_webhook.
    """
    package, parts = names.contrib_package_of(module), module.split(".")
    if package is None or len(parts) != 4:
        return None
    home = "airflow.providers." + package.removeprefix("apache-airflow-providers-").replace("-", ".")
    leaf = re.sub(r"_(hook|operator|sensor)$", "", parts[3])
    for where in dict.fromkeys((leaf, leaf.partition("_")[2])):
        try:
            return getattr(importlib.import_module(f"{home}.{parts[2]}.{where}"), name)
        except (ImportError, AttributeError):
            continue
    return None


def _no_such_contrib(module: str, name: str) -> ImportError:
    package = names.contrib_package_of(module)
    what = f"{module}.{name}"
    if package is None:
        return ImportError(
            f"{what}: airflow.contrib was removed in Airflow 2; look for the provider package that has it now at "
            "https://airflow.apache.org/docs/ and pip install it"
        )
    path = package.removeprefix("apache-airflow-providers-").replace("-", ".")
    return ImportError(
        f"{what}: airflow.contrib was removed in Airflow 2. The package {package} (airflow.providers.{path}) has "
        f"its successor: pip install {package}, and import it from there"
    )


class _Supplied(types.ModuleType):
    """A module made of table entries."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        module = self.__name__
        text = _removed(module, name)
        if text:
            raise ImportError(f"{module}.{name}: {text}")
        try:
            return _looked_up(module, names.MODULES.get(module, {}), name)
        except AttributeError:
            if not module.startswith("airflow.contrib") or _is_package(module):
                raise
        value = _guessed_contrib(module, name)
        if value is None:
            raise _no_such_contrib(module, name)
        _note(f"{module}.{name}")
        return value


class _Supplier(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked last: finds the modules that only the table knows."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if not name.startswith("airflow."):
            return None
        known = name in names.MODULES or _removed(name) or name.startswith("airflow.contrib")
        if not known and not _is_package(name):
            return None
        if name.startswith("airflow.providers") and name not in names.MODULES and name.count(".") < 3:
            return None  # a provider that is not installed stays so: code asks for it to find that out
        return importlib.machinery.ModuleSpec(name, self, is_package=_is_package(name))

    def create_module(self, spec: Any) -> Any:
        return _Supplied(spec.name)

    def exec_module(self, module: Any) -> None:
        module.__all__ = sorted(names.MODULES.get(module.__name__, {}))


# ---------------------------------------------------------------- modules that lost names


def _extend(module: Any) -> None:
    """Add the names and run the adapter that belong to a module which was just imported."""
    name = module.__name__
    if name in names.MORE_NAMES or any(key.startswith(name + ":") for key in names.REMOVED):
        _add_names(module, names.MORE_NAMES.get(name, {}))
    for child in _SHIMMED.get(name, ()):
        if child in sys.modules:
            _add_names(sys.modules[child], names.MODULES[child])
    if name in ON_IMPORT:
        from updraft import legacy_adapt

        getattr(legacy_adapt, ON_IMPORT[name])(module)
    if name in AFTER_IMPORT:
        AFTER_IMPORT[name](module)


def _add_names(module: Any, table: dict[str, str]) -> None:
    earlier = vars(module).get("__getattr__")

    def __getattr__(name: str) -> Any:
        if earlier is not None:
            try:
                return earlier(name)
            except (AttributeError, ImportError):
                if name not in table and f"{module.__name__}:{name}" not in names.REMOVED:
                    raise
        return _looked_up(module.__name__, table, name)

    module.__getattr__ = __getattr__


# Other parts of updraft add what they want done once a module is there (see updraft.local_run).
AFTER_IMPORT: dict[str, Any] = {}


class _Then(importlib.abc.Loader):
    """Loads as the real loader does, then extends the module."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def create_module(self, spec: Any) -> Any:
        return self._real.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self._real.exec_module(module)
        _extend(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Extender(importlib.abc.MetaPathFinder):
    """Asked first: lets the others find a module of the table, and wraps its loader."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if not name.startswith("airflow") or not _wanted(name):
            return None
        for finder in sys.meta_path:
            if finder is self or isinstance(finder, _Supplier):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Then(spec.loader)
                return spec
        return None


def _wanted(name: str) -> bool:
    return (
        name in names.MORE_NAMES
        or name in ON_IMPORT
        or name in _SHIMMED
        or name in AFTER_IMPORT
        or any(key.startswith(name + ":") for key in names.REMOVED)
    )


# ---------------------------------------------------------------- what others call


def install() -> None:
    """Put the finders in place. Safe to call again."""
    global _installed
    if _installed:
        return
    _installed = True
    sys.meta_path.insert(0, _Extender())
    sys.meta_path.append(_Supplier())
    for name in {*names.MORE_NAMES, *ON_IMPORT, *AFTER_IMPORT, *_SHIMMED}:
        if name in sys.modules:
            _extend(sys.modules[name])


def warm_up() -> None:
    """Called once in the forge, after the SDK is there."""
    from updraft import direct, legacy_adapt

    legacy_adapt.warm_up()
    direct.warm_up()


def install_runtime() -> None:
    """Called in each child before user code runs."""
    _asked.clear()


def facts_of(dag: Any) -> dict[str, Any]:
    """What the parse record says about one DAG."""
    from updraft import legacy_adapt

    return legacy_adapt.facts_of(dag)


def own_directory() -> str:
    return os.path.dirname(os.path.abspath(__file__))
