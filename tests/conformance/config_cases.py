"""Configurations for test_config.py: the text of airflow.cfg (None: no file), the environment, and what is asked.

A query is "section/key", or "int section/key" (bool, float, list). @HOME@ stands for AIRFLOW_HOME in texts and answers.
`ours` names queries whose answer differs on purpose, with our answer; `why` says why."""

CASES = []


def case(name, cfg=None, env=None, ask=(), ours=None, why=None):
    CASES.append({"name": name, "cfg": cfg, "env": env or {}, "ask": list(ask), "ours": ours or {}, "why": why})


E = "AIRFLOW__"
DB = "database/sql_alchemy_conn"

# ---- defaults ----
case("defaults: texts", ask=["core/dags_folder", "core/executor", "core/fernet_key", DB, "logging/base_log_folder", "api/port", "api/base_url",
                             "api/instance_name", "metrics/otel_host", "core/rerun_with_latest_version", "api_auth/jwt_secret",
                             "common.io/xcom_objectstorage_path", "standard/venv_install_method"])
case("defaults: templates and JSON", ask=["logging/log_filename_template", "logging/simple_log_format", "logging/dag_processor_log_format",
                                          "dag_processor/dag_bundle_config_list"])
case("defaults: types", ask=["int core/parallelism", "bool core/load_examples", "float core/dagbag_import_timeout", "int api/port",
                             "list core/simple_auth_manager_users", "bool operators/default_deferrable", "float scheduler/task_queued_timeout",
                             "list core/sensitive_var_conn_names", "int scheduler/num_runs"])
case("unknown names", ask=["core/nothing", "nowhere/nothing"])
case("home with a tilde", env={"AIRFLOW_HOME": "~/elsewhere"}, ask=["core/dags_folder", DB])

# ---- which source wins ----
case("file over default", "[core]\nparallelism = 7\n", ask=["core/parallelism", "int core/parallelism"])
case("environment over file", "[core]\nparallelism = 7\n", {E + "CORE__PARALLELISM": "9"}, ["core/parallelism"])
case("empty environment over file", "[core]\nhostname_callable = x\n", {E + "CORE__HOSTNAME_CALLABLE": ""}, ["core/hostname_callable"])
case("empty file value over default", "[core]\ndefault_timezone =\n", ask=["core/default_timezone"])
case("environment over its command", None, {E + "CORE__FERNET_KEY": "plain", E + "CORE__FERNET_KEY_CMD": "printf other"}, ["core/fernet_key"])
case("environment command over file", "[core]\nfernet_key = inthefile\n", {E + "CORE__FERNET_KEY_CMD": "printf fromcmd"}, ["core/fernet_key"])
case("file over its command", "[core]\nfernet_key = plain\nfernet_key_cmd = printf other\n", ask=["core/fernet_key"])
case("file command over default", "[database]\nsql_alchemy_conn_cmd = printf sqlite:////tmp/x.db\n", ask=[DB])
case("command counts for secrets only", "[core]\nparallelism_cmd = printf 5\n", {E + "CORE__DAGS_FOLDER_CMD": "printf /x"},
     ["core/parallelism", "core/dags_folder"])
case("empty output of a file command falls to the default", "[database]\nsql_alchemy_conn_cmd = true\n", ask=[DB])
case("empty output of an environment command counts", "[core]\nfernet_key = k\n", {E + "CORE__FERNET_KEY_CMD": "true"}, ["core/fernet_key"])
case("secret path without a backend", None, {E + "CORE__FERNET_KEY_SECRET": "some/path"}, ["core/fernet_key"])
case("secret path without a backend, file behind it", "[core]\nfernet_key = k\n", {E + "CORE__FERNET_KEY_SECRET": "some/path"}, ["core/fernet_key"])
case("secret in the file without a backend", "[core]\nfernet_key_secret = some/path\n", ask=["core/fernet_key"])
case("the companion options themselves", "[core]\nfernet_key_cmd = printf x\n", ask=["core/fernet_key_cmd"])
case("environment names are upper case", None, {E + "core__parallelism": "3"}, ["core/parallelism"])
case("other sections and keys", "[mine]\nKey = v\nkey = w\n", {E + "MINE__OTHER": "o"}, ["mine/key", "mine/other"])
case("a dot in a section", "[common.io]\nxcom_objectstorage_threshold = 5\n", {E + "COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "file:///x"},
     ["common.io/xcom_objectstorage_path", "common.io/xcom_objectstorage_threshold"])
case("asking in capitals", "[core]\nparallelism = 5\n", ask=["CORE/PARALLELISM"])

# ---- commands ----
case("command words are split without a shell", "[core]\nfernet_key_cmd = printf %%s \"a b\" 'c  d' e\\ f $HOME\n", ask=["core/fernet_key"])
case("a line end behind the output", None, {E + "CORE__FERNET_KEY_CMD": "echo key"}, ["core/fernet_key"],
     ours={"core/fernet_key": "key"}, why="the line end that echo adds is no part of a key")
case("output is not expanded", None, {E + "DATABASE__SQL_ALCHEMY_CONN_CMD": "printf '$HOME/%s' x"}, [DB])
case("a command that fails", None, {E + "CORE__FERNET_KEY_CMD": "false"}, ["core/fernet_key"])
case("a command that does not exist", "[core]\nfernet_key_cmd = /no/such/program\n", ask=["core/fernet_key"])
case("an open quote", "[core]\nfernet_key_cmd = printf 'x\n", ask=["core/fernet_key"])
case("a command under an old name", "[core]\nsql_alchemy_conn_cmd = printf sqlite:////old.db\n", ask=[DB])
case("an environment command under an old name", None, {E + "CORE__SQL_ALCHEMY_CONN_CMD": "printf sqlite:////old.db"}, [DB])

# ---- old names ----
case("old name in the file", "[core]\nsql_alchemy_conn = sqlite:////old.db\n", ask=[DB, "core/sql_alchemy_conn"])
case("old name in the environment", None, {E + "CORE__SQL_ALCHEMY_CONN": "sqlite:////old.db"}, [DB])
case("old environment over new file", "[database]\nsql_alchemy_conn = sqlite:////new.db\n", {E + "CORE__SQL_ALCHEMY_CONN": "sqlite:////old.db"}, [DB])
case("new file over old file", "[core]\nsql_alchemy_conn = sqlite:////old.db\n[database]\nsql_alchemy_conn = sqlite:////new.db\n", ask=[DB])
case("old file over new command", "[core]\nsql_alchemy_conn = sqlite:////old.db\n[database]\nsql_alchemy_conn_cmd = printf sqlite:////new.db\n", ask=[DB])
case("old names of the web server", "[webserver]\nweb_server_port = 9090\nbase_url = http://x:1\nweb_server_host = 1.2.3.4\nworkers = 4\n",
     ask=["api/port", "api/base_url", "api/host", "api/workers", "webserver/web_server_port"])
case("old names of the scheduler", "[scheduler]\ndag_dir_list_interval = 60\n[core]\ndag_file_processor_timeout = 9\n",
     ask=["dag_processor/refresh_interval", "dag_processor/dag_file_processor_timeout"])
case("page size", "[api]\npage_size = 9\n", ask=["api/fallback_page_limit", "api/page_size"])
case("old name in the same section", "[triggerer]\ndefault_capacity = 5\n", ask=["triggerer/capacity"])
case("names of Airflow 1", "[core]\ndag_concurrency = 3\nlogging_level = DEBUG\n[scheduler]\nmax_threads = 4\n",
     ask=["core/max_active_tasks_per_dag", "logging/logging_level", "dag_processor/parsing_processes"],
     ours={"core/max_active_tasks_per_dag": "3", "logging/logging_level": "DEBUG", "dag_processor/parsing_processes": "4"},
     why="Airflow 3 ignores these names without a word; we read them")

# ---- values that Airflow replaces ----
case("the sequential executor", "[core]\nexecutor = SequentialExecutor\n", ask=["core/executor"])
case("postgres://", None, {E + "DATABASE__SQL_ALCHEMY_CONN": "postgres://u:p@h:5432/d"}, [DB])
case("postgres+psycopg2:// under the old name", None, {E + "CORE__SQL_ALCHEMY_CONN": "postgres+psycopg2://u:p@h/d"}, [DB])
case("Airflow 2's log path", "[logging]\nlog_filename_template = dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/"
     "{%% if ti.map_index >= 0 %%}map_index={{ ti.map_index }}/{%% endif %%}attempt={{ try_number }}.log\n", ask=["logging/log_filename_template"])

# ---- expansion ----
case("variables", "[core]\ndags_folder = $ROOT/dags\nplugins_folder = ${ROOT}/plugins\n", {"ROOT": "/r"}, ["core/dags_folder", "core/plugins_folder"])
case("AIRFLOW_HOME in the file", "[core]\ndags_folder = $AIRFLOW_HOME/d\n", ask=["core/dags_folder"])
case("unknown variables stay", "[core]\ndags_folder = $NOT_SET_X/${NOT_SET_Y}/${}/$/$-x\n", ask=["core/dags_folder"])
case("variables in variables", None, {E + "CORE__DAGS_FOLDER": "$A/x", "A": "${B}y", "B": "~/b"}, ["core/dags_folder"])
case("a tilde", "[core]\ndags_folder = ~/dags\nplugins_folder = /x/~/y\n", ask=["core/dags_folder", "core/plugins_folder"])
case("a tilde alone and root's", "[core]\ndags_folder = ~\nplugins_folder = ~root/p\nxcom_backend = ~no_such_user_x/p\n",
     ask=["core/dags_folder", "core/plugins_folder", "core/xcom_backend"])
case("home is the root folder", "[core]\ndags_folder = ~/dags\nplugins_folder = ~\n", {"HOME": "/"}, ["core/dags_folder", "core/plugins_folder"])
case("variables in the environment's value", None, {E + "CORE__DAGS_FOLDER": "$ROOT/d", "ROOT": "/r"}, ["core/dags_folder"])

# ---- configparser ----
case("interpolation", "[DEFAULT]\nbase = /b\n[core]\nroot = /r\ndags_folder = %(root)s/d%%20\nplugins_folder = %(base)s/p\n",
     ask=["core/dags_folder", "core/plugins_folder"])
case("interpolation in steps", "[core]\na = %(b)s!\nb = %(c)s?\nc = 100%%\n", ask=["core/a"])
case("the environment is not interpolated", None, {E + "CORE__DAGS_FOLDER": "/x%%20%(y)s"}, ["core/dags_folder"])
case("interpolation of a missing name", "[core]\ndags_folder = %(none)s\n", ask=["core/dags_folder"])
case("a single percent sign", "[core]\ndags_folder = 100%\n", ask=["core/dags_folder"])
case("an interpolation that is not closed", "[core]\ndags_folder = %(x\n", ask=["core/dags_folder"])
case("interpolation that refers to itself", "[core]\ndags_folder = %(dags_folder)s\n", ask=["core/dags_folder"])
case("DEFAULT counts in sections that exist", "[DEFAULT]\nparallelism = 3\ncapacity = 4\n[core]\nexecutor = LocalExecutor\n",
     ask=["core/parallelism", "triggerer/capacity"])
case("delimiters", "[core]\nparallelism: 5\ndags_folder=/a=b:c\nplugins_folder   :   /p\n", ask=["core/parallelism", "core/dags_folder", "core/plugins_folder"])
case("values over several lines", "[core]\ndags_folder = a\n  b\n\n  c\n# remark\n  ; remark\n  d\nparallelism = 4\n", ask=["core/dags_folder", "core/parallelism"])
case("a value that begins on the next line", "[core]\nallowed_deserialization_classes =\n    airflow.*\n    mine.*\n\n[api]\nport = 1\n",
     ask=["core/allowed_deserialization_classes", "api/port"])
case("remarks behind values are values", "[core]\nparallelism = 5 # five\nload_examples = False # no\ndags_folder = /x ; y\n",
     ask=["core/parallelism", "core/dags_folder", "bool core/load_examples"])
case("indented options", "[core]\n  parallelism = 5\n  dags_folder = /x\n  [api]\n  port = 2\n", ask=["core/parallelism", "core/dags_folder", "api/port"])
case("case of names", "[core]\nParallelism = 5\n[API]\nport = 1\n", ask=["core/parallelism", "api/port"])
case("spaces and tabs", "[core]\n\tparallelism\t=\t 5 \t\ndags_folder = /a b  \r\n", ask=["core/parallelism", "core/dags_folder"])
case("headers", "[core] ; remark\nparallelism = 5\n[ core ]\nparallelism = 6\n[a]b]\nk = 1\n", ask=["core/parallelism", " core /parallelism", "a]b/k"])
case("an empty file", "", ask=["core/parallelism"])
case("an option twice", "[core]\nparallelism = 5\nparallelism = 6\n", ask=["core/parallelism"])
case("a section twice", "[core]\nparallelism = 5\n[api]\n[core]\ndags_folder = /x\n", ask=["core/parallelism"])
case("no section", "parallelism = 5\n", ask=["core/parallelism"])
case("a line that is no option", "[core]\nparallelism = 5\nwhat is this\n", ask=["core/parallelism"])
case("an option without a name", "[core]\n= 5\n", ask=["core/parallelism"])
case("line ends", "[core]\r\nparallelism = 5\r\n\r\n[api]\rport = 3\r", ask=["core/parallelism", "api/port"])

# ---- types ----
case("switches", "[core]\nload_examples = t\nunit_test_mode = 0\ndags_are_paused_at_creation = FALSE\n[smtp]\nsmtp_ssl = 1 # yes\n",
     ask=["bool core/load_examples", "bool core/unit_test_mode", "bool core/dags_are_paused_at_creation", "bool smtp/smtp_ssl"])
case("numbers", "[core]\nparallelism = 1_000\nmax_map_length = 5.0\ndagbag_import_timeout = 1e2\n[triggerer]\ncapacity = +7\n[scheduler]\n"
     "task_queued_timeout = .5\n", ask=["int core/parallelism", "int core/max_map_length", "float core/dagbag_import_timeout", "int triggerer/capacity",
                                        "float scheduler/task_queued_timeout"])
case("lists", "[core]\nsensitive_var_conn_names = a, b ,c,\n", ask=["list core/sensitive_var_conn_names"])
case("no switch", "[core]\nload_examples = yes\n", ask=["bool core/load_examples"])
case("no number", "[core]\nparallelism = many\n", ask=["int core/parallelism"])
case("a broken number", "[core]\nparallelism = 5.5\n", ask=["int core/parallelism"])
case("no choice", "[core]\ndag_ignore_file_syntax = regex\n", ask=["core/dag_ignore_file_syntax"])
