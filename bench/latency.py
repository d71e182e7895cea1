#!/usr/bin/python3
"""How long a sender waits for its 250 while the relay is busy with something else.

upkeep: a backlog drains, the index is checkpointed and segments are compacted (nine tenths of the backlog go, one tenth stays, all
mixed). slow-senders: 1,000 senders of 50 MB each, on slow lines; the relay's memory meanwhile.
"""
import asyncio
import multiprocessing
import os
import threading
import time

import lib

BACKLOG = 120000
SLOW_SENDERS = 1000
SLOW_BYTES = 50 * 1000 * 1000
SLOW_BYTES_PER_S = 40000  # for each
SENDERS_PER_ADDRESS = 100
PIECE_EVERY_S = 0.5
PROBE_EVERY_S = 0.02


class Probe(threading.Thread):
    """Sends a message now and then, and notes how long each took: milliseconds from MAIL to the 250 of the dot."""

    def __init__(self, port, recipient):
        super().__init__(daemon=True)
        self.port, self.recipient = port, recipient
        self.times_ms, self.error = [], None
        self._over = threading.Event()

    def run(self):
        try:
            sender = lib.Sender(self.port)
            while not self._over.wait(PROBE_EVERY_S):
                start, end = sender.send(recipient=self.recipient)
                self.times_ms.append((end - start) * 1000)
            sender.close()
        except Exception as error:  # told by the one that waits
            self.error = error

    def end(self):
        self._over.set()
        self.join(120)
        if self.error is not None:
            raise self.error
        return self.times_ms


def quiet_times(port, recipient, seconds):
    probe = Probe(port, recipient)
    probe.start()
    time.sleep(seconds)  # the length of the measurement
    return probe.end()


def fill(relay, count):
    """Nine of ten for example.com, one for stays.example.com, in turns of a hundredth."""
    for _ in range(100):
        for name, part in ('example.com', 900), ('stays.example.com', 100):
            done = lib.harness.run(lib.harness.peer('usr/sbin/smtp-source'), '-d', '-l', str(lib.MESSAGE_BYTES), '-s', '20',
                                   '-m', str(max(1, count * part // 100000)), '-f', 'alice@example.net', '-t', 'bob@' + name,
                                   '127.0.0.1:%d' % relay.port, env=lib.harness.peer_environment(), timeout=600)
            assert done.returncode == 0, done.stderr


def p99(times):
    return lib.percentile(times, 0.99)


def upkeep(options):
    count = options.count(BACKLOG, 1000)
    figures = lib.Figures()
    for _ in range(options.rounds):
        with lib.work_folder() as folder:
            sink = lib.Sink()
            dead = lib.harness.free_port()
            relay = lib.Restante(folder, sink.port, '--domain', 'stays.example.com=127.0.0.1:%d' % dead)
            with lib.running(relay):
                fill(relay, count)
                held = lib.harness.wait_until(relay.held, 60, 'mail is held')
                figures.add('quiet', p99(quiet_times(relay.port, b'bob@stays.example.com', options.seconds(20))))
                with lib.running(sink):
                    probe = Probe(relay.port, b'bob@stays.example.com')
                    probe.start()
                    relay.flush()
                    going = held - held // 10
                    lib.harness.wait_until(lambda: sink.count() >= going - 100, 1800, 'the backlog has gone')
                    time.sleep(options.seconds(5))  # compaction goes on
                    figures.add('busy', p99(probe.end()))
    quiet, busy = figures.median('quiet'), figures.median('busy')
    yield ('accept p99 during drain, checkpoint and compaction', '<= 3 x quiet', '%.1f x (%.1f ms; quiet %.1f ms)' % (
        busy / quiet, busy, quiet), busy <= 3 * quiet)


# --- slow senders ------------------------------------------------------------------------------------------------------

async def slow_sender(port, address, seconds, sent):
    reader, writer = await asyncio.open_connection('127.0.0.1', port, local_addr=(address, 0))
    try:
        async def say(line):
            writer.write(line)
            while (answer := await reader.readline())[3:4] == b'-':
                pass
            assert answer[:1] in (b'2', b'3'), answer
        await reader.readline()
        for line in (b'EHLO sender.example.net', b'MAIL FROM:<alice@example.net> SIZE=%d' % SLOW_BYTES,
                     b'RCPT TO:<bob@example.com>', b'DATA'):
            await say(line + b'\r\n')
        piece = (b'x' * 70 + b'\r\n') * int(SLOW_BYTES_PER_S * PIECE_EVERY_S / 72)
        end = time.monotonic() + seconds
        left = SLOW_BYTES
        while left > 0 and time.monotonic() < end:
            writer.write(piece)
            await writer.drain()
            sent[0] += len(piece)
            left -= len(piece)
            await asyncio.sleep(PIECE_EVERY_S)
        if left <= 0:
            await say(b'.\r\n')
    finally:
        writer.close()


class SlowSenders:
    """In a process of their own: a thread beside the probe would make it wait for the interpreter, and that would be measured."""

    def __init__(self, port, count, seconds):
        self.port, self.count, self.seconds = port, count, seconds
        self.result, out = multiprocessing.Pipe(False)
        self.process = multiprocessing.get_context('fork').Process(target=self._run, args=(out,), daemon=True)
        self.process.start()
        out.close()

    def _run(self, out):
        sent = [0]

        async def one(number):
            await asyncio.sleep(PIECE_EVERY_S * number / self.count)  # lines are not slow in step
            await slow_sender(self.port, '127.0.2.%d' % (1 + number // SENDERS_PER_ADDRESS), self.seconds, sent)

        async def all_of_them():
            return await asyncio.gather(*[one(i) for i in range(self.count)], return_exceptions=True)
        results = asyncio.run(all_of_them())
        out.send((sent[0], sum(isinstance(result, BaseException) for result in results)))

    def wait(self, seconds):
        """True: they are through."""
        return self.result.poll(seconds)

    def end(self):
        """Bytes that they sent, and how many of them failed."""
        answer = self.result.recv()
        self.process.join()
        return answer


def slow_senders(options):
    """Each is cut off after a minute, or RESTANTE_BENCH_SLOW_S seconds: all of them would be 50 GB."""
    count = options.count(SLOW_SENDERS, 10)
    seconds = float(os.environ.get('RESTANTE_BENCH_SLOW_S', options.seconds(60)))
    lib.raise_descriptors(count + 1000)
    with lib.work_folder() as folder:
        relay = lib.Restante(folder, lib.harness.free_port())
        with lib.running(relay):
            quiet = quiet_times(relay.port, b'bob@example.com', min(seconds, 20))
            before = lib.memory_bytes(relay.worker())
            senders = SlowSenders(relay.port, count, seconds)
            probe = Probe(relay.port, b'bob@example.com')
            probe.start()
            most = before
            while not senders.wait(0.2):
                most = max(most, lib.memory_bytes(relay.worker()))
            busy = probe.end()
            sent, failed = senders.end()
    work = '%d slow senders of 50 MB, each cut off after %.3g s' % (count, seconds)
    yield (work + ': resident memory', 'bounded: <= 64 MiB of bodies + 64 KiB a session',
           '%.0f MiB more (%.1f MB came in, %d senders failed)' % ((most - before) / 2**20, sent / 1e6, failed),
           most - before <= (64 << 20) + count * 65536 and failed == 0)
    yield (work + ": others' p99", '<= 3 x quiet', '%.1f x (%.1f ms; quiet %.1f ms)' % (
        p99(busy) / p99(quiet), p99(busy), p99(quiet)), p99(busy) <= 3 * p99(quiet))


WORKS = {'upkeep': upkeep, 'slow-senders': slow_senders}

if __name__ == '__main__':
    lib.main(WORKS, __doc__)
