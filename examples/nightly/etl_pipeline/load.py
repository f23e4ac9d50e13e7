"""Copies what changed. source and target are DB-API hooks of Airflow's providers."""

CREATE = """
CREATE SCHEMA IF NOT EXISTS raw;
CREATE TABLE IF NOT EXISTS raw.appointment (
  apt_num bigint PRIMARY KEY, patient text NOT NULL, apt_date date NOT NULL, fee numeric(10,2) NOT NULL, updated_at timestamp NOT NULL,
  environment text NOT NULL)"""
UPSERT = """
INSERT INTO raw.appointment VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (apt_num) DO UPDATE SET patient = excluded.patient, apt_date = excluded.apt_date, fee = excluded.fee,
  updated_at = excluded.updated_at, environment = excluded.environment"""


def load_changes(source, target, environment):
    """Rows of `appointment` that changed since the newest one in the target; in one transaction. Returns how many."""
    target.run(CREATE, split_statements=True)
    since = target.get_first("SELECT coalesce(max(updated_at), '1970-01-01') FROM raw.appointment")[0]
    rows = source.get_records("SELECT AptNum, Patient, AptDate, Fee, UpdatedAt FROM appointment WHERE UpdatedAt > %s ORDER BY UpdatedAt", (since,))
    with target.get_conn() as connection, connection.cursor() as cursor:
        for row in rows:
            cursor.execute(UPSERT, (*row, environment))
    print(f"{len(rows)} rows changed since {since}")
    return len(rows)
