"""BashOperator in all its forms."""
import json
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

START = datetime(2024, 1, 1)
with DAG("h_exits", schedule=None, start_date=START, max_active_tasks=16):
    for name, command, more in (
            ("zero", "exit 0", {}), ("one", "exit 1", {}), ("skip", "echo going; exit 99", {}), ("skip_list", "exit 7", {"skip_on_exit_code": [5, 7]}),
            ("skip_none", "exit 99", {"skip_on_exit_code": None}), ("skip_retries", "exit 99", {"retries": 2}), ("not_found", "no_such_command_here", {}), ("not_runnable", "/etc/passwd", {}),
            ("signal", "kill -TERM $$", {}), ("kill", "kill -KILL $$", {}), ("last_counts", "false; true", {}), ("set_e", "set -e; false; echo not reached", {}),
            ("pipe", "false | true", {}), ("pipefail", "set -o pipefail; false | true", {}), ("syntax", "if true; then echo x", {}), ("unset", "set -u; echo $NOT_THERE_AT_ALL", {}),
            ("retry_once", "echo try {{ ti.try_number }}; [ {{ ti.try_number }} = 2 ]", {"retries": 1, "retry_delay": timedelta(seconds=0.2)}),
            ("exit_255", "exit 255", {}), ("exit_256", "exit 256", {})):
        BashOperator(task_id=name, bash_command=command, **more)

with DAG("h_output", schedule=None, start_date=START, max_active_tasks=16):
    for name, command, more in (
            ("nothing", "true", {}), ("blank_last", "echo one; echo; echo", {}), ("no_newline", "printf 'a\\nb'", {}), ("spaces", "echo '   padded   '", {}),
            ("unicode", "echo 'grün € 😀'", {}), ("bad_utf8", "printf 'a\\xff\\xfeb\\n'", {}), ("stderr", "echo out; echo err >&2", {}), ("carriage", "printf 'one\\rtwo\\r\\n'", {}),
            ("tabs", "printf 'a\\tb\\n'", {}), ("ansi", "printf '\\033[31mred\\033[0m\\n'", {}), ("json", "echo '{\"a\": [1, 2]}'", {}), ("json_read", "echo '{\"a\": [1, 2]}'", {"output_processor": json.loads}),
            ("processor_breaks", "echo no json", {"output_processor": json.loads}), ("processor_count", "echo word", {"output_processor": len}), ("not_pushed", "echo hidden", {"do_xcom_push": False}),
            ("long_line", "head -c 70000 /dev/zero | tr '\\0' x; echo", {}), ("many_lines", "seq 1 3000 | tail -n 500", {}), ("fails_after_output", "echo said; exit 3", {}),
            ("form_feed", "printf 'a\\x0cb\\x0bc\\x85d\\n'", {}), ("colon", "echo 'INFO: looks like a level'", {}), ("percent", "echo '100% %s %d'", {}), ("braces", "echo '{x} {{ '{{' }} y'", {})):
        BashOperator(task_id=name, bash_command=command, **more)

with DAG("h_surroundings", schedule=None, start_date=START, params={"name": "wörld"}, max_active_tasks=16):
    BashOperator(task_id="env_only", bash_command="env | grep -E '^(A|B|AIRFLOW_CTX_(DAG|TASK|TRY))' | sort", env={"A": "1", "B": "{{ params.name }}"})
    BashOperator(task_id="env_appended", bash_command="env | grep -E '^(A|B)=' | sort; test -n \"$PATH\" && echo path", env={"A": "1", "B": "{{ ds | default('none') }}"}, append_env=True)
    BashOperator(task_id="context", bash_command="env | grep -E '^AIRFLOW_CTX' | grep -v -E 'RUN_ID|DATE|EMAIL' | sort")
    BashOperator(task_id="cwd", bash_command="pwd; ls -d bash", cwd="/usr/share/doc/bash/..")
    BashOperator(task_id="cwd_missing", bash_command="pwd", cwd="/no/such/folder")
    BashOperator(task_id="cwd_file", bash_command="pwd", cwd="/etc/passwd")
    BashOperator(task_id="cwd_template", bash_command="pwd", cwd="/{{ 'tmp' }}")
    BashOperator(task_id="fresh_folder", bash_command="ls -A | wc -l; touch here; ls")
    BashOperator(task_id="many", bash_command="""
        # a comment
        for i in 1 2 3; do
            echo "line $i {{ params.name }}"
        done
        cat <<END
        heredoc {{ 1 + 1 }}
END
    """)
    BashOperator(task_id="left_behind", bash_command="(sleep 0.3; echo later) & echo now")
    BashOperator(task_id="crlf", bash_command="echo a\r\necho b\r\n")
    BashOperator(task_id="script_space", bash_command="echo no_such_script.sh ")
    BashOperator(task_id="script", bash_command="sql/hello.sh", params={"name": "script"})
    BashOperator(task_id="umask", bash_command="umask; ulimit -c >/dev/null && echo limit")
    BashOperator(task_id="bashisms", bash_command="[[ abc =~ b ]] && a=(1 2 3) && echo ${#a[@]} ${BASH_VERSION:+bash}")

with DAG("h_decorated", schedule=None, start_date=START, max_active_tasks=16):
    @task.bash
    def plain():
        return "echo plain"

    @task.bash
    def none():
        return None

    @task.bash
    def number():
        return 5

    @task.bash
    def empty():
        return ""

    @task.bash(skip_on_exit_code=3)
    def skips():
        return "exit 3"

    @task.bash(env={"X": "1"})
    def takes(value):
        return f"echo {value} $X {{{{ dag.dag_id }}}}"

    takes(plain()), none(), number(), empty(), skips() >> EmptyOperator(task_id="after_skip")

with DAG("h_timeouts", schedule=None, start_date=START):
    BashOperator(task_id="sleeps", bash_command="sleep 30", execution_timeout=timedelta(seconds=1))

    BashOperator(task_id="retries", bash_command="sleep {{ 30 if ti.try_number == 1 else 0 }}; echo done", execution_timeout=timedelta(seconds=2), retries=1, retry_delay=timedelta(seconds=0.2))
    BashOperator(task_id="in_time", bash_command="echo quick", execution_timeout=timedelta(seconds=20))
