#!/usr/bin/python3
"""How long a sender waits for its 250 while a backup of some hundred MB runs: RESTANTE=BINARY bench/backup.py"""
import os
import shutil
import smtplib
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'tests', 'e2e'))
from harness import Relay, free_port  # noqa: E402

LARGE = b'Subject: x\r\n\r\n' + b'a line of text that fills the segment\r\n' * 25000
SMALL = b'Subject: x\r\n\r\n' + b'a line of text\r\n' * 500
LARGE_COUNT, SESSIONS, BEFORE_S = 400, 4, 4


def figures(values):
    values = sorted(values)
    return '%d messages, p50 %.1f ms, p99 %.1f ms, longest %.1f ms' % (
        len(values), 1e3 * values[len(values) // 2], 1e3 * values[len(values) * 99 // 100], 1e3 * values[-1])


def send(session, body):
    session.sendmail('alice@example.net', ['bob@example.com'], body)


def flow(port, stop, waits):
    session = smtplib.SMTP('127.0.0.1', port)
    while not stop.is_set():
        start = time.monotonic()
        send(session, SMALL)
        waits.append((start, time.monotonic() - start))


def main():
    folder = tempfile.mkdtemp(dir='/var/tmp')
    relay = Relay(folder, '--domain', 'example.com=127.0.0.1:%d' % free_port()).start()
    session = smtplib.SMTP('127.0.0.1', relay.port)
    for _ in range(LARGE_COUNT):
        send(session, LARGE)
    stop, waits = threading.Event(), []
    threads = [threading.Thread(target=flow, args=(relay.port, stop, waits)) for _ in range(SESSIONS)]
    for thread in threads:
        thread.start()
    time.sleep(BEFORE_S)
    begin = time.monotonic()
    done = relay.cli('backup', os.path.join(folder, 'copy'))
    end = time.monotonic()
    stop.set()
    for thread in threads:
        thread.join()
    print('%s%s%.1f s' % (done.stdout, done.stderr, end - begin))
    print('before', figures([wait for start, wait in waits if start < begin]))
    print('during', figures([wait for start, wait in waits if begin <= start < end]))
    relay.stop()
    shutil.rmtree(folder)


if __name__ == '__main__':
    main()
