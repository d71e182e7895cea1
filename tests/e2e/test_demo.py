#!/usr/bin/python3
"""The demo: it ends well, says so, and cleans up; also when it is interrupted."""
import glob
import os
import re
import signal
import subprocess
import time

from harness import BINARY, Case, end_process, main, wait_until

DEMO_S = 200


def leftovers():
    return set(glob.glob('/tmp/restante-demo-*'))


def processes(folder):
    """Processes that work in the folder of a demo."""
    found = []
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            with open(path, 'rb') as file:
                if folder.encode() in file.read():
                    found.append(path.split('/')[2])
        except OSError:
            pass
    return found


class Demo(Case):

    def test_whole_story(self):
        before = leftovers()
        start = time.monotonic()
        done = subprocess.run([BINARY, 'demo'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=DEMO_S, check=False)
        print(done.stdout[-600:])
        self.assertEqual(done.returncode, 0, done.stdout)
        summary = re.search(r'Sent (\d+), delivered (\d+): 0 lost, 0 bounced, 0 duplicates, 0 changed', done.stdout)
        self.assertTrue(summary, done.stdout)
        self.assertEqual(summary.group(1), summary.group(2))
        self.assertGreater(int(summary.group(1)), 400)
        self.assertIn('server DOWN', done.stdout)
        self.assertLess(time.monotonic() - start, DEMO_S)
        self.assertEqual(leftovers() - before, set())

    def test_interrupted(self):
        before = leftovers()
        process = subprocess.Popen([BINARY, 'demo'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(end_process, process, signal.SIGKILL)
        for line in process.stdout:
            if b'accepted' in line:
                break
        folders = [f for f in leftovers() - before if processes(f)]
        self.assertTrue(folders)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 1)
        for folder in folders:
            if not os.path.exists(folder):
                wait_until(lambda folder=folder: not processes(folder), 10, 'the relay has ended')
        self.assertTrue(any(not os.path.exists(folder) for folder in folders))


if __name__ == '__main__':
    main()
