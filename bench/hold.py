#!/usr/bin/python3
"""What many held messages cost: bytes written to disk, memory, and time to start, to accept and to list."""
import os
import time

import lib

HOLD = 200000
MILLION = 1000000
SMALL_BYTES = 400
PORTIONS = 4  # a session takes no more than some thousands of messages


def quiet_log(relay):
    """The log goes to memory: it is not what the spool writes."""
    if os.access('/dev/shm', os.W_OK):
        relay.log_path = os.path.join('/dev/shm', os.path.basename(os.path.dirname(relay.data)) + '.log')


def remove_log(relay):
    if relay.log_path.startswith('/dev/shm/') and os.path.exists(relay.log_path):
        os.unlink(relay.log_path)


def new_relay(folder):
    relay = lib.Restante(folder, lib.harness.free_port())
    quiet_log(relay)
    return relay


def disk_bytes(options):
    """What smtp-source sends on the wire after DATA, dots and all, is what was accepted."""
    count = options.count(HOLD, 400)
    with lib.work_folder() as folder:
        relay = new_relay(folder)
        with lib.running(relay):
            before = lib.written_bytes(relay.worker())
            lib.source(relay.port, 200, count)
            os.sync()
            written = lib.written_bytes(relay.worker()) - before
            held = relay.status()['held']['bytes']
        remove_log(relay)
    ratio = written / (count * lib.MESSAGE_BYTES)
    yield ('disk bytes written per byte accepted, hold of %d' % count, '<= 1.15', '%.3f (%.3f of what is held, with its Received '
           'lines)' % (ratio, written / held), ratio <= 1.15)


def start_cold(relay):
    """Milliseconds from the start of the program to the first 250 of a message."""
    os.sync()
    try:
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as file:
            file.write('3\n')
        how = 'cold'
    except OSError:
        how = 'warm: only root can drop caches'
    start = time.monotonic()
    relay.start()
    sender = lib.Sender(relay.port, body_lines=5)
    sender.send()
    seconds = time.monotonic() - start
    sender.close()
    return seconds * 1000, how


def accept_rates(options, relay, figures):
    """Of the full relay and of an empty one, in turns."""
    with lib.work_folder() as folder:
        empty = new_relay(folder)
        with lib.running(empty):
            for _ in range(options.rounds):
                for name, one in ('full', relay), ('empty', empty):
                    count = options.count(20000, 400)
                    figures.add(name, count / lib.source(one.port, 50, count))
        remove_log(empty)


def idle_cpu(relay, seconds):
    before = lib.tree_cpu_s(relay.pid())
    time.sleep(seconds)
    return (lib.tree_cpu_s(relay.pid()) - before) / seconds


def million(options):
    count, figures = options.count(MILLION, 1000), lib.Figures()
    with lib.work_folder() as folder:
        relay = new_relay(folder)
        with lib.running(relay):
            for _ in range(PORTIONS):
                lib.source(relay.port, 100, count // PORTIONS, size=SMALL_BYTES)
            for _ in range(options.rounds):
                relay.stop()
                figures.add('start', (answer := start_cold(relay))[0])
            memory = lib.memory_bytes(relay.worker()) / 2**20
            for _ in range(options.rounds):
                begin = time.monotonic()
                relay.ask('queue', '--limit', '100')
                figures.add('queue', (time.monotonic() - begin) * 1000)
            idle = idle_cpu(relay, options.seconds(20))
            accept_rates(options, relay, figures)
            later = lib.memory_bytes(relay.worker()) / 2**20
        remove_log(relay)
    work = '%d held, small: ' % count
    start, queue = figures.median('start'), figures.median('queue')
    yield work + 'start to first 250', '<= 300 ms, cold', '%.0f ms (%s)' % (start, answer[1]), start <= 300
    yield work + 'RssAnon', '<= 96 MiB', '%.1f MiB at first, %.1f MiB later' % (memory, later), max(memory, later) <= 96
    full, empty = figures.median('full'), figures.median('empty')
    yield work + 'accept', '>= 0.9 x empty', '%.2f x (%.0f/s; empty %.0f/s)' % (full / empty, full, empty), full >= 0.9 * empty
    yield work + 'queue --limit 100', '<= 100 ms', '%.0f ms' % queue, queue <= 100
    yield work + 'idle CPU', '< 1 % of a core', '%.2f %%' % (idle * 100), idle < 0.01


WORKS = {'disk-bytes': disk_bytes, 'million': million}

if __name__ == '__main__':
    lib.main(WORKS, __doc__)
