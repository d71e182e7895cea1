#!/usr/bin/python3
"""How long from the sender's 250 to the arrival at the destination: the relay in between and nothing else to do.

Usage: bench/passthrough.py [MESSAGES], with RESTANTE=path of the program (default: build/release). Prints the median, the 90th and the
99th percentile in milliseconds, and the machine. The arrival is when the destination has the whole message: before its 250.
"""
import os
import platform
import re
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'tests', 'e2e'))
import harness  # noqa: E402

BODY = b'x' * 70 + b'\r\n'


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


def measure(relay, destination, count):
    delays = []
    with socket.create_connection(('127.0.0.1', relay.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = s.makefile('rb')

        def reply():
            while (line := file.readline())[3:4] == b'-':
                pass
            return line

        def say(line):
            s.sendall(line)
            answer = reply()
            assert answer[:1] in b'23', answer
        reply()
        say(b'EHLO sender.example.net\r\n')
        for number in range(count):
            say(b'MAIL FROM:<alice@example.net>\r\n')
            say(b'RCPT TO:<bob@example.com>\r\n')
            say(b'DATA\r\n')
            say(b'Subject: %d\r\n\r\n' % number + BODY * 50 + b'.\r\n')
            acknowledged = time.perf_counter()
            harness.wait_until(lambda number=number: number in destination.arrived, 60, 'message %d arrives' % number)
            delays.append((destination.arrived[number] - acknowledged) * 1000)
    return delays


def machine():
    with open('/proc/cpuinfo', encoding='ascii', errors='replace') as file:
        model = re.search(r'model name\s*: (.*)', file.read())
    return '%s, %d processors, Linux %s' % (model.group(1) if model else platform.machine(),
                                            len(os.sched_getaffinity(0)), platform.release())


def passthrough(count):
    """Delays in milliseconds, sorted. A negative one arrived before its sender had read the 250."""
    folder = tempfile.mkdtemp(prefix='restante-bench-')
    destination = Destination()
    destination.start()
    relay = harness.Relay(folder, '--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
    try:
        measure(relay, destination, 20)  # warm
        destination.arrived.clear()
        return sorted(measure(relay, destination, count))
    finally:
        relay.stop()
        shutil.rmtree(folder, True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    delays = passthrough(count)
    print('250 to arrival, %d messages of 3.7 KB one after the other: median %.2f ms, 90 %% %.2f ms, 99 %% %.2f ms' % (
        count, statistics.median(delays), delays[count * 90 // 100], delays[count * 99 // 100]))
    print(machine())


if __name__ == '__main__':
    main()
