"""Fetching a bundle for the DAG processor: its class (git's, S3's, anybody's) is the official one, run in a parse child.

The first frame of such a child is `{"type":"UpdraftBundle","name","cleanup":bool}`. It answers one frame
`{"type":"UpdraftBundleState","path","version","url_template"}`, or `{"type":"UpdraftBundleState","error"}`.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import Any

from updraft import sdk_private

# user:password@ of an address, wherever it turns up
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s'\"]+@")


def without_credentials(text: str) -> str:
    return _CREDENTIALS.sub("***@", text)


def _said(e: BaseException) -> str:
    """One exception in one line: of a git command what git wrote."""
    stderr = getattr(e, "stderr", None)
    text = str(stderr).strip() if stderr else str(e)
    text = re.sub(r"^stderr: '?", "", text).rstrip("'")
    return " ".join(f"{type(e).__name__}: {text}".split())


def explain(error: BaseException) -> str:
    """The exception and what it came from, without secrets."""
    parts: list[str] = []
    e: BaseException | None = error
    while e is not None:
        if (said := _said(e)) not in parts:
            parts.append(said)
        e = e.__cause__ or (None if e.__suppress_context__ else e.__context__)
    return without_credentials("; because of ".join(parts[:4]))


def fetch(channel: Any, order: dict[str, Any]) -> None:
    # Nobody is there to be asked for a password.
    os.environ["GIT_TERMINAL_PROMPT"] = "0"
    sdk_private.set_comms(channel)
    try:
        state = sdk_private.fetch_bundle(order["name"], bool(order.get("cleanup")))
    except Exception as e:
        sys.stderr.write(without_credentials(traceback.format_exc()))
        state = {"error": explain(e)}
    answer = {"type": "UpdraftBundleState", **state}
    sdk_private.exchange(channel, sdk_private.encode(channel, answer))
