#!/usr/bin/python3
"""The destination is down: mail is held, nothing bounces; it comes back: all arrives, soon."""
import time

from harness import Aiosmtpd, Case, Postfix, main, send_smtp_source, send_smtplib, wait_until

FIRST_S, ALL_S, COUNT = 10, 60, 1000
CONTENT = b'From: alice@example.net\r\nSubject: held\r\n\r\nLater.\r\n'


class Outage(Case):

    def play(self, kind):
        destination = self.destination(kind).start()
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        send_smtplib(relay, CONTENT)
        wait_until(lambda: destination.count() == 1, 20, 'it works at first')
        destination.stop()

        done = send_smtp_source(relay, CONTENT, '-s', '10', '-m', str(COUNT))
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: relay.held() == COUNT, 20, 'all are held')
        lane = relay.status()['lanes'][0]
        self.assertEqual(lane['state'], 'down', lane)
        self.assertIsNotNone(lane['kind'])
        self.assertIsNotNone(lane['next_probe_s'])
        time.sleep(3)  # let it be an outage: probes fail meanwhile
        self.assertEqual(relay.held(), COUNT)

        start = time.monotonic()
        destination.start()
        wait_until(lambda: destination.count() > 1, FIRST_S, 'the first held message arrives within %d s' % FIRST_S)
        first = time.monotonic() - start
        wait_until(lambda: destination.count() >= COUNT + 1, ALL_S, 'all arrive within %d s' % ALL_S)
        print('%s: first after %.1f s, all %d after %.1f s' % (kind.name, first, COUNT, time.monotonic() - start))
        self.assertEqual(destination.count(), COUNT + 1)
        wait_until(lambda: relay.held() == 0, 10, 'the relay knows that all is delivered')
        totals = relay.status()['totals']
        self.assertEqual((totals['accepted'], totals['delivered'], totals['queued']), (COUNT + 1, COUNT + 1, 0))

    def test_aiosmtpd(self):
        self.play(Aiosmtpd)

    def test_postfix(self):
        self.play(Postfix)

    def test_dead_from_the_beginning(self):
        """The domain is added while its server is down."""
        destination = self.destination()
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        send_smtplib(relay, CONTENT)
        wait_until(lambda: relay.held() == 1, 10, 'it is held')
        destination.start()
        wait_until(lambda: destination.count() == 1, FIRST_S, 'it arrives')

    def test_neighbour_is_not_held_up(self):
        """One domain's server is down, another's is not."""
        relay, destination = self.pair(Aiosmtpd, '--domain', 'example.org=127.0.0.1:1')
        for i in range(20):
            send_smtplib(relay, CONTENT, recipients=['bob@example.org'])
        start = time.monotonic()
        send_smtplib(relay, CONTENT)
        wait_until(lambda: destination.count() == 1, 5, 'the neighbour gets its mail at once')
        self.assertLess(time.monotonic() - start, 5)
        wait_until(lambda: relay.held() == 20, 10, 'only the dead one holds mail')

    def test_restart_while_held(self):
        """Held mail and the domain survive restarts of the relay, also a kill."""
        destination = self.destination()
        relay = self.relay('--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        for i in range(10):
            send_smtplib(relay, CONTENT)
        relay.options = ()
        self.assertEqual(relay.stop(), 0)
        relay.start()
        wait_until(lambda: relay.held() == 10, 10, 'held after a stop')
        for i in range(10):
            send_smtplib(relay, CONTENT)
        relay.kill()
        relay.start()
        wait_until(lambda: relay.held() == 20, 10, 'held after a kill')
        destination.start()
        wait_until(lambda: destination.count() == 20, 20, 'all arrive')
        wait_until(lambda: relay.status()['totals']['delivered'] == 20, 10, 'the relay knows it')


if __name__ == '__main__':
    main()
