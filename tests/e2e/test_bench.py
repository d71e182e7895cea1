#!/usr/bin/python3
"""The benchmarks work: each at a size at which its figures say nothing, and each row of the table is there."""
import os
import re
import sys
import unittest

import harness

BENCH = os.path.join(harness.HERE, '..', '..', 'bench')
sys.path.insert(0, BENCH)


class Benchmarks(unittest.TestCase):
    def table(self, *works):
        """{work: (bar, measured, reached)}"""
        harness.peer('usr/sbin/smtp-source')
        environment = dict(os.environ, RESTANTE=harness.BINARY, RESTANTE_PEERS=harness.PEERS, RESTANTE_BENCH_ANY_BUILD='1')
        done = harness.run('/usr/bin/python3', os.path.join(BENCH, 'run'), '--rounds', '1', '--scale', '0.0005', *works,
                           env=environment, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = re.findall(r'(?m)^\| (.*) \| (.*) \| (.*) \| (yes|NO|-) \|$', done.stdout)
        return {work: rest for work, *rest in rows}

    def assert_rows(self, table, *patterns):
        for pattern in patterns:
            self.assertTrue([work for work in table if re.search(pattern, work)], '%s is not in %s' % (pattern, list(table)))

    def test_restante_alone(self):
        table = self.table('syncs', 'disk-bytes', 'million', 'lanes', 'slow-senders', 'upkeep')
        self.assert_rows(table, 'fsyncs per message', 'disk bytes written', 'start to first 250', 'RssAnon', 'held, small: accept',
                         'queue --limit 100', 'idle CPU', 'lanes with mail waiting', 'resident memory', "others' p99",
                         'accept p99 during drain')
        (_, measured, _), = [row for work, row in table.items() if work.endswith('RssAnon')]
        self.assertGreater(float(measured.split()[0]), 0)

    @unittest.skipUnless(os.geteuid() == 0, 'Postfix needs root to start')
    def test_against_postfix(self):
        table = self.table('accept-20', 'accept-1', 'low-load', 'full-load', 'drain')
        self.assert_rows(table, '20 connections', 'CPU per 1,000 accepted', 'one connection', 'low load, .* p50', 'low load, .* p99',
                         'full load', 'drain to a fast smtp-sink')
        for work, (_, measured, _) in table.items():
            self.assertRegex(measured, r'postfix|flush|smtp-sink', work)

    def test_unknown_work(self):
        done = harness.run('/usr/bin/python3', os.path.join(BENCH, 'run'), 'no-such-work',
                           env=dict(os.environ, RESTANTE=harness.BINARY, RESTANTE_PEERS=harness.PEERS))
        self.assertEqual(done.returncode, 2)
        self.assertIn('accept-200', done.stderr)


if __name__ == '__main__':
    harness.main()
