"""The one package that touches names which the Task SDK does not promise to keep.

Everything here was checked against apache-airflow 3.3 (Task SDK 1.3). Another minor may have moved
any of it: check_version() says so before the first use, so that a wrong pairing ends in a sentence
and not in a traceback.
"""

from updraft.sdk_private.base import (  # noqa: F401
    LOG_FD, UnsupportedAirflow, check_version, forget_exit_handlers, leave, leave_quietly_unless_started,
    only_render, open_std_streams, previous_schedule, reset_signals, run_task, use_channel, user_changed, warm_up,
    watch_parsing_context, without_a_database,
)
from updraft.sdk_private.backfills import partition_date, runs_between  # noqa: F401
from updraft.sdk_private.deadlines import deadline_moment  # noqa: F401
from updraft.sdk_private.log_links import log_link, log_links  # noqa: F401
from updraft.sdk_private.parsing import (  # noqa: F401
    RecordingComms, bundle_on_disk, encode, encode_message, exchange, fetch_bundle, load_for_tasks, parse_channel,
    parse_file, parse_result_with_error, prepare_bundle, receive_first_of, rehearse_parse, serve_parsed, set_comms,
    task_channel,
)
from updraft.sdk_private.questions import (  # noqa: F401
    connection_forms, dag_callback_request, deadline_callback, deserialized, fetch_log, manual_interval, next_run, openapi,
    params_from, partition_keys, partition_ready, plugins, providers, receive_raw, run_callbacks,
    task_callback_request, test_connection, ui_alerts, upload_log, validated,
)
from updraft.sdk_private.scheduler import (  # noqa: F401
    context_policy_present, custom_timetable, hooks_of, instance_hook_present, listeners_present, mutated_instances,
    rendered_fields, run_listeners_present, scheduler_dag, tell_run_listeners, weights, worker_state_backend_present,
)
from updraft.sdk_private.triggers import (  # noqa: F401
    add_log_processor, close_trigger_channel, open_trigger_channel, run_trigger_from, trigger_classes,
    trigger_event_fields, trigger_request,
)
