"""One scenario with one program, in real time: warm-up, outage, backlog, and the server comes back as its model."""
import collections
import random
import sys
import threading
import time

from fake import FakeServer, harness, oracle_s
import lib  # noqa: E402  (programs.py has set the path)

WARM_NUMBER = 1 << 40
FRESH_NUMBER = 1 << 41
WARM_MESSAGES = 200  # it knows the server and its recipients then
RECIPIENTS = 50
SENDERS = 10
BODY_LINES = 20
ONE_SUBMITS = threading.Lock()  # so that plays do not slow each other down
OVER = threading.Event()  # somebody has had enough
BOUNCE_TURNS = 50  # every ten seconds it is seen whether all that is missing was bounced


def pause(seconds):
    if OVER.wait(max(0, seconds)):
        raise InterruptedError('ended by hand')


def recipient(scenario, number):
    if scenario.model == 'M8' and number % 50 == 7:
        return b'full%d@example.com' % number
    return b'user%d@example.com' % (number % RECIPIENTS)


def send_all(program, numbers, recipients):
    """Several connections; returns when all are accepted."""
    failures = []

    def run(part):
        try:
            sender = lib.Sender(program.port, body_lines=BODY_LINES)
            for i in part:
                sender.send(numbers[i], recipients[i])
            sender.close()
        except (OSError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(range(i, len(numbers), SENDERS),)) for i in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


class Fresh:
    """Mail that arrives by chance while the backlog is delivered, each on a connection of its own."""

    def __init__(self, program, per_s, seed):
        self.program = program
        self.per_s = per_s
        self.random = random.Random(seed)
        self.sent = {}  # number: when
        self.failed = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        number = FRESH_NUMBER
        while not self.ended.wait(self.random.expovariate(self.per_s)):
            number += 1
            threading.Thread(target=self._send, args=(number,), daemon=True).start()

    def _send(self, number):
        begun = time.monotonic()
        try:
            sender = lib.Sender(self.program.port, body_lines=BODY_LINES)
            sender.send(number, b'user%d@example.com' % (number % RECIPIENTS))
            self.sent[number] = begun
            sender.close()
        except (OSError, AssertionError):
            self.failed += 1

    def stop(self):
        self.ended.set()
        self.thread.join()


class Sampler:
    """Asks the program how it is."""

    def __init__(self, program):
        self.program = program
        self.samples = []  # (time, what it said)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(self.program.every_s):
            try:
                self.samples.append((time.monotonic(), self.program.sample()))
            except OSError as error:
                print('no sample: %s' % error, file=sys.stderr)

    def stop(self):
        self.ended.set()
        self.thread.join()


class Play:
    """The figures of one play. Times are seconds since the server came back; able_s is when it could take mail."""

    def __init__(self, scenario, program, outage_s, limit_s, seed):
        self.scenario = scenario
        self.kind = program
        self.program = program.name
        self.outage_s = outage_s
        self.limit_s = limit_s
        self.seed = seed
        self.able_s = scenario.full_s or 0
        self.oracle_s = oracle_s(scenario.model, scenario.backlog, scenario.fresh_per_s, seed, scenario.full_s)

    def run(self):
        with lib.work_folder() as folder, FakeServer(self.scenario.model, self.seed, self.scenario.full_s) as server:
            program = self.kind(folder, server.port)
            try:
                program.start()
                self._play(server, program)
            except BaseException:
                print('--- %s, %s\n%s' % (self.scenario.name, self.program, program.log_text()[-3000:]), file=sys.stderr)
                raise
            finally:
                program.stop()
        return self

    def _play(self, server, program):
        scenario = self.scenario
        warm = [WARM_NUMBER + i for i in range(WARM_MESSAGES)]
        with ONE_SUBMITS:
            send_all(program, warm, [b'user%d@example.com' % (i % RECIPIENTS) for i in range(WARM_MESSAGES)])
        harness.wait_until(lambda: len(server.delivered) >= WARM_MESSAGES, 120, 'the warm-up is delivered')
        server.down()
        down_at = time.monotonic()
        numbers = list(range(1, scenario.backlog + 1))
        with ONE_SUBMITS:
            send_all(program, numbers, [recipient(scenario, number) for number in numbers])
        pause(down_at + self.outage_s - time.monotonic())
        program.hurry()
        with server.lock:
            server.delivered.clear()
            server.refusals.clear()
        back_at = server.up()
        fresh = Fresh(program, scenario.fresh_per_s, self.seed)
        sampler = Sampler(program)
        missing = {number for number in numbers if not recipient(scenario, number).startswith(b'full')}
        seen = turns = 0
        while missing and time.monotonic() < back_at + self.limit_s:
            pause(0.2)
            turns += 1
            if turns % BOUNCE_TURNS == 0 and program.bounced() >= len(missing):
                break  # nothing more will come
            with server.lock:
                missing.difference_update(number for _, number in server.delivered[seen:])
                seen = len(server.delivered)
        fresh.stop()
        sampler.stop()
        self._measure(server, program, fresh, sampler, back_at, len(missing))

    def _measure(self, server, program, fresh, sampler, back_at, missing):
        with server.lock:
            delivered = [(when - back_at, number) for when, number in server.delivered]
            refusals = [(when - back_at, why) for when, why in server.refusals]
            self.server = [(when - back_at, *rest) for when, *rest in server.samples if when >= back_at]
            self.crashes = len([when for when in server.crashes if when >= back_at])
        times = collections.defaultdict(list)
        for when, number in delivered:
            times[number].append(when)
        backlog = [when[0] for number, when in times.items() if number <= self.scenario.backlog]
        self.delivered = delivered
        self.missing = missing
        self.first_s = delivered[0][0] - self.able_s if delivered else None
        self.in_5s = sum(when <= delivered[0][0] + 5 for when, _ in delivered) if delivered else 0
        self.drain_s = max(backlog) if backlog and not missing else None
        self.ratio = self.drain_s / self.oracle_s if self.drain_s else None
        self.twice = sum(len(when) - 1 for when in times.values())
        # Those from before it could take mail are what it costs to find out.
        self.refusals = 1000 * sum(when >= self.able_s and why != 'mailbox' for when, why in refusals) / max(1, len(delivered))
        self.probes = sum(when < self.able_s for when, _ in refusals)
        delays = [times[number][0] - (sent - back_at) for number, sent in fresh.sent.items()
                  if number in times and times[number][0] >= self.able_s]
        waiting = [time.monotonic() - sent for number, sent in fresh.sent.items() if number not in times]
        self.fresh_s = lib.percentile(delays + waiting, 0.99) if delays or waiting else None
        self.fresh_failed = fresh.failed
        self.bounced = program.bounced()
        self.samples = [(when - back_at, sample) for when, sample in sampler.samples]
        refusing = [when for when, sample in self.samples if sample.get('domain') == 'refusing']
        self.refusing_s = refusing[0] if refusing else None
        self.downs = sum(a[1].get('state') == 'up' and b[1].get('state') == 'down' for a, b in zip(self.samples, self.samples[1:]))

    def misses(self):
        """The bars that are not reached, in words."""
        found = []
        if self.missing:
            found.append('%d not delivered' % self.missing)
        for what in 'crashes', 'bounced', 'twice':
            if getattr(self, what):
                found.append('%s %d' % (what, getattr(self, what)))
        for what, bar in self.scenario.bars.items():
            value = getattr(self, what)
            if bar is not None and value is not None and value > bar:
                found.append('%s %.3g > %g' % (what, value, bar))
        return found
