"""The requests about XComs of every kind (api_dags_values): as they are stored, deserialized, as text, and both."""
from urllib.parse import quote

KEYS = ("none", "true", "int", "float", "text", "list", "empty", "dict", "tuple", "set", "frozenset", "datetime", "naive", "zoned", "date", "timedelta",
        "pendulum", "offset", "timezone", "zone", "decimal", "whole decimal", "uuid", "dataclass", "attrs", "pydantic", "own", "asset", "alias", "connection",
        "assets", "mixed", "nested", "text of asset", "text of unknown", "text of other", "text of no name", "text of odd", "text of zone", "text of old",
        "text of plain", "text of number")
X = "/api/v2/dags/values/dagRuns/r1/taskInstances/pushes/xcomEntries/"
VALUES = [(" ".join(filter(None, (key, query))), "GET", X + quote(key) + ("?" + query if query else ""), None, {})
          for key in KEYS for query in ("", "deserialize=true", "stringify=true", "deserialize=true&stringify=true")]
