#!/usr/bin/python3
"""The server is up and refuses people who exist: nothing bounces, its mail is held, and all arrives once it is repaired."""
import os
import time

from harness import Aiosmtpd, Case, main, send_smtplib, wait_until

CONTENT = b'From: alice@example.net\r\nSubject: refused?\r\n\r\nText.\r\n'
SETTLED_S, REPAIRED_S = 120, 120  # 20 s are promised; the machine may be slow


class Refusals(Case):

    def mail(self, relay, user):
        self.sent += 1
        send_smtplib(relay, CONTENT, sender='s%d@s%d.example.net' % (self.sent, self.sent),
                     recipients=['%s@example.com' % user])

    def state(self, relay):
        return relay.status()['lanes'][0]['domains'][0]['state']

    def play(self, reply):
        self.sent = 0
        relay, destination = self.pair(Aiosmtpd)
        refuse = os.path.join(destination.folder, 'refuse')
        for i in range(4):
            self.mail(relay, 'user%d' % i)
        wait_until(lambda: destination.count() == 4, 30, 'it works at first')

        with open(refuse, 'w', encoding='ascii') as file:
            file.write(reply)
        for i in range(4):
            self.mail(relay, 'user%d' % i)
        wait_until(lambda: self.state(relay) == 'refusing', SETTLED_S, 'the refusal of known users holds the domain')
        for i in range(30):
            self.mail(relay, 'other%d' % i)
        wait_until(lambda: relay.held() == 34, 30, 'all are held')

        os.unlink(refuse)
        start = time.monotonic()
        wait_until(lambda: destination.count() == 38, REPAIRED_S, 'all arrive after the repair')
        print('%s: all %.1f s after the repair' % (reply, time.monotonic() - start))
        wait_until(lambda: relay.held() == 0, 30, 'the relay knows it')
        totals = relay.status()['totals']
        self.assertEqual((totals['accepted'], totals['delivered'], totals['ended']), (38, 38, 38))

    def test_user_unknown(self):
        self.play('550 5.1.1 User unknown')

    def test_relaying_denied(self):
        self.play('554 5.7.1 Relay access denied')

    def test_not_authenticated(self):
        self.play('530 5.7.1 Authentication required')

    def test_some_senders_are_distrusted(self):
        """It checks SPF against the relay: mail of strict senders waits, the rest flows; one alarm with the step that helps."""
        relay, destination = self.pair(Aiosmtpd)
        distrust = os.path.join(destination.folder, 'distrust')

        def mail(sender):
            send_smtplib(relay, CONTENT, sender=sender, recipients=['user@example.com'])
        mail('a@fine.example')
        wait_until(lambda: destination.count() == 1, 30, 'it works at first')
        with open(distrust, 'w', encoding='ascii') as file:
            file.write('strict.example')
        for domain in ('strict.example', 'very.strict.example'):
            for i in range(5):
                mail('s%d@%s' % (i, domain))
        for i in range(5):
            mail('b%d@fine.example' % i)
        wait_until(lambda: destination.count() == 6, SETTLED_S, 'the others flow')
        wait_until(lambda: 'step=' in relay.log(), SETTLED_S, 'the alarm names the step')
        self.assertEqual(relay.held(), 10)
        self.assertEqual(self.state(relay), 'open')

        os.unlink(distrust)
        start = time.monotonic()
        wait_until(lambda: destination.count() == 16, REPAIRED_S, 'all arrive after the repair')
        print('SPF: all %.1f s after the repair' % (time.monotonic() - start))
        wait_until(lambda: relay.held() == 0, 30, 'the relay knows it')
        self.assertEqual(relay.log().count('distrusts this relay'), 1)


if __name__ == '__main__':
    main()
