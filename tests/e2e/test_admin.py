#!/usr/bin/python3
"""Administration of a running relay through the command line, with --json; and what of it survives a restart."""
import os
import re

from harness import Case, free_port, main, send_smtplib, wait_until

MAIL = b'From: alice@example.net\r\nMessage-ID: <one@example.net>\r\nSubject: x\r\n\r\nbody\r\n.dot\r\n'
COUNTS = {'messages', 'bytes', 'oldest_s'}
LANE = {'lane', 'state', 'phase', 'kind', 'since', 'held', 'window', 'in_flight', 'rate_per_s', 'next_probe_s', 'eta_s',
        'last_reply', 'delivered_total', 'deferred_total', 'domains'}
DOMAIN = {'name', 'state', 'since', 'reason', 'held'}


class Admin(Case):

    def dead(self):
        """A relay whose destination is not there yet."""
        destination = self.destination()
        return self.relay('--domain', 'example.com=127.0.0.1:%d' % destination.port).start(), destination

    def fails(self, relay, args, words, status=1):
        done = relay.cli(*args)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn(words, done.stderr)

    def test_status(self):
        relay, _ = self.dead()
        send_smtplib(relay, MAIL)
        wait_until(lambda: relay.status()['lanes'][0]['state'] == 'down', 20, 'the lane is down')
        status = relay.status()
        self.assertLessEqual({'node', 'version', 'held', 'lanes'}, set(status))
        self.assertLessEqual(COUNTS, set(status['held']))
        lane = status['lanes'][0]
        self.assertLessEqual(LANE, set(lane))
        self.assertLessEqual(COUNTS, set(lane['held']))
        self.assertLessEqual(DOMAIN, set(lane['domains'][0]))
        self.assertEqual((lane['kind'], lane['held']['messages']), ('refused', 1))
        self.assertIn('refused', lane['last_reply'])
        self.assertEqual(lane['domains'][0]['name'], 'example.com')
        text = relay.cli('status').stdout
        for word in ('example.com', 'down', 'refused'):
            self.assertIn(word, text)
        self.assertEqual(relay.ask('status', 'example.com')['lanes'][0]['lane'], lane['lane'])
        self.fails(relay, ['status', 'nowhere.example'], 'nowhere.example')

    def test_accepted_is_held_plus_ended(self):
        relay, destination = self.pair()
        for i in range(20):
            send_smtplib(relay, MAIL, recipients=['a@example.com', 'b@example.com'])
        wait_until(lambda: relay.held() == 0, 20, 'all is delivered')
        relay.cli('hold', 'example.com')
        for i in range(5):
            send_smtplib(relay, MAIL)
        totals = relay.status()['totals']
        self.assertEqual((totals['accepted'], totals['queued'], totals['ended'], totals['delivered']), (45, 5, 40, 40))
        self.assertEqual(totals['accepted'], totals['queued'] + totals['ended'])
        relay.kill()
        relay.start()
        self.assertEqual(relay.status()['totals'], totals)
        self.assertEqual(sum(len(m.envelope['to']) for m in destination.messages()), 40)

    def test_domains(self):
        relay, _ = self.pair()
        done = relay.cli('domain', 'add', 'example.org', '--to', '127.0.0.1:9', '--to', 'localhost:10')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('MX', done.stdout)
        self.fails(relay, ['domain', 'add', 'example.org', '--to', '127.0.0.1:9'], 'already')
        self.fails(relay, ['domain', 'add', 'not a domain'], 'domain')
        self.fails(relay, ['domain', 'add', 'example.net', '--to', 'bad host'], 'host')
        names = [d['name'] for d in relay.ask('domain', 'ls')['domains']]
        self.assertEqual(names, ['example.com', 'example.org'])
        shown = relay.ask('domain', 'show', 'EXAMPLE.org')
        self.assertEqual(shown['name'], 'example.org')
        self.assertIn('127.0.0.1:9', shown['destination'])
        self.fails(relay, ['domain', 'show', 'example.net'], 'not served')
        self.assertEqual(relay.cli('domain', 'set', 'example.org', 'hold=3', 'to=127.0.0.1:11').returncode, 0)
        self.fails(relay, ['domain', 'set', 'example.org', 'hold=0'], 'hold')
        self.fails(relay, ['domain', 'set', 'example.org', 'frob=1'], 'frob', 2)
        shown = relay.ask('domain', 'show', 'example.org')
        self.assertEqual((shown['destination'], shown['hold_days']), ('127.0.0.1:11', 3))
        relay.kill()
        relay.start()
        self.assertEqual(relay.ask('domain', 'show', 'example.org')['destination'], '127.0.0.1:11')
        self.assertEqual(relay.cli('domain', 'rm', 'example.org').returncode, 0)
        self.fails(relay, ['domain', 'rm', 'example.org'], 'not served')
        relay.stop()
        relay.start()
        self.assertEqual([d['name'] for d in relay.ask('domain', 'ls')['domains']], ['example.com'])

    def test_domain_is_served_at_once(self):
        destination = self.destination().start()
        relay = self.relay().start()
        self.assertIn('domain add', relay.banner)
        with self.assertRaises(Exception):
            send_smtplib(relay, MAIL)
        relay.cli('domain', 'add', 'example.com', '--to', '127.0.0.1:%d' % destination.port)
        send_smtplib(relay, MAIL)
        wait_until(destination.count, 20, 'it arrives')

    def test_many_domains_from_a_file(self):
        relay = self.relay().start()
        path = os.path.join(relay.data, 'list')
        with open(path, 'w') as file:
            file.write('# customers\n')
            for i in range(600):
                file.write('c%d.example, 127.0.0.1:2525  mx%d.example\n' % (i, i))
        done = relay.cli('domain', 'import', path)
        self.assertEqual((done.returncode, done.stdout), (0, '600 domains added, 0 were served already (left as they are), 0 failed\n'))
        with open(path, 'a') as file:
            file.write('new.example 127.0.0.1\nwr_ng..example 127.0.0.1\nold.example a:b:c\n')
        done = relay.cli('domain', 'import', path)
        self.assertEqual(done.returncode, 1)
        self.assertIn('1 domains added, 600 were served already', done.stdout)
        self.assertIn('wr_ng..example: "wr_ng..example" is not a domain name', done.stderr)
        self.assertIn('old.example: "a:b:c" is not a host', done.stderr)
        with open(path, 'a') as file:
            file.write('never.example 127.0.0.1\nx.example ' + 17 * 'h ' + '\n')
        self.fails(relay, ['domain', 'import', path], 'line 606: names more than 16 hosts')
        relay.stop()
        relay.start()
        names = [d['name'] for d in relay.ask('domain', 'ls')['domains']]
        self.assertEqual(sorted(names), sorted(['c%d.example' % i for i in range(600)] + ['new.example']))

    def test_domain_with_mail_is_kept(self):
        relay, _ = self.dead()
        send_smtplib(relay, MAIL)
        self.fails(relay, ['domain', 'rm', 'example.com'], 'holds 1')
        self.assertEqual(relay.held(), 1)

    def test_option_moves_a_domain(self):
        """--domain with another destination at the next start: held mail goes there."""
        relay, destination = self.dead()
        send_smtplib(relay, MAIL)
        relay.stop()
        destination.port = free_port()
        destination.start()
        relay.options = ('--domain', 'example.com=127.0.0.1:%d' % destination.port)
        relay.start()
        wait_until(destination.count, 20, 'it arrives')
        relay.stop()
        relay.options = ('--domain', 'example.com')
        relay.start()
        self.assertEqual(relay.ask('domain', 'show', 'example.com')['destination'], '127.0.0.1:%d' % destination.port)

    def test_set_moves_held_mail(self):
        relay, destination = self.dead()
        send_smtplib(relay, MAIL)
        destination.port = free_port()
        destination.start()
        self.assertEqual(relay.cli('domain', 'set', 'example.com', 'to=127.0.0.1:%d' % destination.port).returncode, 0)
        wait_until(destination.count, 20, 'it arrives')

    def test_queue_and_message(self):
        relay, destination = self.dead()
        send_smtplib(relay, MAIL, recipients=['bob@example.com', 'carol@example.com'])
        reply = send_smtplib(relay, MAIL, sender='dave@example.net')
        queue = relay.ask('queue')['messages']
        self.assertEqual(len(queue), 2)
        for message in queue:
            for recipient in message['recipients']:
                self.assertEqual(recipient['state'], 'queued')
                self.assertTrue(recipient['reason'])
                self.assertTrue(recipient['next_event'])
        self.assertEqual([m['reverse_path'] for m in relay.ask('queue', '--sender', 'dave@example.net')['messages']],
                         ['dave@example.net'])
        self.assertEqual(len(relay.ask('queue', '--recipient', 'CAROL@example.com')['messages']), 1)
        self.assertEqual(len(relay.ask('queue', 'example.com', '--limit', '1')['messages']), 1)
        self.assertIn('bob@example.com', relay.cli('queue').stdout)
        identity = queue[1]['id']
        self.assertIn(identity, reply)  # the 250 carries it
        self.assertEqual(relay.ask('message', 'show', identity)['id'], identity)
        content = relay.cli('message', 'cat', identity).stdout.replace('\r\n', '\n')
        self.assertTrue(content.startswith('Received: from sender.example.net'))
        self.assertTrue(content.endswith(MAIL.decode().replace('\r\n', '\n')))
        self.assertEqual(relay.cli('message', 'rm', identity).returncode, 0)
        self.fails(relay, ['message', 'show', identity], identity)
        self.fails(relay, ['message', 'show', 'nonsense'], 'nonsense')
        self.assertEqual(relay.held(), 1)
        ends = relay.ask('trace', '--sender', 'dave@example.net')['ends']
        self.assertEqual([(e['id'], e['state']) for e in ends], [(identity, 'removed')])
        destination.start()
        self.assertEqual(relay.cli('message', 'release', queue[0]['id']).returncode, 0)
        wait_until(lambda: relay.held() == 0, 20, 'the other is delivered')
        self.assertNotIn('dave@example.net', [m.envelope['from'] for m in destination.messages()])

    def test_trace(self):
        relay, destination = self.pair()
        send_smtplib(relay, MAIL)
        wait_until(lambda: relay.held() == 0, 20, 'it is delivered')
        with self.assertRaises(Exception):
            send_smtplib(relay, MAIL, recipients=['bob@elsewhere.example'])
        end = relay.ask('trace', '--message-id', '<one@example.net>')['ends'][0]
        self.assertEqual((end['state'], end['forward_path']), ('delivered', 'bob@example.com'))
        self.assertIn('250', end['reply'])
        self.assertIn(str(destination.port), end['relay'])
        send_smtplib(relay, MAIL)  # refusals are written down in company

        def at_door():
            return [e for e in relay.ask('trace', '--recipient', 'bob@elsewhere.example')['ends'] if e['at_door']]
        doors = wait_until(at_door, 10, 'the refusal is remembered')
        self.assertIn('relaying denied', doors[0]['reply'])
        relay.kill()
        relay.start()
        self.assertEqual(relay.ask('trace', '--message-id', 'one@example.net')['ends'][0]['state'], 'delivered')
        self.assertIn('delivered', relay.cli('trace', '--recipient', 'bob@example.com').stdout)

    def test_hold_and_resume(self):
        relay, destination = self.pair()
        self.assertEqual(relay.cli('hold', 'example.com').returncode, 0)
        send_smtplib(relay, MAIL)
        self.assertEqual(relay.cli('probe', 'example.com').returncode, 0)
        self.assertEqual(relay.status()['lanes'][0]['domains'][0]['state'], 'paused')
        relay.kill()
        relay.start()
        self.assertEqual(relay.status()['lanes'][0]['domains'][0]['state'], 'paused')
        self.assertEqual((relay.held(), destination.count()), (1, 0))
        self.assertEqual(relay.cli('resume', 'example.com').returncode, 0)
        wait_until(destination.count, 20, 'it arrives')
        self.fails(relay, ['hold', 'nowhere.example'], 'not served')
        self.fails(relay, ['hold', 'example.com', '--until', 'never'], 'never', 2)

    def test_metrics_and_log(self):
        relay, _ = self.pair()
        reply = send_smtplib(relay, MAIL)
        identity = re.search(r'[0-9A-Z]{13}', reply).group(0)
        wait_until(lambda: 'status=sent' in relay.log(), 20, 'the log says so')
        lines = [line for line in relay.log().splitlines() if identity in line]
        self.assertTrue(any('from=alice@example.net' in line and 'to=bob@example.com' in line for line in lines), lines)
        self.assertTrue(any('relay=' in line and 'dsn=2.0.0' in line for line in lines), lines)


if __name__ == '__main__':
    main()
