"""A task whose XComs are values of every kind that the SDK knows how to write down."""
import dataclasses
import datetime
import decimal
import json
import uuid
import zoneinfo

import attrs
import pendulum
import pydantic
from airflow.sdk import DAG, Asset, AssetAlias, Connection, task


@dataclasses.dataclass
class Point:
    x: int
    y: float
    name: str = "it's"


@attrs.define
class Pair:
    left: str
    right: object


class Person(pydantic.BaseModel):
    name: str
    age: int | None = None
    born: datetime.date | None = None


class Own:
    """says itself how it is written down"""

    def __init__(self, inner):
        self.inner = inner

    def serialize(self):
        return {"inner": self.inner, "none": None}

    @staticmethod
    def deserialize(data, version):
        return Own(data["inner"])


PARIS = zoneinfo.ZoneInfo("Europe/Paris")
ASSET = Asset("one", uri="s3://bucket/one", extra={"k": [1]})
VALUES = {
    "none": None, "true": True, "int": 10**14, "float": 0.1, "text": "a 'quoted' ä", "list": [1, "a", None, [2.5]], "empty": {},
    "dict": {"a": 1, "b": {"c": [True, None]}}, "tuple": (1, "a", (2, None)), "set": {1}, "frozenset": frozenset([2.5]),
    "datetime": datetime.datetime(2024, 2, 29, 12, 30, 5, 123, datetime.timezone.utc), "naive": datetime.datetime(2024, 2, 29),
    "zoned": datetime.datetime(2024, 7, 1, 12, tzinfo=PARIS), "date": datetime.date(2024, 2, 29), "timedelta": datetime.timedelta(days=1, seconds=3),
    "pendulum": pendulum.datetime(2024, 7, 1, 12, tz="Asia/Tokyo"), "offset": pendulum.datetime(2024, 7, 1, 12, tz=3.5),
    "timezone": pendulum.timezone("Europe/London"), "zone": PARIS,
    "decimal": decimal.Decimal("12.50"), "whole decimal": decimal.Decimal("12"), "uuid": uuid.UUID(int=7),
    "dataclass": Point(1, 2.5), "attrs": Pair("l'", {"x": (1,)}), "pydantic": Person(name="Ann", age=3, born=datetime.date(2000, 1, 2)), "own": Own([1, "x"]),
    "asset": ASSET, "alias": AssetAlias("al"), "connection": Connection(conn_id="c", conn_type="http", host="h", extra='{"a": 1}'),
    "assets": [ASSET, 1, {"in": ASSET}], "mixed": {"when": datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), "assets": (ASSET,), "d": decimal.Decimal("0.5")},
    "nested": {"points": [Point(1, 2), Point(3, 4)], "t": ((1, 2), {"a": (3,)})},
}
TEXTS = {
    "text of asset": {"__classname__": "airflow.sdk.definitions.asset.Asset", "__version__": 1, "__data__": {"name": "n", "uri": "s3://b/n", "group": "asset", "extra": {}}},
    "text of unknown": {"__classname__": "airflow.nowhere.Thing", "__version__": 1, "__data__": {}},
    "text of other": {"__classname__": "os.path.join", "__version__": 1, "__data__": {"a": 1}},
    "text of no name": {"__classname__": "", "__version__": 1, "__data__": {"a": 1}},
    "text of odd": {"__classname__": 5, "__version__": "x", "__data__": {"a": 1}},
    "text of zone": [{"__classname__": "airflow.sdk.definitions.asset.AssetAlias", "__version__": 1, "__data__": {"name": "n", "group": "asset"}},
                     {"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": 1719828000.0, "tz": {"__classname__": "builtins.tuple", "__version__": 1, "__data__": ["UTC", "pendulum.tz.timezone.Timezone", 1, True]}}}],
    "text of old": {"__type": "airflow.sdk.definitions.asset.Asset", "__var": {"name": "n", "uri": "s3://b/n", "group": "asset", "extra": {}}},
    "text of plain": {"a": [1, 2]}, "text of number": 5,
}

with DAG("values", schedule=None):
    @task(multiple_outputs=False)
    def pushes(ti=None):
        for key, value in VALUES.items():
            try:
                ti.xcom_push(key, value)
            except TypeError as e:
                ti.xcom_push(key, str(e)[:40])
        for key, value in TEXTS.items():
            ti.xcom_push(key, json.dumps(value))

    pushes()
