#!/usr/bin/python3
"""Draining what is held: restante's feed, Postfix's flush, and smtp-source straight, each into a fast smtp-sink.

The rate is counted from the first message that arrives to the last one.
"""
import lib

HELD = 40000


def fill(relay, count):
    """Has it hold so many messages; Postfix has tried each of them once."""
    lib.source(relay.port, 50, count)
    settled = getattr(relay, 'settled', lambda: True)
    lib.harness.wait_until(lambda: settled() and relay.waiting() == count, 600, 'all are held')


def drain(kind, count, figures):
    with lib.work_folder() as folder:
        port = lib.harness.free_port()
        relay, sink = kind(folder, port), lib.Sink(port)
        with lib.running(relay):
            fill(relay, count)
            with lib.running(sink):
                cpu_s = lib.tree_cpu_s(relay.pid())
                relay.flush()
                lib.harness.wait_until(lambda: sink.count() >= count, 1800, 'all have arrived')
                figures.add(kind.name, count / max(sink.last_s - sink.first_s, 1e-3))
                figures.add(kind.name + ' CPU', (lib.tree_cpu_s(relay.pid()) - cpu_s) / count * 1000)


def straight(count, figures):
    sink = lib.Sink()
    with lib.running(sink):
        lib.source(sink.port, 50, count)
        lib.harness.wait_until(lambda: sink.count() >= count, 60, 'all have arrived')
        figures.add('smtp-source', count / max(sink.last_s - sink.first_s, 1e-3))


def to_a_sink(options):
    figures = lib.Figures()
    for _ in range(options.rounds):
        drain(lib.Restante, options.count(HELD), figures)
        drain(lib.Postfix, options.count(HELD // 10), figures)
        straight(options.count(HELD), figures)
    ours, flush, direct = (figures.median(name) for name in ('restante', 'postfix', 'smtp-source'))
    yield ('drain to a fast smtp-sink', ">= min(5 x Postfix's flush, 0.8 x smtp-source straight)",
           '%.2f x flush, %.2f x straight (%.0f/s; flush %.0f/s; straight %.0f/s)' % (
               ours / flush, ours / direct, ours, flush, direct), ours >= min(5 * flush, 0.8 * direct))
    yield ('CPU per 1,000 drained, all processes', '-', '%.3f s; postfix %.3f s' % (
        figures.median('restante CPU'), figures.median('postfix CPU')), None)


WORKS = {'drain': to_a_sink}

if __name__ == '__main__':
    lib.main(WORKS, __doc__)
