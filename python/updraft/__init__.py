"""The Python side of updraft: warm processes that run the official Task SDK.

Importing this package imports nothing of Airflow; the modules below do so when asked.
"""
