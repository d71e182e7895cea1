#!/usr/bin/python3
"""Our own door in front of a server that has a list of users: who is not on it hears so from us, in the server's words, unless there is
a reason to doubt the server; then mail is taken and held."""
import os
import smtplib

from harness import Aiosmtpd, Case, main, send_smtplib, wait_until

CONTENT = b'From: alice@example.net\r\nSubject: who lives here?\r\n\r\nText.\r\n'
USERS = ['ann', 'ben', 'cleo', 'dora', 'erin']
SETTLED_S = 120  # all of it takes moments; the machine may be slow


class Door(Case):

    def rcpt(self, relay, user):
        """The reply to RCPT; no message follows."""
        with smtplib.SMTP('127.0.0.1', relay.port, local_hostname='sender.example.net', timeout=60) as client:
            client.ehlo()
            client.mail('s@sender.example.net')
            code, text = client.rcpt('%s@example.com' % user)
            client.rset()
        return code, text.decode()

    def mail(self, relay, user):
        send_smtplib(relay, CONTENT, recipients=['%s@example.com' % user])

    def served(self):
        """A relay whose server has shown four of its users, and is believed."""
        relay, destination = self.pair(Aiosmtpd)
        with open(os.path.join(destination.folder, 'users'), 'w', encoding='ascii') as file:
            file.write('\n'.join(USERS))
        for user in USERS[:4]:
            self.mail(relay, user)
        wait_until(lambda: destination.count() == 4, SETTLED_S, 'its users get mail')
        return relay, destination

    def trust(self, relay):
        self.assertEqual(relay.cli('trust', 'example.com').returncode, 0)

    def assert_refused(self, relay, user):
        """Each word of the server takes its time; a machine that is too slow for that has us hold the mail instead."""
        names = ('%s%d' % (user, i) for i in range(10000))
        code, text = wait_until(lambda: (lambda said: said if said[0] >= 500 else None)(self.rcpt(relay, next(names))),
                                SETTLED_S, 'who is unknown is refused')
        self.assertEqual(code, 550)
        self.assertIn('nobody of that name lives here', text)

    def test_users_and_others(self):
        relay, destination = self.served()
        self.assertEqual(self.rcpt(relay, 'stranger')[0], 250, 'in the hour of grace nobody is refused')
        self.trust(relay)
        self.assert_refused(relay, 'nobody')
        self.assertEqual(self.rcpt(relay, 'ann')[0], 250)
        self.mail(relay, 'erin')  # never seen before
        wait_until(lambda: destination.count() == 5, SETTLED_S, 'one who is seen for the first time gets his mail')
        door = relay.status()['since_start']['door']
        self.assertGreaterEqual(door['unknown'], 1)
        self.assertGreaterEqual(door['asked'], 1)
        self.assertIs(relay.ask('domain', 'show', 'example.com')['catch_all'], False)

    def test_while_the_server_is_away(self):
        relay, destination = self.served()
        self.trust(relay)
        self.assert_refused(relay, 'nobody')
        destination.stop()
        for user in ('ann', 'erin', 'nobody0x'):
            self.mail(relay, user)
        wait_until(lambda: relay.held() == 3, SETTLED_S, 'all are held')
        wait_until(lambda: relay.status()['lanes'][0]['state'] == 'down', SETTLED_S, 'the lane is down')
        self.assertEqual(self.rcpt(relay, 'nobody0y')[0], 250)
        destination.start()
        wait_until(lambda: destination.count() == 6, SETTLED_S, 'those who exist get their mail')
        for i in range(5):  # it is new: its no is no no
            self.assertEqual(self.rcpt(relay, 'nobody0z%d' % i)[0], 250)
        self.trust(relay)
        self.assert_refused(relay, 'nobody1')

    def test_by_hand(self):
        relay, _ = self.served()
        self.trust(relay)
        self.assert_refused(relay, 'zoe')
        self.assertEqual(relay.cli('recipient', 'pin', 'zoe0@example.com').returncode, 0)
        self.assertEqual(self.rcpt(relay, 'zoe0')[0], 250)
        path = os.path.join(self.folder, 'list.csv')
        with open(path, 'w', encoding='ascii') as file:
            file.write('mail;name\nyuri@example.com;Yuri\nxenia@else.example;Xenia\n')
        done = relay.cli('recipient', 'import', 'example.com', path)
        self.assertEqual(done.returncode, 1)
        self.assertIn('line 3: "xenia@else.example" is of another domain', str(done.stderr))
        with open(path, 'w', encoding='ascii') as file:
            file.write('mail;name\n' + ''.join('staff%d@example.com;S\n' % i for i in range(1000)))
        self.assertEqual(relay.cli('recipient', 'import', 'example.com', path).returncode, 0)
        self.assertEqual(self.rcpt(relay, 'staff999')[0], 250)
        listed = relay.ask('recipient', 'ls', 'example.com')['recipients']
        self.assertEqual({r['address'] for r in listed}.issuperset({'zoe0@example.com', 'staff0@example.com', 'ann@example.com'}),
                         True)
        self.assertEqual(len([r for r in listed if r['standing'] == 'listed']), 1000)
        self.assertEqual(relay.cli('recipient', 'unpin', 'zoe0@example.com').returncode, 0)
        relay.stop()
        relay.start()
        self.assertEqual(len(relay.ask('recipient', 'ls', 'example.com')['recipients']), len(listed) - 1)


if __name__ == '__main__':
    main()
