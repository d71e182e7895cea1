#!/usr/bin/python3
"""Mail that comes back to the relay: noticed before it spins, kept, said, delivered once that is mended."""
import os
import socket
import threading

from harness import DOMAIN, Aiosmtpd, Case, main, send_smtplib, wait_until

CONTENT = b'From: alice@example.net\r\nMessage-ID: <circle@example.net>\r\nSubject: round\r\n\r\nText.\r\n'


def pump(one, other):
    try:
        while data := one.recv(65536):
            other.sendall(data)
    except OSError:
        pass
    for end in one, other:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Translator:
    """Behind its address there is something else, as behind a router's."""

    def __init__(self, port):
        self.to = port
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                near, _ = self.socket.accept()
                far = socket.create_connection(('127.0.0.1', self.to))
            except OSError:
                return
            self.calls += 1
            for pair in (near, far), (far, near):
                threading.Thread(target=pump, args=pair, daemon=True).start()


class Loops(Case):

    def test_server_sends_back(self):
        relay, destination = self.pair(Aiosmtpd)
        forward = os.path.join(destination.folder, 'forward')
        with open(forward, 'w', encoding='ascii') as file:
            file.write(str(relay.port))
        send_smtplib(relay, CONTENT)
        wait_until(lambda: 'goes in a circle' in relay.log(), 60, 'the relay says that it goes in a circle')
        wait_until(lambda: destination.count() == 3, 30, 'three times round')
        held = relay.ask('queue')['messages']
        self.assertEqual(len(held), 1)
        self.assertIn('came back to this relay', relay.cli('message', 'show', held[0]['id']).stdout)
        self.assertEqual(destination.count(), 3)  # it was asked for the queue meanwhile, and did not go round

        os.unlink(forward)
        self.assertEqual(relay.cli('message', 'release', held[0]['id']).returncode, 0)
        wait_until(lambda: relay.held() == 0, 60, 'it is delivered once the server is mended')
        self.assertEqual(destination.count(), 4)

    def test_address_leads_back(self):
        relay = self.relay().start()
        translator = Translator(relay.port)
        self.addCleanup(translator.socket.close)
        self.assertEqual(relay.cli('domain', 'add', DOMAIN, '--to', '127.0.0.1:%d' % translator.port).returncode, 0)
        send_smtplib(relay, CONTENT)
        wait_until(lambda: 'leads back to this relay' in relay.cli('status').stdout, 60, 'status says it')
        self.assertEqual(relay.held(), 1)
        self.assertEqual(relay.status()['totals']['accepted'], 1)

        destination = self.destination(Aiosmtpd).start()
        self.assertEqual(relay.cli('domain', 'set', DOMAIN, 'to=127.0.0.1:%d' % destination.port).returncode, 0)
        wait_until(lambda: destination.count() == 1 and relay.held() == 0, 60, 'it goes to the right server')


if __name__ == '__main__':
    main()
