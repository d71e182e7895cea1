#!/usr/bin/python3
"""Accepting mail for many domains, each with a server of its own that is dead, while mail waits for all of them."""
import concurrent.futures
import http.client
import json
import os
import socket
import time

import lib

LANES = 50000
DOMAINS_AT_ONCE = 10  # that smtp-source sends to, each on connections of its own
CONNECTIONS = 5  # for each


class Api(http.client.HTTPConnection):
    """The HTTP API on the Unix socket of a relay."""

    def __init__(self, relay):
        super().__init__('localhost', timeout=60)
        self.path = os.path.join(relay.data, 'api.sock')

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def put(self, path, body):
        self.request('PUT', path, json.dumps(body), {'Content-Type': 'application/json'})
        answer = self.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), text


def address(number):
    """One of the 2^24 of loopback for each lane; nothing listens at its port 9."""
    return '127.%d.%d.%d:9' % (1 + number // 65536, number // 256 % 256, number % 256)


def domain(number):
    return 'd%d.example.com' % number


def add_domains(relay, lanes, addresses):
    api = Api(relay)
    for number in range(lanes):
        api.put('/v1/domains/' + domain(number), {'to': [address(number % addresses)]})
    api.close()


def fill(relay, lanes):
    """A message for each domain."""
    sender = lib.Sender(relay.port, body_lines=2)
    for number in range(lanes):
        if number % 1000 == 999:
            sender.close()
            sender = lib.Sender(relay.port, body_lines=2)
        sender.send(number, b'bob@' + domain(number).encode())
    sender.close()


def source(relay, name, count):
    done = lib.harness.run(lib.harness.peer('usr/sbin/smtp-source'), '-d', '-l', str(lib.MESSAGE_BYTES), '-s',
                           str(CONNECTIONS), '-m', str(count), '-f', 'alice@example.net', '-t', 'bob@' + name,
                           '127.0.0.1:%d' % relay.port, env=lib.harness.peer_environment(), timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr


def accept_rate(relay, names, count):
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(source, relay, name, count // len(names)) for name in names]:
            done.result()
    return count / (time.monotonic() - start)


def new_relay(folder, name):
    os.mkdir(os.path.join(folder, name))
    return lib.harness.Relay(os.path.join(folder, name))


def many_lanes(options):
    lanes, figures = options.count(LANES, 20), lib.Figures()
    lib.raise_descriptors(4096)
    with lib.work_folder() as folder:
        many, one = new_relay(folder, 'many'), new_relay(folder, 'one')
        with lib.running(many, one):
            add_domains(many, lanes, lanes)
            add_domains(one, DOMAINS_AT_ONCE, 1)
            fill(many, lanes)
            many_cpu = lib.tree_cpu_s(many.process.pid)
            time.sleep(options.seconds(10))
            idle = (lib.tree_cpu_s(many.process.pid) - many_cpu) / options.seconds(10)
            for turn in range(options.rounds):
                count = options.count(20000, 10 * DOMAINS_AT_ONCE)
                # Other domains each time, from all over the list.
                names = [domain((turn + i * options.rounds) * 7919 % lanes) for i in range(DOMAINS_AT_ONCE)]
                figures.add('many', accept_rate(many, names, count))
                figures.add('one', accept_rate(one, [domain(i) for i in range(DOMAINS_AT_ONCE)], count))
            memory = lib.memory_bytes(many.worker()) / 2**20
    many_rate, one_rate = figures.median('many'), figures.median('one')
    work = '%d lanes with mail waiting' % lanes
    yield work, 'accept >= 0.7 x one lane', '%.2f x (%.0f/s; one lane %.0f/s)' % (
        many_rate / one_rate, many_rate, one_rate), many_rate >= 0.7 * one_rate
    yield work + ', all dead: CPU for their probes; memory', '-', '%.1f %% of a core; RssAnon %.0f MiB' % (
        idle * 100, memory), None


WORKS = {'lanes': many_lanes}

if __name__ == '__main__':
    lib.main(WORKS, __doc__)
