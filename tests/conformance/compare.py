"""Differences between a recording and what was seen, as lines of text."""
SHOWN = 300
ABSENT = "<absent>"


def differences(expected, seen, path=""):
    """One line a difference: path: Airflow says ..., ours says ..."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        out = []
        for k in sorted(set(expected) | set(seen), key=str):
            out += differences(expected.get(k, ABSENT), seen.get(k, ABSENT), f"{path}/{k}")
        return out
    if isinstance(expected, list) and isinstance(seen, list) and len(expected) == len(seen):
        return [d for n, (e, s) in enumerate(zip(expected, seen)) for d in differences(e, s, f"{path}[{n}]")]
    if expected == seen and type(expected) is type(seen):
        return []
    if isinstance(expected, (int, float)) and isinstance(seen, (int, float)) and expected == seen and bool not in (type(expected), type(seen)):
        return []
    return [f"{path}: Airflow {brief(expected)}, ours {brief(seen)}"]


def brief(value):
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


def without_xcoms(recording):
    """The recording less its XComs, for a server that does not serve them."""
    if isinstance(recording, dict):
        return {k: without_xcoms(v) for k, v in recording.items() if k != "xcoms"}
    return recording
