#!/usr/bin/python3
"""The door: STARTTLS, ETRN, limits and smuggling, spoken to with raw sockets and swaks."""
import socket
import ssl
import subprocess

from harness import Case, main, send_smtplib, send_swaks, wait_until

MAIL = b'From: alice@example.net\r\nSubject: x\r\n\r\nx\r\n'


class Talk:
    """A client that says exactly what it is told."""

    def __init__(self, relay):
        self.socket = socket.create_connection(('127.0.0.1', relay.port), 60)
        self.file = self.socket.makefile('rb')
        self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def reply(self):
        lines = b''
        while True:
            line = self.file.readline()
            lines += line
            if not line or line[3:4] != b'-':
                return lines.decode('latin-1')

    def say(self, line):
        self.socket.sendall(line)
        return self.reply()

    def open_data(self):
        for line in (b'EHLO sender.example.net', b'MAIL FROM:<alice@example.net>', b'RCPT TO:<bob@example.com>'):
            assert self.say(line + b'\r\n').startswith('250'), line
        assert self.say(b'DATA\r\n').startswith('354')

    def closed(self):
        return self.file.read() == b''


class Tls(Case):

    def test_swaks(self):
        relay, destination = self.pair()
        done = send_swaks(relay, MAIL, '--tls')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn('TLS started', done.stdout)
        wait_until(destination.count, 20, 'it arrives')
        self.assertIn(b'ESMTPS', destination.messages()[0].received[0])

    def test_openssl_reads_the_certificate(self):
        relay, _ = self.pair()
        done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % relay.port, '-starttls', 'smtp'],
                              input=b'QUIT\r\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        self.assertIn(b'relay.example.org', done.stdout)
        self.assertIn(b'TLSv1.3', done.stdout)

    def test_pipelined_commands_are_dropped(self):
        """What came in the clear behind STARTTLS is not taken for what was said in confidence (CVE-2011-0411)."""
        relay, _ = self.pair()
        with Talk(relay) as talk:
            talk.say(b'EHLO sender.example.net\r\n')
            talk.socket.sendall(b'STARTTLS\r\nRSET\r\nMAIL FROM:<evil@example.net>\r\n')
            self.assertTrue(talk.reply().startswith('220'))
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(talk.socket, server_hostname='relay.example.org') as tls:
                tls.sendall(b'EHLO sender.example.net\r\nRCPT TO:<bob@example.com>\r\n')
                text = b''
                while b'503' not in text:
                    part = tls.recv(4096)
                    self.assertTrue(part, text)
                    text += part
                self.assertTrue(text.startswith(b'250-relay.example.org'), text)

    def test_same_certificate_after_restart(self):
        relay, _ = self.pair()
        first = ssl_fingerprint(relay)
        relay.stop()
        relay.start()
        self.assertEqual(ssl_fingerprint(relay), first)


def ssl_fingerprint(relay):
    done = subprocess.run('openssl s_client -connect 127.0.0.1:%d -starttls smtp </dev/null 2>/dev/null | '
                          'openssl x509 -noout -fingerprint -sha256' % relay.port, shell=True, stdout=subprocess.PIPE,
                          timeout=60, check=True)
    assert b'=' in done.stdout
    return done.stdout


class Commands(Case):

    # what is said, what the reply begins with
    TABLE = [
        (b'NOOP\r\n', '250'),
        (b'HELP\r\n', '214'),
        (b'VRFY bob\r\n', '252'),
        (b'FROB\r\n', '500'),
        (b'MAIL FROM:<a@example.net>\r\n', '503'),  # before EHLO
        (b'EHLO sender.example.net\r\n', '250'),
        (b'RCPT TO:<bob@example.com>\r\n', '503'),
        (b'DATA\r\n', '503'),
        (b'MAIL FROM:a@example.net\r\n', '501'),
        (b'MAIL FROM:<a@@example.net>\r\n', '501'),
        (b'MAIL FROM:<a@example.net> FROB=1\r\n', '555'),
        (b'MAIL FROM:<a@example.net> SIZE=999999999999\r\n', '552'),
        (b'MAIL FROM:<a@example.net>\r\n', '250'),
        (b'MAIL FROM:<a@example.net>\r\n', '503'),
        (b'RCPT TO:<bob@elsewhere.example>\r\n', '55'),  # never an open relay
        (b'RCPT TO:<bob%elsewhere.example@example.net>\r\n', '55'),
        (b'RCPT TO:<@example.com:bob@elsewhere.example>\r\n', '55'),
        (b'RCPT TO:<"bob@elsewhere.example">\r\n', '5'),
        (b'RCPT TO:<' + b'x' * 300 + b'@example.com>\r\n', '50'),
        (b'DATA\r\n', '55'),  # no recipient was taken
        (b'RCPT TO:<postmaster>\r\n', '250'),
        (b'RCPT TO:<Bob@EXAMPLE.COM>\r\n', '250'),
        (b'RSET\r\n', '250'),
        (b'ETRN example.com\r\n', '25'),
        (b'ETRN elsewhere.example\r\n', '25'),  # tells nobody what is served
        (b'NOOP ' + b'x' * 3000 + b'\r\n', '500'),
        (b'QUIT\r\n', '221'),
    ]

    def test_table(self):
        relay, _ = self.pair()
        with Talk(relay) as talk:
            self.assertTrue(talk.greeting.startswith('220 relay.example.org'))
            for said, expected in self.TABLE:
                with self.subTest(said=said[:60]):
                    self.assertTrue(reply := talk.say(said), 'closed')
                    self.assertTrue(reply.startswith(expected), reply)
            self.assertTrue(talk.closed())

    def test_etrn_hints(self):
        """ETRN lets the relay look at once whether the server is back."""
        destination = self.destination()
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        send_smtplib(relay, MAIL)
        wait_until(lambda: relay.status()['lanes'][0]['state'] == 'down', 20, 'the lane is down')
        destination.start()
        with Talk(relay) as talk:
            talk.say(b'EHLO mail.example.com\r\n')
            self.assertTrue(talk.say(b'ETRN example.com\r\n').startswith('25'))
        wait_until(destination.count, 10, 'it arrives')

    def test_early_talker(self):
        relay, destination = self.pair()
        with socket.create_connection(('127.0.0.1', relay.port), 30) as s:
            s.sendall(b'EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nx\r\n.\r\n')
            text = b''
            while part := s.recv(4096):
                text += part
                if text.count(b'\n') > 10:
                    break
        # Refused at the banner, or answered in order: never a message without its replies.
        self.assertTrue(text.startswith((b'554', b'220')), text)
        self.assertEqual(destination.count(), 1 if b'\r\n250' in text and b'accepted' in text else 0)

    def test_client_leaves_after_the_dot(self):
        """The message was whole: it arrives although nobody heard the 250."""
        relay, destination = self.pair()
        with Talk(relay) as talk:
            talk.open_data()
            talk.socket.sendall(MAIL + b'.\r\n')
            talk.socket.shutdown(socket.SHUT_RDWR)
        wait_until(destination.count, 20, 'it arrives')

    def test_client_closes_its_side_after_the_dot(self):
        """It hears what became of its message all the same, so that it does not send it again."""
        relay = self.relay('--domain', 'example.com=127.0.0.1:1').start()
        for lines in (1, 1, 1, 20000):
            with Talk(relay) as talk:
                talk.open_data()
                talk.socket.sendall(MAIL + b'y\r\n' * lines + b'.\r\nQUIT\r\n')
                talk.socket.shutdown(socket.SHUT_WR)
                self.assertIn('accepted as', talk.reply())
                self.assertTrue(talk.reply().startswith('221'))
                self.assertTrue(talk.closed())
        self.assertEqual(relay.held(), 4)

    def test_client_leaves_before_the_dot(self):
        relay, destination = self.pair()
        with Talk(relay) as talk:
            talk.open_data()
            talk.socket.sendall(MAIL)
        send_smtplib(relay, b'Subject: other\r\n\r\nx\r\n')
        wait_until(destination.count, 20, 'the other arrives')
        self.assertEqual([m.rest[:14] for m in destination.messages()], [b'Subject: other'])

    def test_one_byte_at_a_time(self):
        relay, destination = self.pair()
        text = b'EHLO a.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n' + MAIL + \
            b'.\r\nQUIT\r\n'
        with Talk(relay) as talk:
            talk.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(text)):
                talk.socket.sendall(text[i:i + 1])
            replies = talk.file.read().decode()
        self.assertIn('221 ', replies)
        wait_until(destination.count, 20, 'it arrives')
        self.assertEqual(destination.messages()[0].rest, MAIL)


INNER = b'MAIL FROM:<evil@example.net>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n'


class Smuggling(Case):
    """Ends of data that are none (CVE-2023-51764 and kin)."""
    ENDS = [b'\n.\n', b'\n.\r\n', b'\r.\r\n', b'\r.\r', b'\r\n.\n', b'\r\n.\r', b'\r\n\x00.\r\n', b'\n\n.\r\n\n',
            b'\r\n.\x00\r\n', b'\r\r\n.\r\r\n', b'\r\n.\r\r\n']

    def test_ends(self):
        relay, destination = self.pair()
        for end in self.ENDS:
            with self.subTest(end=end), Talk(relay) as talk:
                talk.open_data()
                reply = talk.say(b'Subject: outer\r\n\r\nx' + end + INNER + b'QUIT\r\n')
                # One reply to one message; what stood inside was never a command.
                self.assertTrue(reply.startswith(('5', '250')), reply)
                self.assertTrue(talk.reply().startswith('221'))
        send_smtplib(relay, b'Subject: last\r\n\r\nx\r\n')
        wait_until(lambda: any(m.rest.startswith(b'Subject: last') for m in destination.messages()), 20, 'the last arrives')
        for message in destination.messages():
            self.assertFalse(message.rest.startswith(b'Subject: smuggled'), message.content)
            self.assertNotEqual(message.envelope['from'], 'evil@example.net')

    def test_bare_line_feed_is_refused(self):
        relay, destination = self.pair()
        for body in (b'a\nb\r\n', b'a\rb\r\n', b'a\r\r\nb\r\n'):
            with self.subTest(body=body), Talk(relay) as talk:
                talk.open_data()
                self.assertRegex(talk.say(b'Subject: x\r\n\r\n' + body + b'.\r\n'), '^5')
        self.assertEqual(destination.count(), 0)

    def test_normalised_where_allowed(self):
        destination = self.destination().start()
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % destination.port, '--normalise', '127.0.0.0/8').start()
        with Talk(relay) as talk:
            talk.open_data()
            self.assertRegex(talk.say(b'Subject: x\r\n\r\na\nb\n.\nc\r\n.\r\n'), '^250')
        wait_until(destination.count, 20, 'it arrives')
        self.assertEqual(destination.messages()[0].rest, b'Subject: x\r\n\r\na\r\nb\r\n.\r\nc\r\n')


if __name__ == '__main__':
    main()
