#!/usr/bin/python3
"""A disk that fills up, that others fill to the last byte, or that fails: on a small file system of its own, which needs root."""
import os
import smtplib

from harness import Aiosmtpd, main, wait_until
from smalldisk import MIB, DiskCase, Senders, names_of, send_named, takes_mail


def space(relay):
    return relay.status()['space']['state']


def said(relay):
    """What the log says of the room, in order."""
    words = {'fills up', 'almost full', 'is full', 'has room again'}
    lines = [line for line in relay.log().splitlines() if ' space: the spool ' in line]
    return [next(w for w in words if 'the spool ' + w in line or 'the spool is ' + w in line) for line in lines]


class FillsUp(DiskCase):
    """One customer's server is down and its mail fills the disk: the others see nothing of it."""

    def test_the_largest_holder_is_refused_first(self):
        disk = self.disk()
        down, well = self.destination(), Aiosmtpd(os.path.join(self.folder, 'well'))
        self.addCleanup(well.stop)
        well.start()
        relay = self.relay_on(disk, '--domain', 'down.example=127.0.0.1:%d' % down.port,
                              '--domain', 'example.com=127.0.0.1:%d' % well.port).start()
        disk.take_all_but(104 * MIB)  # 64 of them are behind the reserve, which must not be touched: 40 for mail
        wait_until(lambda: takes_mail(relay, 'early') and relay.status()['space']['capacity_bytes'] < 60 * MIB, 60,
                   'the relay has seen it (it looks once a second)')
        held, others = Senders(relay, 3000, 3, 'down.example'), Senders(relay, 10, 1)
        try:
            wait_until(lambda: len(held.refused) > 5, 120, 'the domain that is down is refused')
            wait_until(lambda: relay.ask('domain', 'show', 'down.example')['share_used_up'], 60, 'it is shown')
            wait_until(lambda: 'share of the spool is used up' in relay.cli('status').stdout, 60, 'status says it')
            self.assertEqual(space(relay), 'ok', relay.status()['space'])
            # May it have all, it may have all but what the others need.
            self.assertEqual(relay.cli('domain', 'set', 'down.example', 'share=100').returncode, 0)
            seen = len(held.accepted)
            wait_until(lambda: len(held.accepted) > seen, 60, 'its larger share counts')
            wait_until(lambda: space(relay) == 'urgent', 120, 'the spool is almost full')
            before = len(held.refused)
            wait_until(lambda: len(held.refused) > before + 5, 120, 'it is refused again')
            so_far = len(others.accepted)
            wait_until(lambda: len(others.accepted) > so_far + 20, 60, 'the other domain goes on')
        finally:
            held.stop()
            others.stop()
        self.assertEqual(set(held.refused), {452})
        self.assertEqual(others.refused, [])
        self.assertEqual(said(relay)[-1], 'almost full')
        self.assertNotIn('is full', said(relay))
        down.start()
        wait_until(lambda: sorted(names_of(down)) == sorted(held.accepted), 120, 'all that was held arrives once')
        wait_until(lambda: takes_mail(relay, 'later', 'down.example'), 60, 'its mail is accepted again')


class Full(DiskCase):

    def test_drains_while_others_keep_it_full(self):
        disk = self.disk()
        destination = self.destination()
        relay = self.relay_on(disk, '--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        senders = Senders(relay, 300)
        try:
            wait_until(lambda: len(senders.accepted) > 300, 120, 'mail is held')
            disk.fill()  # while messages are being accepted
            before = len(senders.refused)
            wait_until(lambda: len(senders.refused) > before + 30, 60, 'senders are refused')
        finally:
            senders.stop()
        self.assertEqual(set(senders.refused), {452})
        self.assertEqual(disk.free(), 0)
        held = relay.held()
        self.assertEqual(held, len(senders.accepted))
        wait_until(lambda: space(relay) == 'full', 30, 'status says it')
        self.assertIn('FULL', relay.cli('status').stdout)
        self.assertIn('FIX', relay.cli('doctor').stdout)
        # The server is back: everything leaves, though whatever becomes free is taken at once.
        destination.start()
        wait_until(lambda: relay.held() == 0, 180, 'held mail drains to empty')
        self.assertEqual(sorted(names_of(destination)), sorted(senders.accepted))
        totals = relay.status()['totals']
        self.assertEqual((totals['queued'], totals['ended']), (0, totals['accepted']))
        # The others are gone: mail is accepted again, by itself.
        disk.empty()
        wait_until(lambda: takes_mail(relay, 'later'), 60, 'mail is accepted again')
        wait_until(lambda: said(relay)[-1] == 'has room again', 60, 'the log says it')
        self.assertEqual(said(relay).count('is full'), 1)

    def test_restarts_on_a_full_disk(self):
        disk = self.disk()
        destination = self.destination()
        relay = self.relay_on(disk, '--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        names = ['m%d' % i for i in range(60)]
        for name in names:
            send_named(relay, name, 300)
        disk.fill()
        # An end takes a place in the log: the first of these in the reserve, the others in what is left of it.
        for stop in (relay.kill, relay.kill, relay.stop, relay.kill):
            gone = relay.ask('queue', '--limit', '1')['messages'][0]['id']
            done = relay.cli('message', 'rm', gone)
            self.assertEqual(done.returncode, 0, done.stderr)
            names.pop(0)
            stop()
            relay.start()
            self.assertFalse(takes_mail(relay, 'refused'))
            self.assertEqual(relay.held(), len(names))
        destination.start()
        wait_until(lambda: relay.held() == 0, 120, 'held mail drains to empty')
        self.assertEqual(sorted(names_of(destination)), sorted(names))
        disk.empty()
        wait_until(lambda: takes_mail(relay, 'later'), 60, 'mail is accepted again')


class Fails(DiskCase):

    def test_a_disk_that_turns_read_only(self):
        """Nothing is accepted any more, what is held can be read, and a repair brings all of it back."""
        disk = self.disk()
        destination = self.destination()
        relay = self.relay_on(disk, '--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
        names = ['m%d' % i for i in range(20)]
        for name in names:
            send_named(relay, name, 300)
        disk.fail()
        # Of the first message nobody can say whether it is there: its sender waits for a reply, the others need not.
        doubtful = Senders(relay, 10, 1)
        wait_until(lambda: space(relay) == 'failed', 60, 'status says it')
        for _ in range(5):
            with self.assertRaises(smtplib.SMTPResponseException) as caught:
                send_named(relay, 'refused')
            self.assertEqual(caught.exception.smtp_code, 451)
        self.assertTrue('the disk failed' in relay.log())
        first = relay.ask('queue', '--limit', '1')['messages'][0]['id']
        self.assertTrue('Subject: m0' in relay.cli('message', 'cat', first).stdout)
        self.assertEqual(doubtful.accepted, [])
        doubtful.stopping = True
        relay.kill()
        doubtful.stop()
        disk.repair()
        relay.start()
        destination.start()
        wait_until(lambda: relay.held() == 0, 120, 'held mail drains to empty')
        arrived = [name for name in names_of(destination) if not name.startswith('example.com-')]  # but for that one
        self.assertEqual(sorted(arrived), sorted(names))
        self.assertTrue(takes_mail(relay, 'later'))


if __name__ == '__main__':
    main()
