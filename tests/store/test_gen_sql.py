"""What the generator of the named statements refuses: each mistake stops the build and says where."""
import io
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import gen_sql  # noqa: E402

SCHEMA = "CREATE TABLE t (a TEXT, b INTEGER);\n"


class Generator(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def write(self, name, text):
        path = os.path.join(self.dir.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def statements(self, text):
        return gen_sql.read_statements([self.write("s.sql", text)])

    def refused(self, text, says):
        with self.assertRaises(gen_sql.Bad) as caught:
            gen_sql.prove(self.statements(text), [(1, "first", SCHEMA)])
        self.assertIn(says, str(caught.exception))

    def test_mistakes(self):
        for text, says in [
            ("SELECT 1\n", "before the first"),
            ("-- name: x\nSELECT nope FROM t\n", "no such column"),
            ("-- name: x\nSELECT a FROM gone\n", "no such table"),
            ("-- name: x\nSELECT a FROM t WHERE\n", "incomplete input"),
            ("-- name: x\nSELECT a FROM t WHERE a = ? AND b = ?2\n", "? and ?N"),
            ("-- name: x\nSELECT a FROM t\n-- name: x\nSELECT b FROM t\n", "already in"),
            ("-- name: x\n-- sqlite\nSELECT a FROM t\n", "lacks a text"),
            ("-- name: x\n-- sqlite\nSELECT a FROM t WHERE a = ?\n-- postgres\nSELECT a FROM t\n", "different numbers"),
            ("-- name: x\nSELECT {columns} FROM t\n", "is not defined"),
        ]:
            with self.subTest(text=text):
                self.refused(text, says)

    def test_the_place_is_named(self):
        self.refused("\n\n-- name: x\nSELECT nope FROM t\n", "s.sql:3: x:")

    def test_parameters_of_both_databases(self):
        st = self.statements("-- name: x\nSELECT '?' FROM t WHERE a = ? AND b > ?\n-- name: y\nSELECT ?2 FROM t WHERE a = ?1 OR b = ?2\n")
        self.assertEqual([(s.params, s.postgres) for s in st],
                         [(2, "SELECT '?' FROM t WHERE a = ? AND b > ?"), (2, "SELECT ?2 FROM t WHERE a = ?1 OR b = ?2")])

    def test_variants_defines_and_notes(self):
        st = self.statements("-- define: columns\na, b\n-- what it is for\n-- name: x\nSELECT {columns} FROM t\n-- sqlite\nLIMIT -1\n-- postgres\nLIMIT ALL\n")
        self.assertEqual((st[0].sqlite, st[0].postgres), ("SELECT a, b FROM t LIMIT -1", "SELECT a, b FROM t LIMIT ALL"))
        out = io.StringIO()
        gen_sql.write_ids(out, st)
        self.assertIn("SQL_x,  /* 0 values: what it is for */", out.getvalue())

    def test_migrations_have_no_gap(self):
        paths = [self.write("migrations/sqlite/0001_first.sql", SCHEMA), self.write("migrations/sqlite/0003_third.sql", SCHEMA)]
        with self.assertRaisesRegex(gen_sql.Bad, "without a gap"):
            gen_sql.read_migrations(paths)
        with self.assertRaisesRegex(gen_sql.Bad, "is named like"):
            gen_sql.read_migrations([self.write("migrations/sqlite/first.sql", SCHEMA)])


if __name__ == "__main__":
    unittest.main()
