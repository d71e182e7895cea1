#!/usr/bin/python3
"""Passing mail through: restante and Debian's Postfix between a sender and a destination that is up.

Usage: bench/passthrough.py [--rounds N] [--scale X] [low-load] [full-load]. low-load: one message of 3.7 KB after the other; the time
from the sender's 250 to the arrival at the destination (when it has the whole message: before its own 250). full-load: 10 KiB
messages on 50 connections, as fast as they go; the rate until the last one has arrived.
"""
import socket
import threading
import time

import lib

MESSAGES = 1000  # one after the other


class Destination(threading.Thread):
    """A minimal SMTP server that notes when each final dot came. No PIPELINING and no CHUNKING, as the slowest servers."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.arrived = {}

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.sendall(b'220 sink\r\n')
        file = connection.makefile('rb')
        for line in file:
            verb = line[:4].upper()
            if verb == b'DATA':
                connection.sendall(b'354 go on\r\n')
                number = None
                for line in file:
                    if line == b'.\r\n':
                        break
                    if line.startswith(b'Subject: '):
                        number = int(line[9:])
                self.arrived[number] = time.perf_counter()
            connection.sendall(b'250-sink\r\n250 8BITMIME\r\n' if verb == b'EHLO' else b'250 ok\r\n')
            if verb == b'QUIT':
                break
        connection.close()


def delays_ms(relay, destination, count):
    """A negative one arrived before its sender had read the 250."""
    sender = lib.Sender(relay.port)
    delays = []
    for number in range(count):
        _, acknowledged = sender.send(number)
        lib.harness.wait_until(lambda number=number: number in destination.arrived, 60, 'message %d arrives' % number)
        delays.append((destination.arrived[number] - acknowledged) * 1000)
    sender.close()
    return delays


def one_after_the_other(kind, count):
    with lib.work_folder() as folder:
        destination = Destination()
        destination.start()
        relay = kind(folder, destination.port)
        with lib.running(relay):
            delays_ms(relay, destination, 20)  # warm
            destination.arrived.clear()
            return delays_ms(relay, destination, count)


def low_load(options):
    p50, p99 = lib.Figures(), lib.Figures()
    for _ in range(options.rounds):
        for kind in lib.Restante, lib.Postfix:
            delays = one_after_the_other(kind, options.count(MESSAGES, 20))
            p50.add(kind.name, lib.percentile(delays, 0.5))
            p99.add(kind.name, lib.percentile(delays, 0.99))
    yield ('pass-through at low load, 250 to arrival, p50', '<= 2 ms', '%.2f ms (postfix %.2f ms)' % (
        p50.median('restante'), p50.median('postfix')), p50.median('restante') <= 2)
    yield ('pass-through at low load, 250 to arrival, p99', "<= Postfix's", '%.2f ms (postfix %.2f ms)' % (
        p99.median('restante'), p99.median('postfix')), p99.median('restante') <= p99.median('postfix'))


def as_fast_as_it_goes(kind, count, figures):
    with lib.work_folder() as folder:
        sink = lib.Sink()
        relay = kind(folder, sink.port)
        with lib.running(sink, relay):
            lib.source(relay.port, 50, 100)  # warm
            lib.harness.wait_until(lambda: sink.count() == 100, 300, 'the first have arrived')
            start = time.monotonic()
            lib.source(relay.port, 50, count)
            lib.harness.wait_until(lambda: sink.count() >= count + 100, 1800, 'all have arrived')
            figures.add(kind.name, count / (sink.last_s - start))


def full_load(options):
    figures = lib.Figures()
    for _ in range(options.rounds):
        as_fast_as_it_goes(lib.Restante, options.count(30000, 200), figures)
        as_fast_as_it_goes(lib.Postfix, options.count(3000, 200), figures)
    ours, theirs = figures.median('restante'), figures.median('postfix')
    yield ('pass-through at full load, 50 connections', '>= 6 x Postfix', '%.2f x (%.0f/s; postfix %.0f/s)' % (
        ours / theirs, ours, theirs), ours >= 6 * theirs)


WORKS = {'low-load': low_load, 'full-load': full_load}

if __name__ == '__main__':
    lib.main(WORKS, __doc__)
