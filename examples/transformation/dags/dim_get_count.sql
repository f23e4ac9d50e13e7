INSERT INTO dim_count (taken, rows) SELECT '{{ run_id }}', count(*) FROM dim
