#!/usr/bin/python3
"""The benchmark works: one small scenario with the program that was built; its figures say nothing."""
import os
import re
import sys
import tempfile
import unittest

from fake import HERE, harness


class Run(unittest.TestCase):
    def test_small(self):
        environment = dict(os.environ, RESTANTE=harness.BINARY, RESTANTE_BENCH_ANY_BUILD='1')
        with tempfile.TemporaryDirectory() as folder:
            results = os.path.join(folder, 'results.md')
            done = harness.run(sys.executable, os.path.join(HERE, 'run'), 'B1', '--scale', '0.01', '--outage', '1', '--limit', '200',
                               '--results', results, env=environment, timeout=280)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(results, encoding='utf-8') as file:
                table = file.read()
            with open(os.path.join(folder, 'results', 'B1.svg'), encoding='utf-8') as file:
                self.assertIn('<polyline', file.read())
        row = re.search(r'(?m)^\| B1 M1 \| restante \| (.*) \|$', table)
        self.assertTrue(row, table)
        _, _, drain, _, _, crashes, _, _, bounced, twice, _ = row.group(1).split(' | ')
        self.assertGreater(float(drain), 0)
        self.assertEqual((crashes, bounced, twice), ('0', '0', '0'))

    def test_unknown(self):
        done = harness.run(sys.executable, os.path.join(HERE, 'run'), 'B99')
        self.assertEqual(done.returncode, 2)


if __name__ == '__main__':
    unittest.main()
