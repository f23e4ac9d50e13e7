"""What tasks hand on: multiple outputs, pulls, parameters and conf, rendered fields, bash's last line, the environment."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, Variable, task
from airflow.sdk.bases.hook import BaseHook

START = datetime(2015, 6, 1)

with DAG("v_xcom", schedule=None, start_date=START):
    @task(multiple_outputs=True)
    def many():
        return {"one": 1, "two": "zwei", "nested": {"x": [1, 2.5, None, True]}}

    @task
    def hinted() -> dict[str, int]:
        return {"left": 1, "right": 2}

    @task
    def kinds():
        return {"when": datetime(2020, 1, 2, 3, 4, 5), "span": timedelta(hours=1), "tuple": (1, 2), "set": {1}, "text": "é€"}

    @task
    def use(one, two, nested):
        print(one, two, nested)

    @task
    def pull(ti=None):
        print("hinted", ti.xcom_pull("hinted"), ti.xcom_pull("hinted", key="left"))
        print("kinds", sorted(ti.xcom_pull("kinds").items()))
        print("both", list(ti.xcom_pull(["hinted", "bash_last_line"])))
        print("absent", ti.xcom_pull("hinted", key="nope"), ti.xcom_pull("kinds", key="nope", default="dflt"))

    @task
    def push(ti=None):
        ti.xcom_push("mine", [1, 2])
        ti.xcom_push("none", None)

    m = many()
    use(m["one"], m["two"], m["nested"])
    last = BashOperator(task_id="bash_last_line", bash_command="echo first; echo; echo last")
    [hinted(), kinds(), last] >> pull()
    push() >> BashOperator(task_id="template_pull", bash_command="echo '{{ ti.xcom_pull('push', key='mine') }}' '{{ ti.xcom_pull(task_ids='push', key='none') }}'")

with DAG("v_bash", schedule=None, start_date=START):
    def bash(name, command, **kw):
        return BashOperator(task_id=name, bash_command=command, **kw)

    bash("no_output", "true")
    bash("no_newline", "printf abc")
    bash("stderr_last", "echo out; echo err >&2")
    bash("blank_last", "echo out; echo")
    bash("spaces", "echo '  two  '")
    bash("unicode", "echo 'é€ 🎉'")
    bash("not_utf8", r"printf 'a\xffb\n'")
    bash("carriage", r"printf 'one\rtwo\n'")
    bash("many_lines", "seq 1 5")
    bash("long_line", "head -c 5000 /dev/zero | tr '\\0' x; echo")
    bash("nothing_pushed", "echo out", do_xcom_push=False)
    bash("env_only", "echo ${ONLY}-${HOME:-unset}", env={"ONLY": "1", "SHLVL": "1"})  # without SHLVL bash takes a socket on stdin for rshd
    bash("env_append", "echo $ONLY; test -n \"$HOME\" && echo has home", env={"ONLY": "{{ params.none | default('t') }}"}, append_env=True)
    bash("context_env", "env | grep ^AIRFLOW_CTX_ | grep -v -e RUN_ID -e TRY | sort")
    bash("directory", "pwd", cwd="/usr")
    bash("directory_absent", "pwd", cwd="/nowhere/at/all")
    bash("tmp_directory", "pwd | sed 's/[^/]*$//'")
    bash("skip_code", "echo skipping; exit 42", skip_on_exit_code=42)
    bash("skip_codes", "exit 43", skip_on_exit_code=[42, 43])
    bash("ninety_nine_fails", "exit 99", skip_on_exit_code=None)
    bash("killed", "kill -9 $$")
    bash("terminated", "kill -TERM $$")
    bash("not_found", "this-command-is-not-there")
    bash("syntax_error", "if then")
    bash("processed", "echo '{\"a\": 1}'", output_processor=lambda text: text.upper())
    bash("list_command", "")
    bash("background", "sleep 0.2 & echo started; wait")
    bash("script_file", "hello.sh")
    bash("script_file_space", "./hello.sh ")
    bash("group", "ps -o pgid= $$ | tr -d ' ' | grep -qx $$ && echo leader")

with DAG("v_params", schedule=None, start_date=START, params={"n": Param(3, type="integer", minimum=1), "s": "text", "opt": Param(None, type=["null", "string"])}) as params:
    BashOperator(task_id="show", bash_command="echo {{ params.n }} {{ params.s }} {{ params.opt }} {{ dag_run.conf }}")

    @task
    def types(params=None):
        print(type(params["n"]).__name__, params["n"] + 1)

    types()

with DAG("v_required", schedule=None, start_date=START, params={"must": Param(type="string")}):
    BashOperator(task_id="show", bash_command="echo {{ params.must }}")

with DAG("v_missing", schedule=None, start_date=START):
    BashOperator(task_id="template_variable", bash_command="echo {{ var.value.conf_nowhere }}")
    BashOperator(task_id="template_default", bash_command="echo {{ var.value.get('conf_nowhere', 'fallback') }}")
    BashOperator(task_id="template_variable_set", bash_command="echo {{ var.value.conf_there }} {{ var.json.conf_json.a }}")
    BashOperator(task_id="undefined", bash_command="echo {{ no_such_thing }}")

    @task
    def variable():
        return Variable.get("conf_nowhere")

    @task
    def variable_default():
        return Variable.get("conf_nowhere", default="fallback")

    @task
    def set_variable():
        Variable.set("conf_written", "by the task")
        print(Variable.get("conf_written"))
        Variable.delete("conf_written")
        print(Variable.get("conf_written", default="gone"))

    @task
    def connection():
        BaseHook.get_connection("conf_nowhere")

    @task
    def connection_there():
        c = BaseHook.get_connection("conf_db")
        print(c.conn_type, c.host, c.port, c.login, c.password, c.schema, c.extra_dejson)

    @task
    def secret():
        print("value:", Variable.get("conf_password"), "short:", Variable.get("conf_secret_short"))

    variable(), variable_default(), set_variable(), connection(), connection_there(), secret()

with DAG("v_context", schedule="@daily", start_date=START, end_date=START, catchup=True, tags=["a", "b"], description="text"):
    names = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date", "data_interval_start", "data_interval_end",
             "prev_data_interval_start_success", "prev_start_date_success", "run_id", "dag_run.run_type", "dag.dag_id", "task.task_id",
             "ti.task_id", "ti.map_index", "ti.try_number", "task_instance_key_str", "dag_run.run_after", "dag_run.state",
             "macros.ds_format(ds, '%Y-%m-%d', '%d/%m')", "params", "inlets", "outlets", "triggering_asset_events")
    for name in names:
        slug = "".join(c if c.isalnum() else "_" for c in name)
        BashOperator(task_id="c_" + slug, bash_command=f"echo \"{{{{ {name} }}}}\"" if "'" in name else f"echo '{{{{ {name} }}}}'", do_xcom_push=True)

with DAG("v_python", schedule=None, start_date=START):
    PythonOperator(task_id="op_args", python_callable=lambda a, b, **kw: print(a, b, kw["task"].task_id, kw["k"]), op_args=["{{ run_id[:6] }}", 2], op_kwargs={"k": "{{ task.task_id }}"})
    PythonOperator(task_id="returns", python_callable=lambda: [1, {"a": (1, 2)}])
    PythonOperator(task_id="hides", python_callable=lambda: "long", show_return_value_in_logs=False)
    PythonOperator(task_id="unserialisable", python_callable=lambda: object())
