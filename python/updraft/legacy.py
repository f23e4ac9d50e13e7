"""Names of Airflow 1 and 2 (placeholder replaced in the next change)."""
def install(): ...
def warm_up():
    from updraft import direct
    direct.warm_up()
def install_runtime(): ...
def facts_of(dag):
    return {"legacy": False, "legacy_reasons": [], "explicit_catchup": False}
