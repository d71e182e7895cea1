#!/usr/bin/python3
"""Bytes arrive as they came, plus one Received line: each sender, each destination, each kind of content."""
import os
import random
import smtplib
import statistics
import sys

from harness import DESTINATIONS, HERE, SMTP_SOURCE_ADDS, Case, main, peer, send_smtp_source, send_smtplib, \
    send_swaks, wait_until

HEADER = b'From: Alice <alice@example.net>\r\nTo: Bob <bob@example.com>\r\nSubject: %s\r\n' \
    b'Message-ID: <%s@example.net>\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n'


def mail(name, body):
    return HEADER % (name, name) + body


def one_mebibyte():
    rng = random.Random(1)
    line = bytes(rng.choice(b'abcdefghijklmnopqrstuvwxyz .,') for _ in range(70)) + b'\r\n'
    return line * (1024 * 1024 // len(line) + 1)


CONTENTS = {
    'plain': mail(b'plain', b'Hello.\r\n'),
    'no body': mail(b'empty', b''),
    'empty lines': mail(b'lines', b'\r\n\r\n\r\nend\r\n\r\n'),
    '8-bit': mail(b'latin', b'Gr\xfc\xdfe \x80\x81\xff\r\n'),
    'UTF-8': mail('gr\u00fc\u00dfe \u20ac'.encode(), '\u2709 caf\u00e9 \U0001f4ee\r\n'.encode()),
    'dots': mail(b'dots', b'.\r\n..\r\n...\r\n.x\r\nx.\r\n\r\n.\r\n.'.removesuffix(b'.') + b'. end\r\n'),
    'long line': mail(b'long', b'x' * 990 + b'\r\n' + b'.' * 990 + b'\r\n'),
    'blanks': mail(b'blanks', b' \r\n\t\r\n trailing \t \r\nFrom here\r\n>From there\r\n'),
    'many Received': b''.join(b'Received: from a by b; hop %d\r\n' % i for i in range(20)) + mail(b'hops', b'x\r\n'),
    'one mebibyte': mail(b'large', one_mebibyte()),
}


class PassThrough(Case):

    def check_arrived(self, destination, expected):
        """Each expected content is there once, with one Received line more than it had (and the destination's own)."""
        wait_until(lambda: destination.count() >= len(expected), 60, 'all %d messages arrive' % len(expected))
        for name, content in expected.items():
            # A destination may still be writing what it has said 250 to.
            top = wait_until(lambda content=content: self.find(destination, content), 10, '%s: unchanged' % name)
            self.assertEqual(top.lower().count(b'received:'), 1 + destination.own_received(), name)
            self.assertIn(b'by relay.example.org', top)
            self.assertNotIn(b'\r\n\r\n', top)
        self.assertEqual(destination.count(), len(expected))

    def find(self, destination, content):
        """What stands above this content, in the shortest message that ends with it."""
        found = [m.content for m in destination.messages() if m.content.endswith(content)]
        return min(found, key=len)[:-len(content)] if found else None

    def send_all(self, kind, send, added=b''):
        relay, destination = self.pair(kind)
        for name, content in CONTENTS.items():
            with self.subTest(content=name):
                send(relay, content)
        self.check_arrived(destination, {name: content + added for name, content in CONTENTS.items()})
        wait_until(lambda: relay.held() == 0, 10, 'the relay knows that all is delivered')

    def smtplib(self, relay, content):
        self.assertRegex(send_smtplib(relay, content, options=['BODY=8BITMIME']), r'[0-9A-Z]{13}')

    def swaks(self, relay, content):
        done = send_swaks(relay, content)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def smtp_source(self, relay, content):
        done = send_smtp_source(relay, content)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def add_pairs():
    for kind in DESTINATIONS:
        for sender, added in (('smtplib', b''), ('swaks', b''), ('smtp_source', SMTP_SOURCE_ADDS)):
            def test(self, kind=kind, sender=sender, added=added):
                if sender == 'smtp_source':
                    peer('usr/sbin/smtp-source')  # else all of it is skipped
                self.send_all(kind, getattr(self, sender), added)
            setattr(PassThrough, 'test_%s_to_%s' % (sender, kind.name.replace('-', '_')), test)


add_pairs()


class Small(Case):

    def test_nothing_at_all(self):
        """Not even a header: the message is the Received line alone."""
        relay, destination = self.pair()
        send_smtplib(relay, b'')
        wait_until(destination.count, 20, 'it arrives')
        message = destination.messages()[0]
        self.assertEqual((len(message.received), message.rest), (1, b''))

    def test_envelope(self):
        """Null reverse-path, several recipients: no `for` clause then, and nobody is forgotten."""
        relay, destination = self.pair()
        send_smtplib(relay, CONTENTS['plain'], sender='', recipients=('a@example.com', 'B.C@EXAMPLE.com', '"x y"@example.com'))
        wait_until(lambda: sum(len(m.envelope['to']) for m in destination.messages()) == 3, 20, 'it arrives')
        messages = destination.messages()
        self.assertEqual({m.envelope['from'] for m in messages}, {'<>'})
        self.assertEqual(sorted(r for m in messages for r in m.envelope['to']),
                         ['"x y"@example.com', 'B.C@EXAMPLE.com', 'a@example.com'])
        self.assertTrue(all(b' for ' not in m.received[0] for m in messages))

    def test_many_at_once(self):
        """smtp-source with twenty sessions: 500 messages, each once."""
        relay, destination = self.pair()
        done = send_smtp_source(relay, CONTENTS['plain'], '-s', '20', '-m', '500')
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: destination.count() >= 500, 60, '500 arrive')
        self.assertEqual(destination.count(), 500)
        wait_until(lambda: relay.held() == 0, 10, 'the relay knows that all is delivered')

    def test_delay(self):
        """A bound that only something broken misses; bench/passthrough.py measures."""
        sys.path.insert(0, os.path.join(HERE, '..', '..', 'bench'))
        from lib import Restante
        from passthrough import one_after_the_other
        self.assertLess(statistics.median(one_after_the_other(Restante, 50)), 500)

    def test_smtputf8(self):
        """Offered once the next hop is known to take it, then passed on; before, refused."""
        relay, destination = self.pair()
        with smtplib.SMTP('127.0.0.1', relay.port) as s:
            s.ehlo()
            self.assertFalse(s.has_extn('smtputf8'))
            self.assertEqual(s.docmd('MAIL', 'FROM:<alice@example.net> SMTPUTF8')[0] // 100, 5)
        send_smtplib(relay, CONTENTS['plain'])
        wait_until(destination.count, 20, 'it arrives, and the server is known')
        with smtplib.SMTP('127.0.0.1', relay.port) as s:
            s.ehlo()
            self.assertTrue(s.has_extn('smtputf8'))
            s.sendmail('alice@example.net', '\u00fcser@example.com', CONTENTS['UTF-8'], ['SMTPUTF8', 'BODY=8BITMIME'])
        wait_until(lambda: destination.count() == 2, 20, 'it arrives')
        message = destination.messages()[1]
        self.assertEqual((message.envelope['to'], message.rest), (['\u00fcser@example.com'], CONTENTS['UTF-8']))


if __name__ == '__main__':
    main()
