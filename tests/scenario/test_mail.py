"""Mail about failures and retries, sent by the official code to a mail server of ours."""
import email
import os
import socketserver
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from roles_kit import Roles, wait_for  # noqa: E402

DAG = '''
from datetime import datetime, timedelta
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator

with DAG("mails", schedule=None, start_date=datetime(2024, 1, 1), default_args={"email": ["ops@example.org", "dev@example.org"]}):
    PythonOperator(task_id="fails", python_callable=lambda: 1 / 0, retries=1, retry_delay=timedelta(seconds=1))
    PythonOperator(task_id="quiet", python_callable=lambda: 1 / 0, email_on_failure=False)
'''


class Mailbox(socketserver.ThreadingTCPServer):
    """As much of SMTP as it takes to be given a mail."""

    allow_reuse_address = daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Session)
        self.mails = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        to = []
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line.decode().strip().upper()
            if word.startswith("DATA"):
                self.wfile.write(b"354 go on\r\n")
                text = b""
                for part in self.rfile:
                    if part == b".\r\n":
                        break
                    text += part
                self.server.mails.append((sorted(to), email.message_from_bytes(text)))
            elif word.startswith("RCPT"):
                to.append(line.decode().split("<")[1].split(">")[0])
            self.wfile.write(b"221 bye\r\n" if word.startswith("QUIT") else b"250 ok\r\n")
            if word.startswith("QUIT"):
                return


class Mail(unittest.TestCase):
    def test_failures_and_retries(self):
        box = Mailbox()
        self.addCleanup(box.server_close)
        self.addCleanup(box.shutdown)
        uri = f"smtp://127.0.0.1:{box.server_address[1]}/?disable_ssl=true&disable_tls=true&from_email=airflow%40example.org"
        w = Roles(AIRFLOW_CONN_SMTP_DEFAULT=uri)
        self.addCleanup(w.close)
        w.put("mails.py", DAG)
        w.scheduler()
        w.has_dag("mails")
        w.command("dags", "trigger", "mails", "--run-id", "r")
        w.run_state("mails", "r", "failed")
        wait_for("two mails", lambda: len(box.mails) >= 2)
        self.assertEqual({tuple(to) for to, _ in box.mails}, {("dev@example.org", "ops@example.org")})
        subjects = sorted(" ".join(m["Subject"].split()) for _, m in box.mails)
        self.assertEqual(sum("task_id='fails'" in s for s in subjects), 2, subjects)
        self.assertEqual(len(subjects), 2, subjects)   # the quiet one sends none


if __name__ == "__main__":
    unittest.main()
