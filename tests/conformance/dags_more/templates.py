"""Templates: what is rendered where, and what happens when it cannot be."""
from datetime import datetime, timedelta

import jinja2

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator, Param, literal, task

START = datetime(2024, 1, 1)


class Shows(BaseOperator):
    template_fields = ("text", "deep", "query", "number", "nothing", "own")
    template_ext = (".sql",)
    template_fields_renderers = {"query": "sql", "deep": "json"}
    ui_color = "#abc"

    def __init__(self, *, text=None, deep=None, query=None, number=None, nothing=None, own=None, **more):
        super().__init__(**more)
        self.text, self.deep, self.query, self.number, self.nothing, self.own = text, deep, query, number, nothing, own

    def execute(self, context):
        print(repr(self.text), repr(self.deep), repr(self.query), repr(self.number), repr(self.nothing), getattr(self.own, "inside", self.own))
        return self.text


class Nested:
    template_fields = ("inside",)

    def __init__(self, inside):
        self.inside = inside


class Wrong(BaseOperator):
    template_fields = ("not_there",)

    def execute(self, context):
        return 1


def shout(text):
    return text.upper()


with DAG("j_fields", schedule="@daily", start_date=START, end_date=START + timedelta(days=1), catchup=True, template_searchpath=[f"{__file__.rsplit('/', 1)[0]}/sql"],
         user_defined_macros={"shout": shout, "limit": 5}, user_defined_filters={"twice": lambda s: s * 2}, params={"who": "me", "list": [1, 2]}, max_active_runs=1):
    Shows(task_id="simple", text="{{ ds }} {{ shout('x') }} {{ 'ab' | twice }} {{ limit + 1 }}", number=5, nothing=None)
    Shows(task_id="deep", deep={"a": ["{{ ds }}", {"{{ key }}": "{{ params.who }}"}], "t": ("{{ 1 }}", 2), "s": {"{{ 'in set' }}"}, 3: None})
    Shows(task_id="from_file", query="query.sql")
    Shows(task_id="file_list", query=["query.sql", "select {{ 1 }}"])
    Shows(task_id="own_class", own=Nested("{{ ds }}"))
    Shows(task_id="kept", text=literal("{{ ds }}"), query=literal("query.sql"))
    Shows(task_id="raw", text="{% raw %}{{ ds }}{% endraw %} {# comment #}")
    Shows(task_id="logic", text="{% for i in params.list %}{{ loop.index }}:{{ i }};{% endfor %}{% if ds == '2024-01-01' %}first{% else %}later{% endif %}{% set x = 3 %}{{ x }}")
    Shows(task_id="dates", text="{{ macros.ds_add(ds, -3) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }} {{ macros.datetime(2024, 1, 2) }} {{ macros.timedelta(days=1) }} {{ macros.time.gmtime(0).tm_year }} {{ macros.json.dumps({'a': 1}) }} {{ macros.datetime_diff_for_humans(logical_date, logical_date.add(days=-3)) }}")
    Shows(task_id="filters", text="{{ logical_date | ds }} {{ logical_date | ds_nodash }} {{ logical_date | ts }} {{ logical_date | ts_nodash }} {{ logical_date | ts_nodash_with_tz }} {{ data_interval_end.in_timezone('Asia/Tokyo') | ts }}")
    Shows(task_id="task_things", text="{{ task.task_id }} {{ task.owner }} {{ task.retries }} {{ dag.dag_id }} {{ dag.timezone }} {{ ti.try_number }} {{ ti.map_index }} {{ dag_run.run_id }} {{ task_reschedule_count | default('no count') }}")
    Shows(task_id="undefined", text="[{{ not_there }}]")
    Shows(task_id="undefined_deep", text="[{{ not_there.deeper }}]")
    Shows(task_id="syntax", text="{{ unclosed ")
    Shows(task_id="no_filter", text="{{ ds | no_such_filter }}")
    Shows(task_id="raises", text="{{ 1 / 0 }}")
    Shows(task_id="include", text="{% include 'part.sql' %}")
    Wrong(task_id="no_field")
    BashOperator(task_id="bash", bash_command="echo '{{ ds }}' \"{{ params.who }}\" {{ logical_date.strftime('%H') }}", env={"E": "{{ ds }}"})

with DAG("j_native", schedule=None, start_date=START, render_template_as_native_obj=True, params={"n": 3, "d": {"a": 1}, "text": "007"}):
    Shows(task_id="kinds", text="{{ params.n }}", number="{{ params.d }}", nothing="{{ none }}", deep=["{{ params.n + 1 }}", "{{ params.text }}", "x{{ params.n }}", "{{ [1, 2] }}", "{{ 'True' }}", "{{ 1.5 }}"])
    PythonOperator(task_id="taken", python_callable=lambda a, b: print(type(a).__name__, a, type(b).__name__, b), op_args=["{{ params.d }}"], op_kwargs={"b": "{{ params.text }}"})
    BashOperator(task_id="bash", bash_command="echo {{ params.n }}")

with DAG("j_strict", schedule=None, start_date=START, template_undefined=jinja2.StrictUndefined, jinja_environment_kwargs={"variable_start_string": "[[", "variable_end_string": "]]"}):
    Shows(task_id="there", text="[[ dag.dag_id ]] {{ kept }}")
    Shows(task_id="not_there", text="[[ nothing_at_all ]]")

PARAMS = {
    "plain": 1, "text": Param("x", type="string", maxLength=5, minLength=1), "number": Param(1.5, type="number", maximum=10, minimum=0), "whole": Param(3, type="integer", multipleOf=3),
    "flag": Param(True, type="boolean"), "maybe": Param(None, type=["null", "string"]), "choice": Param("a", enum=["a", "b", 3]), "list": Param([1], type="array", items={"type": "integer"}),
    "thing": Param({"k": "v"}, type="object", required=["k"], properties={"k": {"type": "string"}}), "date": Param("2024-01-02", type="string", format="date"),
    "moment": Param("2024-01-02T03:04:05+00:00", type="string", format="date-time"), "const": Param("c", const="c"), "described": Param(5, description="five", title="Five", section="s"),
    "pattern": Param("abc", type="string", pattern="^[a-c]+$"), "any": Param({"x": [1]}, description="anything"),
}
with DAG("j_params", schedule=None, start_date=START, params=PARAMS):
    @task
    def told(params=None, dag_run=None):
        for k in sorted(params):
            print(k, repr(params[k]))
        print(sorted(dag_run.conf.items(), key=str))

    told()
    BashOperator(task_id="of_task", bash_command="echo {{ params.own }} {{ params.text }}", params={"own": "task's", "text": "mine"})
    BashOperator(task_id="of_task_wrong", bash_command="echo {{ params.small }}", params={"small": Param(50, maximum=10)})
