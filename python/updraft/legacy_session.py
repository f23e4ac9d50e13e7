"""The few ORM names that people typed into a Python prompt to make a user, without the ORM.

    user = PasswordUser(models.User()); user.username = ...
    session = settings.Session(); session.add(user); session.commit()

commit() hands the users to `updraft internal add-users`, which reads a JSON array on its standard input.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

_FIELDS = ("username", "email", "password", "superuser", "first_name", "last_name", "role", "roles")
_WHERE_TO = (
    "Airflow 3 gives no access to the metadata database from Python. Use the REST API (/api/v2) or the "
    "airflow command (airflow users --help)"
)


class User:
    """airflow.models.User: a bag of attributes until it is committed."""

    def __init__(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"<User {getattr(self, 'username', '?')}>"


class PasswordUser:
    """airflow.contrib.auth.backends.password_auth.PasswordUser around a User."""

    def __init__(self, user: Any = None) -> None:
        object.__setattr__(self, "user", user if user is not None else User())

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "user"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Airflow 1 took `user.password = ...` and, before 1.10, `user._set_password = ...`.
        setattr(self.user, "password" if name == "_set_password" else name, value)

    def __repr__(self) -> str:
        return f"<PasswordUser {getattr(self.user, 'username', '?')}>"


def _as_json(user: Any) -> dict[str, Any]:
    inner = getattr(user, "user", user)
    found = {name: vars(inner)[name] for name in _FIELDS if vars(inner).get(name) is not None}
    if not found.get("username"):
        raise ValueError("a user needs a username before session.commit()")
    if not found.get("password"):
        raise ValueError(f"user {found['username']!r} needs a password before session.commit()")
    return found


class Session:
    """settings.Session() as a script sees it: add, commit, close. Anything else says where to turn."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._new: list[Any] = []

    def add(self, item: Any) -> None:
        if not isinstance(item, (User, PasswordUser)):
            raise TypeError(f"session.add() takes users here, not {type(item).__name__}. {_WHERE_TO}")
        self._new.append(item)

    def add_all(self, items: Any) -> None:
        for item in items:
            self.add(item)

    def commit(self) -> None:
        """Create the added users. RuntimeError carries what the command said when it refused."""
        if not self._new:
            return
        from updraft.binary import find_updraft

        users = [_as_json(user) for user in self._new]
        done = subprocess.run(
            [find_updraft(), "internal", "add-users"], input=json.dumps(users), text=True, capture_output=True
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise RuntimeError(f"the users could not be added: {said or f'exit code {done.returncode}'}")
        self._new.clear()

    def rollback(self) -> None:
        self._new.clear()

    def flush(self) -> None: ...

    def close(self) -> None:
        self._new.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"session.{name}: {_WHERE_TO}")
