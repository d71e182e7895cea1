#!/usr/bin/python3
"""A call that writes or syncs the log or the index fails under the program (tests/powercut/faults.c): nobody is told 250 for what
is not there afterwards, and what was refused is not.

--all: more places, and faults that stay (each leaves one sender without a reply). The program is restante_small, so that the
index is written all the time.
"""
import errno
import os
import smtplib
import subprocess
import sys
import time

import harness
from harness import Case, main, send_smtplib, wait_until
from smalldisk import names_of

ALL = '--all' in sys.argv
MAILS_MAX = 400  # until the fault comes
PATIENCE_S = 10  # for a reply that may never come


def preload(shim):
    """The sanitizer wants to be first, and calls the shim."""
    libraries = subprocess.run(['ldd', harness.BINARY], capture_output=True, text=True, check=True).stdout
    asan = [line.split()[2] for line in libraries.splitlines() if 'libasan' in line]
    return ' '.join(asan + [shim])


class Faults(Case):

    def send(self, number):
        """Sends one, and notes what its sender was told; False: not 250."""
        name = 'm%d' % number
        content = b'Subject: %s\r\n\r\n%s' % (name.encode(), (b'x' * 70 + b'\r\n') * (number * 70 % 600))
        try:
            send_smtplib(self.relay_, content, timeout=PATIENCE_S if ALL else 60)
            self.accepted.append(name)
            return True
        except smtplib.SMTPResponseException as error:
            self.assertTrue(400 <= error.smtp_code < 500, error)
            self.refused.append(name)
        except OSError:
            self.doubtful.append(name)
        return False

    def begin(self, file, call, at, error, for_good):
        """A relay with a fault ahead of it, and nobody who takes its mail."""
        self.accepted, self.refused, self.doubtful = [], [], []
        self.destination_ = self.destination()
        report = os.path.join(self.folder, 'report')
        self.relay_ = self.relay('--domain', 'example.com=127.0.0.1:%d' % self.destination_.port)
        self.relay_.environment = dict(
            os.environ, LD_PRELOAD=preload(os.environ['RESTANTE_FAULTS']), FAULT_FILE=file, FAULT_CALL=call, FAULT_AT=str(at),
            FAULT_ERROR=str(error), FAULT_FOR_GOOD='1' if for_good else '0', FAULT_REPORT=report)
        self.relay_.start()
        sent = 0
        while os.path.getsize(report) == 0:
            sent += 1
            self.send(sent)
            self.assertLess(sent, MAILS_MAX, 'the fault comes')
        return sent

    def check_dead(self, sent):
        numbers = iter(range(sent + 1, sent + MAILS_MAX))
        # What fails beside the loop, it hears of a moment later.
        wait_until(lambda: not self.send(next(numbers)), 60, 'mail is refused')

        def refused_and_said():
            self.assertFalse(self.send(next(numbers)))
            time.sleep(0.05)
            return self.relay_.status()['space']['state'] == 'failed'
        wait_until(refused_and_said, 60, 'status says it, when somebody sends')
        self.assertIn('the disk failed', self.relay_.log())

    def check_alive(self, sent):
        numbers = iter(range(sent + 1, sent + MAILS_MAX))
        wait_until(lambda: self.send(next(numbers)), 60, 'mail is taken again')
        self.assertNotEqual(self.relay_.status()['space']['state'], 'failed')

    def check_either(self, sent):
        """The last page of a commit of the index has no room: then LMDB gives up, and that is said (doc/spool.md)."""
        numbers = iter(range(sent + 1, sent + 20 * MAILS_MAX))

        def failed():
            return self.relay_.status()['space']['state'] == 'failed'
        wait_until(lambda: self.send(next(numbers)) or failed(), 60, 'mail is taken again, or status says why not')
        if failed():
            self.assertIn('the disk failed', self.relay_.log())

    def check_afterwards(self, kill):
        """Repaired and started again, it has all that was accepted and nothing that was refused."""
        if kill:
            self.relay_.kill()
        else:
            self.relay_.stop()
        seen = len(self.relay_.log())
        self.relay_.environment = None
        self.destination_.start()  # before it is tried
        self.relay_.start()
        self.assertTrue(self.send(9999))
        wait_until(lambda: self.relay_.held() == 0, 120, 'all is delivered')
        arrived = names_of(self.destination_)
        self.assertEqual(len(arrived), len(set(arrived)), 'each once')
        self.assertEqual(set(self.accepted) - set(arrived), set(), 'accepted and lost')
        self.assertEqual(set(arrived) & set(self.refused), set(), 'refused and delivered')
        for word in ('set aside', 'made again', 'damaged'):
            self.assertFalse(word in self.relay_.log()[seen:], word)

    def play(self, file, call, error, places, check=None, for_good=False):
        check = check or self.check_dead
        for at in places:
            with self.subTest(file=file, call=call, error=errno.errorcode.get(error, 'short'), at=at, for_good=for_good):
                self.setUp()
                sent = self.begin(file, call, at, error, for_good)
                check(sent)
                self.check_afterwards(kill=at % 2 == 0)
                self.doCleanups()

    def places(self, *few):
        return range(1, 40) if ALL else few

    def test_a_write_to_the_log(self):
        self.play('log', 'write', errno.EIO, self.places(3, 12))
        self.play('log', 'write', errno.EROFS, self.places(4))

    def test_a_sync_of_the_log(self):
        self.play('log', 'sync', errno.EIO, self.places(2, 11))

    def test_a_sync_of_the_folder(self):
        self.play('folder', 'sync', errno.EIO, range(2, 12) if ALL else (2,))

    def test_a_short_write_is_gone_on_with(self):
        self.play('log', 'write', 0, self.places(5), self.check_alive, for_good=True)

    def test_a_moment_without_space(self):
        self.play('log', 'write', errno.ENOSPC, self.places(6), self.check_alive)
        self.play('index', 'write', errno.ENOSPC, range(12, 60) if ALL else (14,), self.check_either)

    def test_a_write_or_sync_of_the_index(self):
        self.play('index', 'write', errno.EIO, range(12, 60) if ALL else (15,))
        self.play('index', 'sync', errno.EIO, range(4, 30) if ALL else (5,))

    def test_faults_that_stay(self):
        if not ALL:
            self.skipTest('with --all')
        for call in ('write', 'sync'):
            self.play('log', call, errno.EIO, range(2, 20, 3), for_good=True)
            self.play('index', call, errno.EIO, range(8, 40, 3), for_good=True)


if __name__ == '__main__':
    if ALL:
        sys.argv.remove('--all')
    main()
