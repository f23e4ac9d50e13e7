"""Many followed logs: each sees each line, a client that does not read holds nobody up, the end of the try ends them, and they cost little."""
import os, time, unittest

from tails_kit import Tails


class LogTails(unittest.TestCase):
    COUNT, FILES = 240, 40

    def setUp(self):
        self.tails = Tails(self.COUNT, self.FILES)
        self.addCleanup(self.tails.close)

    def test_all_see_each_line(self):
        t = self.tails
        t.until_all_have("first")
        for n in range(5):
            t.write(f"line {n}")
            t.until_all_have(f"line {n}")

    def test_lines_come_when_they_are_written(self):
        """A server that looked at the logs twice a second could not pass on 40 lines, each written when the one before was seen, in less than 20 s."""
        t = self.tails
        t.until_all_have("first")
        began = time.monotonic()
        for n in range(40):
            t.write(f"one {n}", files=[0])
            word = f"one {n}".encode()
            mine = next(iter(t.got))                          # the first connection follows the first file
            while word not in t.got[mine]:
                for key, _ in t.all.select(60):
                    t.got[key.fileobj] += key.fileobj.recv(65536)
        self.assertLess(time.monotonic() - began, 19)

    def test_a_client_that_does_not_read(self):
        t = self.tails
        slow = t.connect(0, small=True)
        self.addCleanup(slow.close)
        t.until_all_have("first")
        with open(t.logs[0], "a") as f:
            for _ in range(300):
                f.write(t.line("x" * 20000))                  # more than socket buffers take
        t.write("behind it")
        t.until_all_have("behind it")
        self.assertLess(t.memory() if "ASAN_OPTIONS" not in os.environ else 0, 64 << 10)

    def test_the_end_of_the_try_ends_them(self):
        t = self.tails
        t.until_all_have("first")
        t.write("last")
        t.home.run("UPDATE task_instance SET state = 'success', end_date = 2")
        t.until_all_have("last")
        t.until_all_end()

    @unittest.skipIf("ASAN_OPTIONS" in os.environ, "a sanitizer's memory is another")
    def test_what_one_costs(self):
        t = self.tails
        t.until_all_have("first")
        before = t.memory()
        for i in range(self.COUNT):
            t.follow(i % self.FILES)
        t.write("more")
        t.until_all_have("more")
        self.assertLess((t.memory() - before) / self.COUNT, 30, "KiB a tail")   # a thousand in less than 32 MiB


if __name__ == "__main__":
    unittest.main()
