#!/usr/bin/python3
"""Backup of a running relay: mail flows, processes die, and what is restored is whole."""
import json
import os
import shutil
import signal
import subprocess
import threading

from harness import BINARY, Case, Relay, free_port, main, run, send_smtplib, wait_until

BODY = b'Subject: kept\r\n\r\n' + b'a line of a message that fills segments\r\n' * 6000


class Backup(Case):

    def path(self, name):
        return os.path.join(self.folder, name)

    def filled(self, count=12):
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % free_port()).start()
        for _ in range(count):
            send_smtplib(relay, BODY)
        return relay

    def ids(self, relay):
        return {m['id'] for m in relay.ask('queue', '--limit', '1000')['messages']}

    def restored(self, backup):
        """The ids that a relay on the restored folder holds."""
        data = self.path('restored')
        done = run(BINARY, 'restore', backup, '--data', data)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotEqual(run(BINARY, 'restore', backup, '--data', data).returncode, 0)
        self.assertEqual(run(BINARY, 'spool', 'check', '--data', data).returncode, 0)
        os.makedirs(self.path('other'))
        other = Relay(self.path('other'), '--domain', 'example.com=127.0.0.1:%d' % free_port())
        other.data = data
        other.start()
        try:
            return self.ids(other)
        finally:
            other.stop()

    def test_while_mail_flows(self):
        relay = self.filled()
        gone = sorted(self.ids(relay))[0]
        self.assertEqual(relay.cli('message', 'rm', gone).returncode, 0)
        before = self.ids(relay)
        stop = threading.Event()

        def flow():
            while not stop.is_set():
                send_smtplib(relay, BODY)

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            done = relay.cli('backup', self.path('copy'))
        finally:
            stop.set()
            thread.join()
        self.assertEqual(done.returncode, 0, done.stderr)
        after = self.ids(relay)
        self.assertFalse(os.path.exists(self.path('copy.partial')))
        self.assertFalse(os.path.exists(os.path.join(relay.data, 'spool', 'snapshot')))
        self.assertNotEqual(relay.cli('backup', self.path('copy')).returncode, 0)
        with open(os.path.join(relay.data, 'certificate.key'), 'rb') as a, \
                open(self.path('copy/certificate.key'), 'rb') as b:
            self.assertEqual(a.read(), b.read())
        relay.stop()
        held = self.restored(self.path('copy'))
        self.assertLessEqual(before, held)
        self.assertLessEqual(held, after)
        self.assertNotIn(gone, held)

    def test_interrupted(self):
        """Whoever dies, no folder looks complete, and the next backup is good."""
        relay = self.filled()
        args = [BINARY, 'backup', self.path('copy'), '--data', relay.data]
        kills = 0
        for i in range(8):
            process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(0.01 * (i + 1))  # where it stands then is left to chance: each place must do
            except subprocess.TimeoutExpired:
                pass
            if i % 4 == 3:
                relay.kill_worker()
            else:
                process.send_signal(signal.SIGKILL)
            if process.wait(60) == 0 or os.path.exists(self.path('copy')):
                self.assertEqual(run(BINARY, 'spool', 'check', '--data', self.path('copy')).returncode, 0)
                shutil.rmtree(self.path('copy'))
            else:
                kills += 1
        print('%d of 8 were interrupted' % kills)
        relay.stop()
        relay.start()  # lets go of what a killed client left
        self.assertFalse(os.path.exists(os.path.join(relay.data, 'spool', 'snapshot')))
        before = self.ids(relay)
        done = relay.cli('backup', self.path('copy'), '--json')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(json.loads(done.stdout)['bytes'], 12 * len(BODY))
        relay.stop()
        self.assertEqual(self.restored(self.path('copy')), before)

    def test_leftovers(self):
        """What a backup that was killed left goes, however little it is; what is somebody else's stays."""
        relay = self.filled(1)
        partial = self.path('copy.partial')
        for name in 'certificate.pem', 'spool', 'RESTANTE', None:
            os.mkdir(partial)
            if name == 'spool':
                os.mkdir(os.path.join(partial, name))
            elif name is not None:
                open(os.path.join(partial, name), 'x').close()
            done = relay.cli('backup', self.path('copy'))
            self.assertEqual(done.returncode, 0, (name, done.stderr))
            shutil.rmtree(self.path('copy'))
        os.mkdir(partial)
        open(os.path.join(partial, 'letters'), 'x').close()
        self.assertIn('File exists', relay.cli('backup', self.path('copy')).stderr)
        self.assertEqual(os.listdir(partial), ['letters'])

    def test_lets_go(self):
        """A backup of which nothing is heard any more is given up."""
        relay = self.filled(1)
        url = ['curl', '-s', '--unix-socket', os.path.join(relay.data, 'api.sock')]
        first = json.loads(run(*url, '-X', 'POST', 'http://localhost/v1/backup').stdout)
        self.assertTrue(first['segments'])
        self.assertIn('under way', relay.cli('backup', self.path('copy')).stderr)
        target = 'http://localhost/v1/backup/' + first['id']
        self.assertIn('still held', run(*url, '-X', 'POST', target).stdout)
        self.assertIn('released', run(*url, '-X', 'DELETE', target).stdout)
        self.assertIn('given up', run(*url, '-X', 'POST', target).stdout)
        wait_until(lambda: relay.cli('backup', self.path('copy')).returncode == 0, 60, 'a backup')


if __name__ == '__main__':
    main()
