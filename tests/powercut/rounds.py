#!/usr/bin/python3
"""Power cuts under `restante serve`: senders send, half of the mail is delivered meanwhile, and at one of the syncs the
power goes: what was not synced is kept or reverted by a coin (shim.c). Some cuts follow each other on one folder; then the
relay starts without one, everything is delivered, and what was accepted must be there once, byte for byte.

usage: rounds.py --program RESTANTE --shim LIBPOWERCUT.SO [--rounds N] [--seed N] [--lie log|index|folder|none] [--keep]

--lie makes syncs lie, as a control: then a fault must be found within the rounds, else the run fails. With "none" the fault is
in the program (a build with -DDEFECT_SKIP_SYNC).
The same seed draws the same cuts and mails, but the relay's threads and the senders run as they happen to.
"""
import argparse
import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import peers  # noqa: E402
from ledger import Ledger  # noqa: E402

START_S, ROUND_S, DRAIN_S, STOP_S = 60, 10, 120, 60
LOST = (OSError, asyncio.IncompleteReadError, ValueError)  # what a peer of a relay that dies sees
BAD_WORDS = ('set aside', 'made again', 'ALARM', 'Sanitizer', 'runtime error', 'check failed', 'cannot be', 'was ended by',
             'ended with status', 'damaged')


def free_port():
    """One that stays free while the relay is down: none that the system gives to clients."""
    for _ in range(1000):
        with socket.socket() as s:
            port = random.randrange(10000, 32000)
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass
    raise AssertionError('no port is free')


def preload(program, shim):
    """The sanitizer wants to be first, and calls the shim."""
    libraries = subprocess.run(['ldd', program], capture_output=True, text=True, check=True).stdout
    asan = [line.split()[2] for line in libraries.splitlines() if 'libasan' in line]
    return ' '.join(asan + [shim])


class Chain:
    """A data folder and all that happens to it."""

    def __init__(self, args, seed, sums):
        self.args, self.sums = args, sums
        self.chance = random.Random(seed)
        self.ledger = Ledger(seed)
        self.top = tempfile.mkdtemp(prefix='restante-powercut-')
        self.root, self.aside = self.top + '/root', self.top + '/aside'
        self.data = self.root + '/data'
        self.sink = peers.Sink(self.ledger)
        self.port, self.process, self.log_read = free_port(), None, 0
        os.chmod(self.top, 0o711)
        # As root the worker is somebody else; else the relay makes its folder itself.
        for folder in (self.root, self.aside, self.data)[:3 if os.geteuid() == 0 else 2]:
            os.mkdir(folder)
            os.chmod(folder, 0o777)

    async def run(self, cuts):
        sink = await self.sink.start()
        self.domains = ['--domain', 'open.test=127.0.0.1:%d' % sink, '--domain', 'held.test=127.0.0.1:%d' % sink]
        try:
            if self.chance.random() < 0.1:
                await self.begin_again()
            for _ in range(cuts):
                await self.cut_round()
                if self.ledger.faults:
                    return
            await self.last_round()
        finally:
            if self.process is not None and self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
            self.sink.server.close()
            self.sums['accepted'] += self.ledger.count('accepted')
            self.sums['delivered'] += sum(bool(mail.delivered) for mail in self.ledger.mails)
            self.sums['twice'] += self.ledger.duplicates
            if not (self.args.keep and self.ledger.faults):
                shutil.rmtree(self.top, ignore_errors=True)

    # --- the relay

    def _environment(self, at):
        every = self.chance.random() < 0.4
        return dict(os.environ, LD_PRELOAD=preload(self.args.program, self.args.shim), POWERCUT_ROOT=self.root,
                    POWERCUT_ASIDE=self.aside, POWERCUT_AT=str(at * 2 if every else at), POWERCUT_COUNT='all' if every else 'syncs',
                    POWERCUT_SEED=str(self.chance.getrandbits(60)), POWERCUT_UNIT=self.chance.choice(('512', '4096')),
                    POWERCUT_LIE=self.args.lie or '', POWERCUT_REPORT=self.top + '/cut')

    async def start(self, at):
        """Whether it began to serve; else it met its cut before."""
        with open(self.top + '/log', 'ab') as log:
            self.process = await asyncio.create_subprocess_exec(
                self.args.program, 'serve', '--data', self.data, '--listen', '127.0.0.1:%d' % self.port, '--hostname',
                'relay.test', *self.domains, stdout=subprocess.PIPE, stderr=log, start_new_session=True, env=self._environment(at))
        try:
            async with asyncio.timeout(START_S):
                while line := await self.process.stdout.readline():
                    if line.startswith(b'  next'):
                        return True
        except TimeoutError:
            self.ledger.fault('the relay does not start')
        return False

    def read_log(self, was_cut):
        with open(self.top + '/log', encoding='utf-8', errors='replace') as file:
            file.seek(self.log_read)
            text = file.read()
            self.log_read = file.tell()
        self.log_end = text[-500:]
        for line in text.splitlines():
            if was_cut and 'was ended by signal 9' in line:
                continue
            if any(word in line for word in BAD_WORDS):
                self.ledger.fault('the log says: ' + line)

    async def stop(self):
        self.process.terminate()
        status = await asyncio.wait_for(self.process.wait(), STOP_S)
        await self.process.stdout.read()
        if status != 0:
            self.ledger.fault('the relay ends with %d' % status)
        self.read_log(False)

    async def begin_again(self):
        """Somebody removes the spool, and nothing else."""
        if await self.start(0):
            await self.stop()
            shutil.rmtree(self.data + '/spool')

    # --- a round that ends with a cut

    async def cut_round(self):
        self.ledger.round += 1
        self.sums['rounds'] += 1
        at = self.chance.randint(1, 40) if self.chance.random() < 0.25 else self.chance.randint(5, 300)
        serves = await self.start(at)
        work = [asyncio.create_task(self.traffic(i)) for i in range(self.chance.randint(1, 12))] if serves else []
        work += [asyncio.create_task(self.watch()), asyncio.create_task(self.remove())] if serves else []
        try:
            await asyncio.wait_for(self.process.wait(), ROUND_S)
        except asyncio.TimeoutError:
            self.process.kill()  # and the worker with it: a kill without a cut
            await self.process.wait()
        await self.process.stdout.read()  # its end: nobody of the relay is left, and the cut is done
        for task in work:
            task.cancel()
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        self._count_cut()

    def _count_cut(self):
        with open(self.top + '/cut', encoding='ascii') as file:
            words = file.read().replace(',', '').replace(':', '').split()
        self.sums['cuts' if words else 'kills'] += 1
        for i, word in enumerate(words):
            if word in ('units', 'sizes', 'names'):
                self.sums[word + ' kept'] += int(words[i + 2])
                self.sums[word + ' lost'] += int(words[i + 4])
        self.read_log(True)
        if self.process.returncode != -signal.SIGKILL:
            self.ledger.fault('the relay ended by itself with %d: %s' % (self.process.returncode, self.log_end))
        for name in os.listdir(self.aside):
            path = os.path.join(self.aside, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    async def traffic(self, number):
        while True:
            try:
                if not self.ledger.on_hold and number == 0:
                    status, _ = await peers.api(self.data, 'POST', '/v1/domains/held.test/hold')
                    self.ledger.on_hold = status == 200
                await peers.send(self.ledger, self.port, self.chance.randint(1, 20))
            except LOST:
                await asyncio.sleep(0.01)

    async def watch(self):
        """Reads which recipients have ended: these must not come back."""
        since = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - 2))
        while True:
            await asyncio.sleep(self.chance.random() * 0.1)
            try:
                await self.read_ends(since)
            except LOST:
                pass

    async def read_ends(self, since):
        status, answer = await peers.api(self.data, 'GET', '/v1/trace?limit=1000&since=' + since)
        for end in answer['ends'] if status == 200 else []:
            self.ledger.end_seen(end['reverse_path'], end['forward_path'], end['state'])

    async def remove(self):
        """Removes some of what is on hold."""
        while True:
            await asyncio.sleep(self.chance.random() * 0.2)
            try:
                status, answer = await peers.api(self.data, 'GET', '/v1/queue?domain=held.test&limit=20')
                if status == 200 and answer['messages']:
                    await self.remove_one(self.chance.choice(answer['messages']))
            except LOST:
                pass

    async def remove_one(self, message):
        mail = self.ledger.mail_of(message['reverse_path'])
        mail.removing = True
        status, _ = await peers.api(self.data, 'DELETE', '/v1/messages/' + message['id'])
        if status == 200:
            for recipient in mail.recipients:
                mail.ended[recipient] = 'removed in round %d' % self.ledger.round

    # --- the last one

    async def last_round(self):
        self.ledger.round += 1
        if not await self.start(0):
            await self.process.wait()
            self.read_log(False)
            self.ledger.fault('the relay does not start: ' + self.log_end)
            return
        held = await self.drained(lambda held: all(r.endswith('@held.test') for _, r in held))
        self.ledger.judge(held)
        self.ledger.on_hold = False
        await peers.api(self.data, 'POST', '/v1/domains/held.test/resume')
        self.ledger.judge(await self.drained(lambda held: not held))
        await self.check_sums()
        await self.stop()

    async def drained(self, enough):
        end = time.monotonic() + DRAIN_S
        while True:
            held, _ = await peers.all_held(self.data)
            if enough(held):
                return held
            if time.monotonic() > end:
                self.ledger.fault('not drained after %d s: %s' % (DRAIN_S, sorted(held)[:5]))
                return held
            await asyncio.sleep(0.02)

    async def check_sums(self):
        _, status = await peers.api(self.data, 'GET', '/v1/status')
        totals, low, high = status['totals'], self.ledger.recipients('accepted'), self.ledger.recipients('accepted', 'dot')
        if totals['accepted'] != totals['queued'] + totals['ended'] or not low <= totals['accepted'] <= high:
            self.ledger.fault('the sums are wrong: %s, and %d to %d were accepted' % (totals, low, high))


# --- all of it ---------------------------------------------------------------------------------------------------------

async def play(args):
    """The first chain with faults, or None."""
    chance = random.Random(args.seed)
    sums = dict.fromkeys(('rounds', 'cuts', 'kills', 'chains', 'accepted', 'delivered', 'twice', 'units kept', 'units lost',
                          'sizes kept', 'sizes lost', 'names kept', 'names lost'), 0)
    start = time.monotonic()
    while sums['rounds'] < args.rounds:
        chain = Chain(args, chance.getrandbits(60), sums)
        sums['chains'] += 1
        await chain.run(min(chance.randint(1, args.chain), args.rounds - sums['rounds']))
        if chain.ledger.faults:
            report(sums, start)
            return chain
        if args.verbose:
            report(sums, start)
    report(sums, start)
    return None


def report(sums, start):
    print('%.0f s: ' % (time.monotonic() - start) + ', '.join('%s %d' % item for item in sums.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--program', required=True)
    parser.add_argument('--shim', required=True)
    parser.add_argument('--rounds', type=int, default=12)
    parser.add_argument('--chain', type=int, default=6, help='at most so many cuts of one folder')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--lie')
    parser.add_argument('--keep', action='store_true', help='the folder of a chain with faults')
    parser.add_argument('--verbose', action='store_true')
    args = parser.parse_args()
    args.program, args.shim = os.path.realpath(args.program), os.path.realpath(args.shim)
    chain = asyncio.run(play(args))
    for fault in chain.ledger.faults[:20] if chain else []:
        print('FAULT ' + fault)
    if chain and args.keep:
        print('folder: ' + chain.top)
    if args.lie:
        print('the lie was %s' % ('caught' if chain else 'NOT caught'))
    sys.exit(1 if bool(chain) != bool(args.lie) else 0)


if __name__ == '__main__':
    main()
