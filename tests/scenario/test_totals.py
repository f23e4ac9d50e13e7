"""The totals of lists of task instances, whatever tables the filters need."""
import unittest

from api_kit import Home, Server


class Totals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.home.fill(dags=3, runs=3, tasks=4)
        cls.home.run("UPDATE task_instance SET map_index = 0 WHERE task_id = 't1'")
        cls.home.run("UPDATE dag_version_task SET queue = 'slow' WHERE task_id = 't2'")
        cls.server = Server(cls.home)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.home.close()

    def test_as_many_as_there_are(self):
        tis = "/dags/~/dagRuns/~/taskInstances"
        cases = {
            tis: 36, f"{tis}?state=failed": 12, f"{tis}?map_index=0": 9, f"{tis}?dag_id_pattern=d1": 12, f"{tis}?queue=slow": 9, f"{tis}?queue=slow&state=failed": 3,
            f"{tis}?version_number=1": 36, f"{tis}?version_number=2": 0, f"{tis}?operator=BashOperator&dag_id_prefix_pattern=d2": 12, f"{tis}?duration_lt=0.3": 36,
            f"{tis}?order_by=-operator": 36, "/dags/d0/dagRuns/~/taskInstances": 12, "/dags/d0/dagRuns/~/taskInstances?state=success": 4,
            "/dags/d0/dagRuns/scheduled__1/taskInstances": 4, "/dags/d0/dagRuns/scheduled__1/taskInstances/t1/listMapped": 1,
        }
        for path, total in cases.items():
            with self.subTest(path):
                more = "&" if "?" in path else "?"
                first, all_ = self.server.get(f"{path}{more}limit=1"), self.server.get(f"{path}{more}limit=100")
                self.assertEqual((first["total_entries"], len(all_["task_instances"])), (total, total))

    def test_in_order(self):
        """By map index, then as they were made; the same page by page."""
        path = "/dags/~/dagRuns/~/taskInstances"
        whole = [(t["map_index"], t["id"]) for t in self.server.get(path + "?limit=100")["task_instances"]]
        pages = [(t["map_index"], t["id"]) for n in range(0, 36, 5) for t in self.server.get(f"{path}?limit=5&offset={n}")["task_instances"]]
        self.assertEqual(pages, whole)
        self.assertEqual([m for m, _ in whole], [-1] * 27 + [0] * 9)


if __name__ == "__main__":
    unittest.main()
