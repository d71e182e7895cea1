#!/usr/bin/python3
"""What an administrator does with a spool: look at it, mend it, get the mail out and in again, with and without us."""
import glob
import json
import mailbox
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import BINARY, COMMAND_S, HERE, Case, free_port, main, run, send_smtplib

PAGE = os.path.join(HERE, '..', '..', 'doc', 'spool.md')
LARGE = b''.join(b'line %d of a message that takes more than one frame\r\n' % i for i in range(6000))
CONTENTS = (
    b'Subject: plain\r\n\r\nhello\r\n',
    b'Subject: quoting\r\n\r\nFrom here\r\n>From there\r\n>>From\r\n> From\r\nFrom\r\n\r\nFrom the end\r\n',
    b'Subject: bytes\r\n\r\n' + bytes(i for i in range(1, 256) if i not in (10, 13)) + b'\r\n\r\n\r\n',
    b'Subject: large\r\n\r\n' + LARGE,
    b'Subject: empty\r\n\r\n',
)


def read_mail(folder):
    """The bytes of the files that the program of doc/spool.md wrote, by id."""
    result = {}
    for path in glob.glob(os.path.join(folder, '*.eml')):
        with open(path, 'rb') as file:
            result[os.path.basename(path)[:16]] = file.read()
    return result


def read_export(folder):
    """[(envelope without its id and file, bytes)] of a Maildir export."""
    result = []
    with open(os.path.join(folder, 'envelopes.jsonl'), encoding='utf-8') as file:
        for line in file:
            envelope = json.loads(line)
            envelope.pop('id')
            with open(os.path.join(folder, 'new', envelope.pop('file')), 'rb') as content:
                result.append((envelope, content.read()))
    return result


class Spool(Case):

    def command(self, *args, data=None, status=0):
        done = run(BINARY, *args, '--data', data or self.data)
        self.assertEqual(done.returncode, status, '%s: %s%s' % (args, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def path(self, name):
        return os.path.join(self.folder, name)

    def fill(self, copies=1):
        """A stopped spool with mail for a server that is down."""
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % free_port(),
                           '--domain', 'example.org=127.0.0.1:%d' % free_port()).start()
        self.data = relay.data
        for _ in range(copies):
            for content in CONTENTS:
                send_smtplib(relay, content)
            send_smtplib(relay, CONTENTS[0], '', ('joe@example.com', 'ann@example.org', 'eve@example.com'),
                         ('BODY=8BITMIME',))
        return relay

    def held(self, data):
        return json.loads(self.command('spool', 'check', '--json', data=data))['held']

    def read_without_us(self, folder):
        """Runs the program that the page about the format shows."""
        with open(PAGE, encoding='utf-8') as file:
            program = re.search(r'```python\n(.*?)```', file.read(), re.S).group(1)
        os.makedirs(folder)
        done = run(sys.executable, '-c', program, os.path.join(self.data, 'spool'), folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return read_mail(folder)

    def test_look_and_read(self):
        relay = self.fill()
        self.assertIn('stop the daemon', self.command('spool', 'check', status=1))
        bodies = {}
        for message in relay.ask('queue', '--limit', '100')['messages']:
            bodies[message['id']] = subprocess.run(
                [BINARY, 'message', 'cat', message['id'], '--data', self.data], stdout=subprocess.PIPE, check=True,
                timeout=COMMAND_S).stdout
        self.assertEqual(len(bodies), len(CONTENTS) + 1)
        relay.stop()
        self.assertIn('Everything is in order', self.command('spool', 'check'))
        report = json.loads(self.command('spool', 'check', '--json'))
        self.assertEqual(report['held'], {'messages': 6, 'recipients': 8, 'bytes': sum(map(len, bodies.values()))})
        self.assertEqual(report['domains']['example.org']['messages'], 1)
        self.assertEqual(report['log']['records']['end'], 6)
        self.assertEqual(report['index']['state'], 'good')
        # The program of the page, the export and the daemon give the same bytes.
        self.assertEqual(sorted(self.read_without_us(self.path('read')).values()), sorted(bodies.values()))
        self.command('spool', 'export', self.path('out'))
        self.assertEqual(sorted(c for _, c in read_export(self.path('out'))), sorted(bodies.values()))

    def test_round_trip(self):
        self.fill().stop()
        self.command('spool', 'export', self.path('maildir'))
        self.command('spool', 'export', self.path('mbox'), '--format', 'mbox')
        self.command('spool', 'export', self.path('part'), '--domain', 'example.org')
        self.assertIn('new or an empty', self.command('spool', 'export', self.path('part'), status=1))
        wanted = read_export(self.path('maildir'))
        self.assertEqual(len(wanted), 6)
        self.assertEqual(len(read_export(self.path('part'))), 1)
        box = mailbox.mbox(self.path('mbox/mbox'))
        self.assertEqual(len(box), 6)
        box.close()
        for source in ('maildir', 'mbox'):
            other, out = self.path('new-' + source), self.path('again-' + source)
            os.makedirs(os.path.join(other, 'spool'))
            with open(os.path.join(other, 'RESTANTE'), 'w', encoding='ascii') as marker:
                marker.write('restante data folder, format 1\n')
            self.command('spool', 'import', self.path(source), data=other)
            self.assertIn('imported before', self.command('spool', 'import', self.path(source), data=other))
            self.command('spool', 'export', out, data=other)
            self.assertEqual(read_export(out), wanted)
            self.command('spool', 'check', data=other)

    def test_plain_mail(self):
        relay = self.fill()
        before = relay.held()
        relay.stop()
        box = mailbox.Maildir(self.path('box'))
        for i in range(3):
            box.add(b'Subject: %d\n\nFrom a Maildir\n' % i)
        with open(self.path('mbox'), 'wb') as file:
            file.write(b'From ann@example.net Mon Nov 23 10:00:00 2026\nSubject: a\n\n>From b\n\nFrom x y\nSubject: c\n\nd\n')
        self.assertIn('--recipient', self.command('spool', 'import', self.path('box'), status=2))
        self.assertIn('no domain that is served', self.command(
            'spool', 'import', self.path('box'), '--recipient', 'a@nowhere.example', status=1))
        for source in ('box', 'mbox'):
            self.command('spool', 'import', self.path(source), '--recipient', 'Joe@Example.com')
        self.assertEqual(self.held(self.data)['messages'], before + 5)
        relay.start()
        self.assertEqual(relay.held(), before + 5)
        queue = relay.ask('queue', '--recipient', 'joe@example.com', '--limit', '100')['messages']
        self.assertEqual(len([m for m in queue if m['reverse_path'] == 'ann@example.net']), 1)

    def test_interrupted_import(self):
        """An import that is killed again and again brings each message once."""
        self.fill(copies=100).stop()
        self.command('spool', 'export', self.path('out'))
        wanted = len(read_export(self.path('out')))
        other = self.path('other')
        os.makedirs(os.path.join(other, 'spool'))
        args = [BINARY, 'spool', 'import', self.path('out'), '--data', other]
        start = time.monotonic()
        run(BINARY, 'spool', 'check', '--data', self.data)
        pace = max(0.01, (time.monotonic() - start) / 3)
        kills = 0
        for i in range(8):
            process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(pace * (i + 1) / 4)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait()
        self.command('spool', 'import', self.path('out'), data=other)
        print('%d of 8 were killed' % kills)
        self.assertEqual(self.held(other)['messages'], wanted)
        self.command('spool', 'export', self.path('again'), data=other)
        self.assertEqual(sorted(map(repr, read_export(self.path('again')))),
                         sorted(map(repr, read_export(self.path('out')))))

    def test_damage(self):
        self.fill().stop()
        logs = sorted(glob.glob(os.path.join(self.data, 'spool', '*.log')))
        with open(logs[0], 'r+b') as file:
            content = file.read()
            file.seek(content.index(b'Subject: quoting'))
            file.write(b'X')
        report = json.loads(self.command('spool', 'check', '--json', status=1))
        self.assertEqual(len(report['damaged']), 1)
        self.assertIn('damaged', self.command('spool', 'check', status=1))
        # The export has the others, and says so.
        self.assertIn('left out', self.command('spool', 'export', self.path('out'), status=1))
        self.assertEqual(len(read_export(self.path('out'))), 5)
        # Read in vain it is set aside, listed, and given up.
        shutil.rmtree(os.path.join(self.data, 'spool', 'index'))
        self.assertIn('missing', self.command('spool', 'check', status=1))
        self.assertIn('made again', self.command('spool', 'rebuild'))
        aside = json.loads(self.command('spool', 'check', '--json', status=1))['set_aside']
        self.assertEqual(len(aside), 1)
        self.command('spool', 'forget', aside[0]['id'])
        self.assertIn('not set aside', self.command('spool', 'forget', aside[0]['id'], status=1))
        self.command('spool', 'forget', '--all')
        self.assertEqual(json.loads(self.command('spool', 'check', '--json'))['set_aside'], [])
        self.assertEqual(self.held(self.data)['messages'], 5)

    def test_rebuild_keeps_what_ended(self):
        relay = self.fill()
        gone = relay.ask('queue', '--limit', '100')['messages'][0]['id']
        self.assertEqual(relay.cli('message', 'rm', gone).returncode, 0)
        relay.stop()
        self.assertIn('5 messages are held', self.command('spool', 'rebuild'))
        self.assertTrue(os.path.exists(os.path.join(self.data, 'spool', 'index.1')))
        self.command('spool', 'check')
        relay.start()
        self.assertEqual(relay.held(), 5)


if __name__ == '__main__':
    main()
