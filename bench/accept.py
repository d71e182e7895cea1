#!/usr/bin/python3
"""Accepting mail whose destination is down: restante, Debian's Postfix, and smtp-sink, which stores nothing.

All get the same from smtp-source, in turns: restante, Postfix, smtp-sink, restante, ... Each run has a new, empty queue.
"""
import lib

# Usual numbers of messages: so many that a run takes seconds.
COUNTS = {'restante': 40000, 'smtp-sink': 40000, 'postfix': 4000}
SLOW = 8  # one connection, or a new one for each message: so many times fewer


def one(kind, connections, count, reuse, figures, count_syncs):
    with lib.work_folder() as folder:
        relay = lib.Sink(counts=False) if kind is lib.Sink else kind(folder, lib.harness.free_port())
        with lib.running(relay):
            lib.source(relay.port, connections, max(connections, count // 20), reuse)  # warm
            syncs = lib.SyncCount(relay.worker()) if count_syncs else None
            cpu_s = lib.tree_cpu_s(relay.pid())
            seconds = lib.source(relay.port, connections, count, reuse)
            figures.add(kind.name + ' CPU', (lib.tree_cpu_s(relay.pid()) - cpu_s) / count * 1000)
            figures.add(kind.name, count / seconds)
            if syncs is not None:
                counted = syncs.stop()
                figures.add('syncs', None if counted is None else counted / count)
                figures.how = syncs.how


def compare(options, connections, reuse=True, kinds=(lib.Restante, lib.Postfix, lib.Sink), slow=1):
    figures = lib.Figures()
    for _ in range(options.rounds):
        for kind in kinds:
            count = options.count(COUNTS[kind.name] // slow, 4 * connections)
            one(kind, connections, count, reuse, figures, False)
    return figures


def row(work, bar, figures, other, factor):
    ours, theirs = figures.median('restante'), figures.median(other)
    measured = '%.2f x (%.0f/s; %s %.0f/s)' % (ours / theirs, ours, other, theirs)
    return work, bar, measured, ours >= factor * theirs


def connections(options, number):
    figures = compare(options, number)
    work = 'accept, destination down, %d connections' % number
    yield row(work, '>= 10 x Postfix', figures, 'postfix', 10)
    yield row(work, '>= 0.7 x smtp-sink; goal 0.9', figures, 'smtp-sink', 0.7)
    ours, theirs = figures.median('restante CPU'), figures.median('postfix CPU')
    yield ('CPU per 1,000 accepted, all processes, %d connections' % number, '<= 1/12 of Postfix',
           '1/%.1f (%.3f s; postfix %.3f s; smtp-sink %.3f s)' % (
               theirs / max(ours, 1e-9), ours, theirs, figures.median('smtp-sink CPU')), ours <= theirs / 12)


def new_connections(options):
    figures = compare(options, 20, reuse=False, slow=SLOW)
    work = 'accept, a new connection per message, 20 at a time'
    yield row(work, '>= 10 x Postfix', figures, 'postfix', 10)
    yield row(work, '(what smtp-source can: smtp-sink)', figures, 'smtp-sink', 0.7)


def one_connection(options):
    figures = compare(options, 1, kinds=(lib.Restante, lib.Postfix), slow=SLOW)
    yield row('accept, one connection', '>= 2 x Postfix', figures, 'postfix', 2)


def syncs(options):
    figures = lib.Figures()
    for _ in range(options.rounds):
        one(lib.Restante, 200, options.count(20000, 400), True, figures, True)
    value = figures.median('syncs')
    if value is None:
        yield 'fsyncs per message, 200 connections', '<= 0.1', 'neither perf nor strace can count', None
    else:
        yield 'fsyncs per message, 200 connections', '<= 0.1', '%.3f (%s)' % (value, figures.how), value <= 0.1


WORKS = {
    'accept-200': lambda options: connections(options, 200),
    'accept-20': lambda options: connections(options, 20),
    'accept-new': new_connections,
    'accept-1': one_connection,
    'syncs': syncs,
}

if __name__ == '__main__':
    lib.main(WORKS, __doc__)
