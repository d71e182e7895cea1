#!/usr/bin/python3
"""A relay with much mail held, or many lanes: start, memory, accepting, listing, and what it does when there is nothing to do.

Usage: bench/held.py FOLDER [DOMAINS [MESSAGES]], with RESTANTE=path of the program (default: build/release). FOLDER is a data folder;
bench/fill_spool makes its spool. DOMAINS (default 1): mail is sent to d0.example, d1.example... in turn. MESSAGES (default 20000) are
sent, 20 connections at a time. As root, the page cache is emptied before the start.

Prints: seconds from the start of the program to the first 250; RssAnon; messages per second, and CPU of the relay for each; how long
`queue --limit 100`, `status`, `domain ls` and /metrics take, with the longest wait of another session for the answer to a NOOP
meanwhile; the CPU of 20 s without work.
"""
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'tests', 'e2e'))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import harness  # noqa: E402
import smtp_load  # noqa: E402
from lib import machine  # noqa: E402

IDLE_S = 20


def anonymous_mib(pid):
    with open('/proc/%d/status' % pid, encoding='ascii') as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith('RssAnon'))


def cpu_s(pid):
    with open('/proc/%d/stat' % pid, encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def empty_cache():
    os.sync()
    try:
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as file:
            file.write('3')
        return 'cold'
    except OSError:
        return 'warm'


class Pinger(threading.Thread):
    """Says NOOP again and again and remembers the longest wait."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.session = smtp_load.Session(port)
        self.port = port
        self.longest = self.said = 0
        self.ended = False

    def run(self):
        while not self.ended:
            begun = time.perf_counter()
            self.session.say(b'NOOP\r\n')
            self.longest = max(self.longest, time.perf_counter() - begun)
            self.said += 1
            if self.said % 100 == 0:  # more without a message are refused
                self.session = smtp_load.Session(self.port)
            time.sleep(0.002)

    def end(self):
        self.ended = True
        self.join()
        return self.longest * 1000


def timed(relay, name, *args):
    pinger = Pinger(relay.port)
    pinger.start()
    begun = time.perf_counter()
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    took = time.perf_counter() - begun
    print('  %-22s %7.0f ms, %8.1f KiB, longest wait of a NOOP %.0f ms%s' % (
        name, took * 1000, len(done.stdout) / 1024, pinger.end(),
        '' if done.returncode == 0 else '  FAILED: ' + done.stderr.decode()[:200]))


def lists(relay):
    for name, args in (('queue --limit 100', ('queue', '--limit', '100')), ('status', ('status',)), ('domain ls', ('domain', 'ls'))):
        timed(relay, name, harness.BINARY, *args, '--data', relay.data)
    timed(relay, '/metrics', 'curl', '-sf', '--unix-socket', os.path.join(relay.data, 'api.sock'), 'http://restante/metrics')


def first_250(relay):
    """Seconds from the start of the program."""
    begun = time.perf_counter()
    process = threading.Thread(target=relay.start)
    process.start()
    while True:
        try:
            session = smtp_load.Session(relay.port)
            session.send_mail(b'bob@d0.example', b'first\r\n')
            break
        except (OSError, smtp_load.Refused):
            time.sleep(0.002)
    took = time.perf_counter() - begun
    process.join()
    return took


def main():
    folder = sys.argv[1]
    domains = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    relay = harness.Relay(folder)
    relay.data = folder
    relay.log_path = os.devnull
    state = empty_cache()
    print(machine())
    try:
        print('first 250 after %.0f ms (%s)' % (first_250(relay) * 1000, state))
        worker = relay.worker()
        print('RssAnon %.1f MiB' % anonymous_mib(worker))
        lists(relay)
        before = cpu_s(worker)
        for name, number in (('one domain', 1), ('%d domains in turn' % domains, domains)):
            before = cpu_s(worker)
            rate = smtp_load.load(relay.port, number, count)
            print('accepted to %s: %.0f messages/s, %.0f us of CPU each' % (
                name, rate, (cpu_s(worker) - before) / count * 1e6))
        time.sleep(5)
        before = cpu_s(worker)
        pinger = Pinger(relay.port)
        time.sleep(IDLE_S)
        print('idle: %.2f %% of a core' % ((cpu_s(worker) - before) / IDLE_S * 100))
        pinger.start()
        time.sleep(10)
        print('longest wait of a NOOP in 10 s: %.0f ms' % pinger.end())
        print('RssAnon %.1f MiB' % anonymous_mib(worker))
    finally:
        relay.stop()


if __name__ == '__main__':
    main()
