#!/usr/bin/env python3
"""DAG files as they come, change and go under a running scheduler. All intervals are hours: only notices of changes can tell.
What bad files do is in test_bad_dags.py."""
import pathlib
import sys
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, bash_dag, wait_for  # noqa: E402

SETTINGS = {"AIRFLOW_VAR_FROM_ENV": "by variable", "AIRFLOW_CONN_FROM_ENV": "postgres://u:p@by-environment/db", "DATABASE_URL": "postgres://u:p@by-plain-name:5432/d",
            "AIRFLOW__CORE__FERNET_KEY": "YlCImzjge_TeZc7jPJ7Jz2pgOtb4yTssA1pVyqIADWg="}


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w = Roles(**SETTINGS)
        cls.addClassCleanup(cls.w.close)
        cls.scheduler = cls.w.scheduler()
        cls.api = cls.w.begin("api-server")
        wait_for("the API", cls.w.answers)

    def gone(self, *dag_ids):
        wait_for(f"{dag_ids} to be gone", lambda: not set(dag_ids) & self.w.dag_ids())

    def versions(self, dag_id):
        return self.w.rows("SELECT version_number, id FROM dag_version WHERE dag_id = ? ORDER BY 1", dag_id)

    def tags(self, dag_id):
        return {n for n, in self.w.rows("SELECT name FROM dag_tag WHERE dag_id = ?", dag_id)}

    def parsed(self, name):
        """How often and when a file was parsed last: changes with every parse."""
        return self.w.rows("SELECT last_parsed FROM dag_file WHERE rel = ?", name)

    # ---- which files ----

    def test_airflowignore(self):
        self.w.put("ign/.airflowignore", "skipped_*.py\nsub/\n")
        self.w.put("ign/skipped_one.py", bash_dag("ign_skipped"))
        self.w.put("ign/sub/deep.py", bash_dag("ign_deep"))
        self.w.put("ign/kept.py", bash_dag("ign_kept"))
        self.w.has_dag("ign_kept")
        self.assertFalse({"ign_skipped", "ign_deep"} & self.w.dag_ids())
        self.w.put("ign/.airflowignore", "kept.py\n")         # the rules are DAG files' business, too
        self.w.has_dag("ign_skipped", "ign_deep")
        self.gone("ign_kept")
        (self.w.dags / "ign/.airflowignore").unlink()
        self.w.has_dag("ign_skipped", "ign_deep", "ign_kept")

    def test_zip(self):
        part = self.w.path / "made.zip"
        with zipfile.ZipFile(part, "w") as z:
            z.writestr("in_zip.py", "import helper_in_zip\n" + bash_dag("in_zip"))
            z.writestr("helper_in_zip.py", "X = 1\n")
        self.w.put("packed.zip", part.read_bytes())
        self.w.has_dag("in_zip")
        self.w.command("dags", "trigger", "in_zip", "--run-id", "r")
        self.w.run_state("in_zip", "r")

    def test_new_folders_are_watched(self):
        self.w.put("a/b/c/nested.py", bash_dag("nested"))
        self.w.has_dag("nested")
        self.w.put("a/b/c/nested2.py", bash_dag("nested2"))
        self.w.has_dag("nested2")

    def test_a_file_without_the_words_is_not_read(self):
        self.w.put("plain.py", "raise RuntimeError('nobody asks for this')\n")
        self.w.put("after_plain.py", bash_dag("after_plain"))
        self.w.has_dag("after_plain")
        self.assertNotIn("plain.py", self.w.import_errors())

    # ---- import errors ----

    def test_import_error_is_shown_and_goes(self):
        self.w.put("broken.py", "from airflow.sdk import DAG\n\ndef f():\n    raise KeyError('lost key')\nf()\n")
        wait_for("the error", lambda: "broken.py" in self.w.import_errors())
        listed = [e for e in self.w.get("/api/v2/importErrors")["import_errors"] if e["filename"] == "broken.py"]
        self.assertEqual(len(listed), 1)
        for text in (listed[0]["stack_trace"], self.w.command("dags", "list-import-errors", "-o", "json", check=False).stdout):
            self.assertIn("lost key", text)
            self.assertIn("line 4, in f", text)
        self.w.put("broken.py", bash_dag("mended"))
        self.w.has_dag("mended")
        wait_for("no error any more", lambda: "broken.py" not in self.w.import_errors())
        self.assertNotIn("broken.py", [e["filename"] for e in self.w.get("/api/v2/importErrors")["import_errors"]])

    def test_an_error_keeps_the_dags_that_were_there(self):
        self.w.put("was_well.py", bash_dag("was_well"))
        self.w.has_dag("was_well")
        self.w.put("was_well.py", "from airflow.sdk import DAG\n1 / 0\n")
        wait_for("the error", lambda: "was_well.py" in self.w.import_errors())
        self.assertTrue(self.versions("was_well"))
        self.assertTrue(self.w.get("/api/v2/dags/was_well")["has_import_errors"])

    def test_what_the_store_refuses_is_an_import_error(self):
        self.w.database.change("CREATE TRIGGER refuse_tag BEFORE INSERT ON dag_tag WHEN NEW.name = 'refused' BEGIN SELECT RAISE(ABORT, 'not this tag'); END",
                               "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'not this tag'; END $$; "
                               "CREATE TRIGGER refuse BEFORE INSERT ON dag_tag FOR EACH ROW WHEN (NEW.name = 'refused') EXECUTE FUNCTION refuse()")
        before = self.w.role("dag-processor")
        self.w.put("refused.py", bash_dag("refused").replace("schedule=None", "schedule=None, tags=['refused']"))
        wait_for("the error", lambda: "not this tag" in self.w.import_errors().get("refused.py", ""))
        self.w.put("beside.py", bash_dag("beside"))
        self.w.has_dag("beside")
        self.assertEqual(self.w.role("dag-processor"), before)
        self.w.put("refused.py", bash_dag("refused"))
        self.w.has_dag("refused")

    # ---- versions ----

    def test_a_version_for_each_change_that_counts(self):
        self.w.put("v.py", bash_dag("v", "echo 1"))
        self.w.has_dag("v")
        first = self.versions("v")
        self.w.command("dags", "trigger", "v", "--run-id", "r1")
        self.w.run_state("v", "r1")
        before = self.parsed("v.py")
        self.w.put("v.py", bash_dag("v", "echo 1") + "# a comment\n")
        wait_for("another parse", lambda: self.parsed("v.py") != before)
        self.assertEqual(self.versions("v"), first)
        self.assertIn("# a comment", self.w.get("/api/v2/dagSources/v")["content"])
        self.w.put("v.py", bash_dag("v", "echo 2"))
        wait_for("version 2", lambda: len(self.versions("v")) == 2)
        self.assertEqual(self.versions("v")[0], first[0])     # a run used it: it stays as it was
        self.w.put("v.py", bash_dag("v", "echo 3"))
        wait_for("an unused version to be replaced", lambda: "echo 3" in self.w.rows("SELECT data FROM dag_version WHERE dag_id = 'v' ORDER BY version_number DESC")[0][0])
        self.assertEqual([n for n, _ in self.versions("v")], [1, 2])
        listed = self.w.get("/api/v2/dags/v/dagVersions")["dag_versions"]
        self.assertEqual(sorted(x["version_number"] for x in listed), [1, 2])

    # ---- going and coming back ----

    def test_a_dag_that_leaves_its_file(self):
        both = bash_dag("stays") + bash_dag("leaves")
        self.w.put("two.py", both)
        self.w.has_dag("stays", "leaves")
        self.w.put("two.py", bash_dag("stays"))
        self.gone("leaves")
        self.assertIn("stays", self.w.dag_ids())
        self.assertTrue(self.versions("leaves"), "what was known of it is kept")
        self.w.put("two.py", both)
        self.w.has_dag("stays", "leaves")

    def test_a_file_that_leaves(self):
        path = self.w.put("leaving.py", bash_dag("leaving"))
        self.w.has_dag("leaving")
        self.w.command("dags", "trigger", "leaving", "--run-id", "r")
        self.w.run_state("leaving", "r")
        path.unlink()
        self.gone("leaving")
        self.assertEqual(self.w.runs()["leaving", "r"], "success")
        path.write_text(bash_dag("leaving"))
        self.w.has_dag("leaving")
        self.w.trigger("leaving", "again")
        self.w.run_state("leaving", "again")

    def test_a_file_that_is_renamed(self):
        path = self.w.put("old_name.py", bash_dag("renamed"))
        self.w.has_dag("renamed")
        path.rename(self.w.dags / "new_name.py")
        wait_for("the new name", lambda: self.w.rows("SELECT relative_fileloc FROM dag WHERE dag_id = 'renamed' AND NOT is_stale") == [("new_name.py",)])
        self.assertEqual({n for n in self.w.import_errors() if n.endswith("_name.py")}, set())

    def test_a_helper_module(self):
        self.w.put("helper_module.py", "TAG = 'one'\n")
        self.w.put("uses_helper.py", "import helper_module\n" + bash_dag("uses_helper").replace("schedule=None", "schedule=None, tags=[helper_module.TAG]"))
        self.w.has_dag("uses_helper")
        self.assertEqual(self.tags("uses_helper"), {"one"})
        self.w.put("helper_module.py", "TAG = 'two'\n")
        wait_for("the helper's new value", lambda: self.tags("uses_helper") == {"two"})

    def test_a_dag_id_in_two_files(self):
        self.w.put("twice_a.py", bash_dag("twice"))
        self.w.has_dag("twice")
        b = self.w.put("twice_b.py", bash_dag("twice"))
        wait_for("the second one's error", lambda: "twice" in self.w.import_errors().get("twice_b.py", ""))
        b.unlink()
        wait_for("no error any more", lambda: "twice_b.py" not in self.w.import_errors())
        self.assertIn("twice", self.w.dag_ids())

    # ---- what a file's top level reads ----

    def test_variables_and_connections(self):
        self.w.command("variables", "set", "stored", "in the store")
        self.w.command("connections", "add", "stored_conn", "--conn-uri", "mysql://u:p@in-the-store/db")
        self.w.put("reads.py", """
from datetime import datetime
from airflow.sdk import DAG, Connection, Variable
values = [Variable.get("stored"), Variable.get("from_env"), Variable.get("absent", default="default"),
          Connection.get("stored_conn").host, Connection.get("from_env").host, Connection.get("DATABASE_URL").host]
with DAG("reads", schedule=None, start_date=datetime(2024, 1, 1), description="|".join(values)):
    pass
""")
        wait_for("a verdict", lambda: "reads" in self.w.dag_ids() or "reads.py" in self.w.import_errors())
        self.assertEqual(self.w.import_errors().get("reads.py"), None)
        self.assertEqual(self.w.get("/api/v2/dags/reads")["description"], "in the store|by variable|default|in-the-store|by-environment|by-plain-name")

    # ---- a start anew ----

    def test_zz_unchanged_files_are_not_parsed_again(self):
        self.w.put("restarted.py", bash_dag("restarted"))
        self.w.has_dag("restarted")
        before = self.parsed("restarted.py")
        self.assertEqual(self.w.stop(self.scheduler), 0)
        changed = self.w.put("while_away.py", bash_dag("while_away"))
        type(self).scheduler = self.w.scheduler()
        self.w.has_dag("while_away")
        self.assertEqual(self.parsed("restarted.py"), before)
        changed.unlink()
        self.gone("while_away")


class Regexp(unittest.TestCase):
    def test_regexp_rules(self):
        w = Roles(AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX="regexp")
        self.addCleanup(w.close)
        w.put(".airflowignore", "^skipped\\d+\\.py$\nsub/.*_x\n")
        w.put("skipped1.py", bash_dag("r_skipped"))
        w.put("skipped.py", bash_dag("r_kept"))
        w.put("sub/a_x.py", bash_dag("r_sub_skipped"))
        w.put("sub/a_y.py", bash_dag("r_sub_kept"))
        w.scheduler()
        w.has_dag("r_kept", "r_sub_kept")
        wait_for("all files to be looked at", lambda: len(w.rows("SELECT rel FROM dag_file")) == 2)
        self.assertEqual(w.dag_ids(), {"r_kept", "r_sub_kept"})


if __name__ == "__main__":
    unittest.main()
