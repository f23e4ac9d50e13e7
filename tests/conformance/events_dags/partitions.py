"""Partitions: crons of them, keys that tasks name, mappers, roll-ups, fan-outs."""
from datetime import datetime

from airflow.sdk import (DAG, AllowedKeyMapper, Asset, CronPartitionTimetable, FixedKeyMapper, IdentityMapper, MinimumCount, PartitionedAssetTimetable, PartitionedAtRuntime,
                         ProductMapper, RollupMapper, SegmentWindow, StartOfDayMapper, StartOfMonthMapper, task)

START = datetime(2015, 6, 1)
DAY, KEYED, REGION, OTHER = Asset("k_day"), Asset("k_keyed"), Asset("k_region"), Asset("k_other")


def tells(dag_id, schedule, outlets=(), **kwargs):
    with DAG(dag_id, schedule=schedule, start_date=START, **kwargs):
        @task(outlets=list(outlets))
        def tell(dag_run=None, triggering_asset_events=None):
            return [dag_run.partition_key, str(dag_run.partition_date), sorted(e.partition_key for es in triggering_asset_events.values() for e in es)]

        tell()


tells("k_daily", CronPartitionTimetable("0 0 * * *", timezone="America/Chicago", key_format="%Y-%m-%d"), [DAY], end_date=datetime(2015, 6, 3, 12), catchup=True)
tells("k_offset", CronPartitionTimetable("0 21 * * *", timezone="UTC", run_offset=-1), end_date=datetime(2015, 6, 2, 23), catchup=True)
tells("k_monthly", PartitionedAssetTimetable(assets=DAY, default_partition_mapper=StartOfMonthMapper(input_format="%Y-%m-%d")))
tells("k_plain", None)

with DAG("k_names", schedule=PartitionedAtRuntime(), start_date=START):
    @task(outlets=[KEYED])
    def name(outlet_events=None):
        outlet_events[KEYED].add_partitions(["us", "eu", "us"])

    name()

tells("k_same", PartitionedAssetTimetable(assets=KEYED), [REGION])
tells("k_allowed", PartitionedAssetTimetable(assets=KEYED, default_partition_mapper=AllowedKeyMapper(["eu", "apac"])))
tells("k_both", PartitionedAssetTimetable(assets=REGION & OTHER))
tells("k_fixed", PartitionedAssetTimetable(assets=REGION | OTHER, default_partition_mapper=FixedKeyMapper("all")))
tells("k_segments", PartitionedAssetTimetable(assets=KEYED, default_partition_mapper=RollupMapper(
    upstream_mapper=FixedKeyMapper("all"), window=SegmentWindow(["us", "eu"]))))
tells("k_two_of_three", PartitionedAssetTimetable(assets=KEYED, default_partition_mapper=RollupMapper(
    upstream_mapper=FixedKeyMapper("all"), window=SegmentWindow(["us", "eu", "apac"]), wait_policy=MinimumCount(2))))
tells("k_never", PartitionedAssetTimetable(assets=KEYED, default_partition_mapper=RollupMapper(
    upstream_mapper=FixedKeyMapper("all"), window=SegmentWindow(["us", "eu", "apac"]))))
tells("k_product", PartitionedAssetTimetable(assets=Asset("k_composite"), default_partition_mapper=ProductMapper(IdentityMapper(), StartOfDayMapper())))

HAND = Asset("kh_one")  # nothing feeds it: people start these with keys
tells("kh_monthly", PartitionedAssetTimetable(assets=HAND, default_partition_mapper=StartOfMonthMapper(input_format="%Y-%m-%d")))
tells("kh_same", PartitionedAssetTimetable(assets=HAND))
tells("kh_differ", PartitionedAssetTimetable(assets=HAND & Asset("kh_two"), default_partition_mapper=StartOfMonthMapper(input_format="%Y-%m-%d"),
                                             partition_mapper_config={Asset("kh_two"): StartOfDayMapper(output_format="%Y-%m")}))
tells("kh_product", PartitionedAssetTimetable(assets=HAND, default_partition_mapper=ProductMapper(IdentityMapper(), StartOfDayMapper())))
tells("kh_cron", CronPartitionTimetable("0 0 * * *", timezone="America/Chicago", key_format="%Y-%m-%d"), end_date=datetime(2015, 5, 3))
