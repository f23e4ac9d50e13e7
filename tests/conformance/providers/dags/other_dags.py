"""Mail, files by object storage, and decorators whose provider is not there."""
import os
from datetime import datetime

from airflow.providers.common.io.operators.file_transfer import FileTransferOperator
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.providers.smtp.operators.smtp import EmailOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, ObjectStoragePath, task

START, HOME = datetime(2024, 1, 1), os.environ.get("AIRFLOW_HOME", "/tmp")


def mails(to):
    @task(trigger_rule="all_done")
    def received():
        for mail in HttpHook("GET", "conf_http").run("mails", data={"to": to}).json():
            print(mail)
    return received()


with DAG("n_mail", schedule=None, start_date=START, params={"who": "world"}) as dag:
    plain = EmailOperator(task_id="plain", to="one@n.example", subject="plain {{ params.who }}", html_content="<b>{{ dag.dag_id }}</b> ä")
    many = EmailOperator(task_id="many", to=["one@n.example", "two@n.example"], cc="three@n.example", bcc="four@n.example", subject="many", html_content="x", from_email="me@n.example",
                         custom_headers={"X-Own": "yes", "Reply-To": "back@n.example"})
    if not os.path.exists(f"{HOME}/attached.txt"):  # whole at once: tasks of this file read it while others parse the file
        with open(f"{HOME}/attached.{os.getpid()}", "w") as f:
            f.write("attached")
        os.rename(f.name, f"{HOME}/attached.txt")
    attached = EmailOperator(task_id="attached", to="one@n.example", subject="attached", html_content="see file", files=[f"{HOME}/attached.txt"])
    no_file = EmailOperator(task_id="no_file", to="one@n.example", subject="missing", html_content="x", files=["/no/such/file"])
    fails = BashOperator(task_id="fails", bash_command="exit 3", on_failure_callback=[SmtpNotifier(to="one@n.example", subject="failed: {{ ti.task_id }}", html_content="{{ dag.dag_id }} {{ params.who }}")])
    works = BashOperator(task_id="works", bash_command="true", on_success_callback=SmtpNotifier(to="one@n.example", subject="worked", html_content="x"))
    nobody = EmailOperator(task_id="no_connection", to="one@n.example", subject="x", html_content="x", conn_id="conf_no_mail")
    [plain, many, attached, no_file, fails, works, nobody] >> mails("one@n.example")

with DAG("n_storage", schedule=None, start_date=START):
    base = ObjectStoragePath(f"file://{HOME}/objects")

    @task
    def write() -> ObjectStoragePath:
        base.mkdir(exist_ok=True, parents=True)
        path = base / "a.txt"
        path.write_text("line one\nline two\n")
        return path

    @task
    def read(path: ObjectStoragePath):
        print(type(path).__name__, path.name, path.protocol, path.exists(), path.stat().st_size)
        with path.open() as f:
            print(f.read().splitlines())
        return [p.name for p in sorted(path.parent.iterdir(), key=str)]

    @task
    def copy(path: ObjectStoragePath):
        path.copy(base / "b.txt")
        (base / "b.txt").rename(base / "c.txt")
        print(sorted(p.name for p in base.iterdir()), path.samefile(base / "a.txt"), (base / "c.txt").read_text() == path.read_text())

    path = write()
    read(path) >> copy(path) >> FileTransferOperator(task_id="transfer", src=f"file://{HOME}/objects/a.txt", dst=f"file://{HOME}/objects/d.txt") >> \
        FileTransferOperator(task_id="again", src=f"file://{HOME}/objects/a.txt", dst=f"file://{HOME}/objects/d.txt")

with DAG("n_absent", schedule=None, start_date=START):
    said = []
    for name in ("kubernetes", "docker", "pyspark", "nobody_has_this", "snowpark"):
        try:
            getattr(task, name)
        except Exception as e:
            said.append(f"{type(e).__name__}: {e}")
    for module in ("airflow.providers.amazon.aws.operators.s3", "airflow.providers.cncf.kubernetes.operators.pod", "airflow.providers.nothing"):
        try:
            __import__(module)
        except Exception as e:
            said.append(f"{type(e).__name__}: {e}")

    @task
    def show(said):
        print("\n".join(said))

    show(said)
