#!/usr/bin/python3
"""kill -9 of the worker and of the supervisor under load: every message that got a 250 arrives."""
import re
import smtplib
import threading
import time

from harness import Case, main, send_smtplib, wait_until

KILLS = 20
SENDERS = 4


class Load:
    """Senders that try again until the relay takes a message; `accepted` has what got its 250."""

    def __init__(self, relay):
        self.relay = relay
        self.accepted = []
        self.stopping = False
        self.threads = [threading.Thread(target=self._send, args=(i,)) for i in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def _send(self, sender):
        number = 0
        while not self.stopping:
            number += 1
            name = '%d-%d' % (sender, number)
            try:
                send_smtplib(self.relay, b'Subject: %s\r\n\r\n%s\r\n' % (name.encode(), b'x' * (number * 37 % 5000)))
                self.accepted.append(name)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive(), 'a sender hangs'


class Kill(Case):

    def play(self, kills):
        relay, destination = self.pair()
        load = Load(relay)
        try:
            for number, kill in enumerate(kills):
                before = len(load.accepted)
                wait_until(lambda: len(load.accepted) > before + 5, 60, 'mail flows before kill %d' % number)
                kill(relay)
        finally:
            load.stop()
        accepted = set(load.accepted)

        def arrived():
            return [re.match(rb'Subject: ([0-9-]+)', m.rest).group(1).decode() for m in destination.messages()]
        # A transaction whose final reply was cut off is tried again after a while, so held mail is no loss.
        wait_until(lambda: relay.held() + len(set(arrived())) >= len(accepted), 60, 'each accepted message is somewhere')

        def all_there():
            return accepted <= set(arrived()) or relay.held() > 0 and len(accepted - set(arrived())) <= relay.held()
        wait_until(all_there, 60, 'each accepted message has arrived or is held')
        wait_until(lambda: accepted <= set(arrived()), 120, 'each accepted message has arrived')
        names = arrived()
        print('%d kills, %d accepted, %d arrived, %d twice' % (len(kills), len(accepted), len(set(names)),
                                                             len(names) - len(set(names))))
        # What was in flight at a kill may come twice, or without a 250 to its sender; nothing else may.
        self.assertLessEqual(len(names) - len(set(names)), len(kills) * 20)

    def test_worker_and_supervisor(self):
        def worker(relay):
            relay.kill_worker()

        def supervisor(relay):
            relay.kill()
            relay.start()
        # Never three workers in a row: the third would be followed by a pause, which is another test.
        self.play([supervisor if i % 3 == 2 else worker for i in range(KILLS)])

    def test_destination_too(self):
        """The relay is killed while its backlog drains."""
        destination = self.destination()
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        for i in range(100):
            send_smtplib(relay, b'Subject: %d\r\n\r\nx\r\n' % i)
        destination.start()
        wait_until(lambda: destination.count() >= 1, 20, 'it drains')
        relay.kill_worker()
        wait_until(lambda: len({m.rest for m in destination.messages()}) == 100, 60, 'all arrive')
        self.assertLess(destination.count(), 150)


class Supervisor(Case):

    def test_pause_and_alarm(self):
        """The third death within a minute brings an alarm and a pause; connections wait meanwhile, and are served."""
        relay, destination = self.pair()
        for _ in range(2):
            relay.kill_worker()
        start = time.monotonic()
        relay.kill_worker()
        self.assertGreater(time.monotonic() - start, 0.9)
        send_smtplib(relay, b'Subject: after\r\n\r\nx\r\n')
        wait_until(destination.count, 20, 'it works')
        self.assertIn('ALARM', relay.log())

    def test_connections_wait(self):
        """A connection made while no worker runs is served by the next."""
        relay, _ = self.pair()
        relay.kill_worker()
        start = time.monotonic()
        send_smtplib(relay, b'Subject: x\r\n\r\nx\r\n')
        self.assertLess(time.monotonic() - start, 10)

    def test_hanging_worker_is_replaced(self):
        import os
        import signal
        relay, destination = self.pair()
        worker = relay.worker()
        os.kill(worker, signal.SIGSTOP)
        wait_until(lambda: relay.worker(False) not in (None, worker), 20, 'another worker')
        self.assertIn('does not respond', relay.log())
        send_smtplib(relay, b'Subject: after\r\n\r\nx\r\n')
        wait_until(destination.count, 20, 'it works')


if __name__ == '__main__':
    main()
