"""A dag file of airflow that does not import."""
raise ValueError("broken on purpose")
