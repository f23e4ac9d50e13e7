"""Differences that docs/DIFFERENCES.md names. Each entry: a pattern over the lines that differences() makes,
and why. What is listed here does not fail a test; everything else does. An entry goes when the difference does."""
import re

KNOWN = [
    (r"^answers/clear/body: Airflow \[\['one', 'down', -1\], \['one', 'up', -1\], \['one', 'work', -1\]\], ours \[\['one', 'work', -1\]\]",
     "the answer does not name the setups and teardowns that are cleared along"),
    (r"^answers/trigger \d+/body/data_interval_\w+: Airflow '(\S+)\+02:00', ours '\S+Z'", "the answer to a trigger shows its interval in the zone of the date asked for; ours in UTC, as every later answer does"),
    (r"^/answers/kh_cron 2015-06-02/body/partition_date: Airflow '2015-06-02T00:00:00-05:00', ours '2015-06-02T05:00:00Z'", "the answer to a trigger shows the partition's moment in the schedule's zone; ours in UTC, as every later answer does"),
    (r"/tasks/(success|mapped\[2\])/xcoms/(more|return_value): Airflow '(\[1\]|\"by trigger\")', ours",
     "values that a trigger's end event brings are JSON within JSON in real Airflow"),
    (r"\[[1-9]\d*\]/task_display_name", "real Airflow gives the display name to the first mapped instance only"),
]


def unexpected(lines):
    """The lines that no entry explains."""
    return [x for x in lines if not any(re.search(pattern, x) for pattern, _ in KNOWN)]
