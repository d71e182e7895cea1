#!/usr/bin/python3
"""Under systemd: sockets that it holds, and what it is told. systemd itself is not needed, only its protocol."""
import os
import signal
import socket
import subprocess
import time

from harness import BINARY, START_S, Case, Relay, main, send_smtplib, wait_until


class Systemd(Case):

    def start(self, *options, sockets=(), environment=None):
        """Starts the relay as systemd does: LISTEN_PID is the process itself, descriptors from 3 on."""
        relay = Relay(self.folder)
        env = dict(os.environ, **(environment or {}))
        command = 'exec "$0" "$@"'
        if sockets:
            command = 'export LISTEN_PID=$$ LISTEN_FDS=%d; exec "$0" "$@" %s' % (
                len(sockets), ' '.join('%d<&%d' % (3 + i, s.fileno()) for i, s in enumerate(sockets)))
        with open(relay.log_path, 'ab') as log:
            relay.process = subprocess.Popen(
                ['/bin/bash', '-c', command, BINARY, 'serve', '--data', relay.data, '--hostname', 'relay.example.org',
                 *options], stdout=subprocess.PIPE, stderr=log, env=env, pass_fds=[s.fileno() for s in sockets])
        self.addCleanup(self._end_relay, relay)
        while '  next' not in relay.banner:
            line = relay.process.stdout.readline().decode()
            self.assertTrue(line, relay.log())
            relay.banner += line
        return relay

    def test_sockets_are_taken(self):
        destination = self.destination().start()
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)
        os.set_inheritable(listener.fileno(), True)
        high = socket.socket(fileno=os.dup(listener.fileno()))
        self.addCleanup(high.close)
        relay = self.start('--domain', 'example.com=127.0.0.1:%d' % destination.port, sockets=[high])
        relay.port = listener.getsockname()[1]
        self.assertIn('127.0.0.1:%d' % relay.port, relay.banner)
        self.assertNotIn('2525', relay.banner)
        send_smtplib(relay, b'Subject: x\r\n\r\nx\r\n')
        wait_until(destination.count, 20, 'it arrives')

    def test_notifications(self):
        path = os.path.join(self.folder, 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(START_S)
            relay = self.start('--listen', '127.0.0.1:0', environment={'NOTIFY_SOCKET': path, 'WATCHDOG_USEC': '900000'})
            while (text := notify.recv(100)) == b'WATCHDOG=1':
                pass
            self.assertEqual(text, b'READY=1')
            for _ in range(3):
                self.assertEqual(notify.recv(100), b'WATCHDOG=1')
            relay.process.send_signal(signal.SIGHUP)
            self.assertEqual(notify.recv(100), b'WATCHDOG=1')
            relay.process.send_signal(signal.SIGTERM)
            while (text := notify.recv(100)) == b'WATCHDOG=1':
                pass
            self.assertEqual(text, b'STOPPING=1')
            self.assertEqual(relay.stop(), 0)

    def test_worker_that_hangs_keeps_systemd_calm(self):
        """The supervisor replaces it; systemd need not end us all."""
        path = os.path.join(self.folder, 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(START_S)
            relay = self.start('--listen', '127.0.0.1:0', environment={'NOTIFY_SOCKET': path, 'WATCHDOG_USEC': '3000000'})
            worker = relay.worker()
            os.kill(worker, signal.SIGSTOP)
            end = time.monotonic() + 8
            while time.monotonic() < end:
                notify.settimeout(3)
                self.assertIn(notify.recv(100), (b'READY=1', b'WATCHDOG=1'))
            wait_until(lambda: relay.worker(False) not in (None, worker), 10, 'another worker')


if __name__ == '__main__':
    main()
