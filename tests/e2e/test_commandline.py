#!/usr/bin/python3
"""What people can get wrong: each has a message that says what to do, and the right exit status."""
import json
import os
import socket
import subprocess
import tempfile
import time
import unittest

from harness import BINARY, Case, end_process, free_port, main, run, send_smtplib, wait_until

# arguments, exit status, what the message must say
BAD = [
    ([], 2, 'serve'),
    (['frobnicate'], 2, 'restante help'),
    (['stauts'], 2, 'did you mean status?'),
    (['help', 'sreve'], 2, 'did you mean serve?'),
    (['serve', 'now'], 2, 'options only'),
    (['serve', '--lisen', '1.2.3.4:25'], 2, 'did you mean --listen?'),
    (['serve', '--listen'], 2, 'needs a value'),
    (['serve', '--listen='], 2, 'needs a value'),
    (['serve', '--listen', '127.0.0.1'], 2, 'port is missing'),
    (['serve', '--listen', '::1'], 2, 'port is missing'),
    (['serve', '--listen', '127.0.0.1:65536'], 2, '127.0.0.1:2525'),
    (['serve', '--listen', 'localhost:2525'], 2, '127.0.0.1:2525'),
    (['serve', '--listen', '[::1:25'], 2, '[::1]:2525'),
    (['serve', '--api', 'x'], 2, '--api'),
    (['serve', '--hostname', 'bad_name!'], 2, 'relay.example.net'),
    (['serve', '--hostname', 'short'], 2, 'full host name'),
    (['serve', '--domain', ''], 2, 'needs a value'),
    (['serve', '--domain', 'a b.example'], 2, 'not a domain name'),
    (['serve', '--domain', 'example.com='], 2, 'not a destination'),
    (['serve', '--domain', 'example.com=a.example,,b.example'], 2, 'not a destination'),
    (['serve', '--domain', 'example.com=mail.example.com:0'], 2, 'not a destination'),
    (['serve', '--domain', 'example.com=mail.example.com:99999'], 2, 'not a destination'),
    (['serve', '--store', 'cloud'], 2, 'spool'),
    (['serve', '--resolver', 'dns.example'], 2, '--resolver'),
    (['serve', '--normalise', '1.2.3.4/33'], 2, '192.0.2.0/24'),
    (['serve', '--config', '/nonexistent/file'], 2, '/nonexistent/file'),
    (['demo', '--fast'], 2, 'no options'),
    (['domain'], 2, ''),
    (['domain', 'frob'], 2, ''),
    (['domain', 'add'], 2, ''),
    (['status', '--frob'], 2, '--frob'),
    (['message', 'show'], 2, ''),
    (['queue', '--limit', 'many'], 2, ''),
    (['status', '--data', '/nonexistent'], 1, 'restante serve'),
]

# lines of a file, number of the wrong one, what the message must say
BAD_FILES = [
    ('hostname = relay.example.org\nlisen = 127.0.0.1:25\n', 2, 'did you mean listen?'),
    ('\n# a comment\nlisten = 127.0.0.1\n', 3, 'port is missing'),
    ('[section]\nhostname = relay.example.org\n', 2, 'no sections'),
    ('hostname = relay.example.org\nno equals sign here\n', 2, ''),
    ('hostname =\n', 1, 'needs a value'),
    ('config = other\n', 1, 'config is not known'),
    ('domain = example.com=bad host\n', 1, 'not a destination'),
]


class BadOptions(Case):

    def test_options(self):
        for args, status, words in BAD:
            with self.subTest(args=args):
                done = run(BINARY, *args, cwd=self.folder)
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                self.assertIn(words, done.stderr)
                self.assertTrue(done.stderr.strip(), 'says nothing')
                self.assertEqual(os.listdir(self.folder), [])

    def test_configuration_file(self):
        for text, line, words in BAD_FILES:
            with self.subTest(text=text):
                path = os.path.join(self.folder, 'restante.conf')
                with open(path, 'w', encoding='utf-8') as file:
                    file.write(text)
                done = run(BINARY, 'serve', '--config', path, '--data', os.path.join(self.folder, 'data'))
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn('line %d' % line, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertFalse(os.path.exists(os.path.join(self.folder, 'data')))

    def test_help(self):
        for args in (['help'], ['--help'], ['help', 'serve'], ['serve', '--help'], ['help', 'domain'], ['help', 'demo'],
                     ['--version'], ['help', 'status'], ['demo', '--help']):
            with self.subTest(args=args):
                done = run(BINARY, *args)
                self.assertEqual((done.returncode, done.stderr), (0, ''))
                self.assertIn('restante', done.stdout)


class ConfigurationFile(Case):

    def test_options_win(self):
        port = free_port()
        path = os.path.join(self.folder, 'restante.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('# ours\nhostname = one.example.org\nlisten = 127.0.0.1:%d\n'
                       'domain = example.com=127.0.0.1:1\ndomain = example.org=127.0.0.1:2 ; a comment\n' % port)
        relay = self.relay('--config', path, '--domain', 'example.net=127.0.0.1:3').start()
        self.assertIn('running as relay.example.org', relay.banner)
        self.assertNotIn(str(port), relay.banner)
        names = sorted(d['name'] for lane in relay.status()['lanes'] for d in lane['domains'])
        self.assertEqual(names, ['example.com', 'example.net', 'example.org'])


class Refusals(Case):
    """Things that the machine is to blame for: exit status 1, and what to do."""

    def serve(self, *options, seconds=30):
        return run(BINARY, 'serve', '--listen', '127.0.0.1:0', *options, timeout=seconds, cwd=self.folder)

    def refused(self, words, *options):
        done = self.serve(*options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(done.stdout, '')

    def test_port_in_use(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            port = s.getsockname()[1]
            self.refused(['127.0.0.1:%d' % port, 'another program'], '--data', 'data', '--listen', '127.0.0.1:%d' % port)
            self.refused(['127.0.0.1:%d' % port, 'another program'], '--data', 'data', '--api', '127.0.0.1:%d' % port)

    def test_foreign_address(self):
        self.refused(['192.0.2.1:2525'], '--data', 'data', '--listen', '192.0.2.1:2525')

    def test_second_daemon(self):
        relay = self.relay().start()
        self.refused(['another restante', str(relay.process.pid), '--data'], '--data', relay.data)
        self.assertEqual(relay.status()['node'], 'relay.example.org')

    def test_foreign_folder(self):
        os.mkdir(os.path.join(self.folder, 'photos'))
        with open(os.path.join(self.folder, 'photos', 'cat.jpg'), 'wb') as file:
            file.write(b'cat')
        self.refused(['not a data folder', '--data'], '--data', 'photos')
        self.assertEqual(os.listdir(os.path.join(self.folder, 'photos')), ['cat.jpg'])

    def test_newer_folder(self):
        relay = self.relay().start()
        relay.stop()
        path = os.path.join(relay.data, 'RESTANTE')
        with open(path, encoding='ascii') as file:
            text = file.read()
        with open(path, 'w', encoding='ascii') as file:
            file.write(text.replace('format 1', 'format 99'))
        self.refused(['newer version', 'format 99'], '--data', relay.data)
        with open(path, 'w', encoding='ascii') as file:
            file.write('something else\n')
        self.refused(['not written by restante'], '--data', relay.data)

    def test_newer_or_foreign_spool(self):
        relay = self.relay().start()
        relay.stop()
        path = os.path.join(relay.data, 'spool', 'VERSION')
        with open(path, encoding='ascii') as file:
            text = file.read()
        with open(path, 'w', encoding='ascii') as file:
            file.write(text.replace('1', '99'))
        self.refused(['spool', 'newer'], '--data', relay.data)

    def test_folder_is_a_file(self):
        with open(os.path.join(self.folder, 'file'), 'w', encoding='ascii'):
            pass
        self.refused(['file', '--data'], '--data', 'file')
        self.refused(['file', '--data'], '--data', 'file/below')

    def test_unwritable_folder(self):
        os.mkdir(os.path.join(self.folder, 'sealed'))
        os.chmod(os.path.join(self.folder, 'sealed'), 0o500)
        os.chmod(self.folder, 0o755)
        if os.geteuid() != 0:
            self.refused(['sealed', '--data'], '--data', 'sealed')
            return
        # root writes everywhere but on /proc; and another user is asked for the rest.
        self.refused(['/proc/restante', '--data'], '--data', '/proc/restante')
        program = tempfile.NamedTemporaryFile(dir=self.folder, delete=False)
        with program, open(BINARY, 'rb') as binary:
            program.write(binary.read())
        os.chmod(program.name, 0o755)
        done = run(program.name, 'serve', '--listen', '127.0.0.1:0', '--data', 'sealed', cwd=self.folder, user='nobody',
                   env=dict(os.environ, ASAN_OPTIONS='detect_leaks=0'))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn('--data', done.stderr)

    def test_broken_certificate(self):
        relay = self.relay().start()
        relay.stop()
        with open(os.path.join(relay.data, 'certificate.pem'), 'w', encoding='ascii') as file:
            file.write('nonsense\n')
        self.refused(['TLS'], '--data', relay.data)


class Defaults(Case):

    def test_everything_has_a_default(self):
        """Without any option: ./restante-data for an ordinary user, port 2525, says what to do next."""
        os.chmod(self.folder, 0o777)
        program = os.path.join(self.folder, 'restante')
        with open(program, 'wb') as file, open(BINARY, 'rb') as binary:
            file.write(binary.read())
        os.chmod(program, 0o755)
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', 2525)) == 0:
                raise unittest.SkipTest('port 2525 is in use')
        kwargs = {'user': 'nobody', 'env': dict(os.environ, ASAN_OPTIONS='detect_leaks=0')} if os.geteuid() == 0 else {}
        process = subprocess.Popen([program, 'serve'], cwd=self.folder, stdout=subprocess.PIPE, text=True, **kwargs)
        self.addCleanup(process.stdout.close)
        self.addCleanup(end_process, process)
        banner = ''
        while '  next' not in banner:
            line = process.stdout.readline()
            self.assertTrue(line, banner)
            banner += line
        self.assertIn('0.0.0.0:2525', banner)
        self.assertIn('port 25 needs root', banner)
        self.assertIn('./restante-data', banner)
        self.assertIn('domain add', banner)
        self.assertEqual(os.stat(os.path.join(self.folder, 'restante-data', 'api.sock')).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.join(self.folder, 'restante-data', 'certificate.key')).st_mode & 0o777, 0o600)


class Rights(Case):

    def test_worker_is_unprivileged(self):
        relay, _ = self.pair()
        with open('/proc/%d/status' % relay.worker(), encoding='ascii') as file:
            status = dict(line.split(':', 1) for line in file)
        self.assertEqual(status['NoNewPrivs'].strip(), '1')
        if os.geteuid() == 0:
            self.assertNotIn('0', status['Uid'].split())
            self.assertEqual(int(status['CapEff'], 16), 0)
            self.assertEqual(status['Groups'].split(), [])

    def test_private_parent_folder(self):
        """The worker cannot reach its folder by path, and need not."""
        os.chmod(self.folder, 0o700)
        relay, destination = self.pair()
        send_smtplib(relay, b'Subject: x\r\n\r\nx\r\n')
        wait_until(destination.count, 20, 'it arrives')

    def test_token_of_the_api(self):
        port = free_port()
        relay = self.relay('--api', '127.0.0.1:%d' % port).start()
        url = 'http://127.0.0.1:%d/v1/status' % port
        self.assertIn('http://127.0.0.1:%d' % port, relay.banner)
        token_path = os.path.join(relay.data, 'api.token')
        self.assertEqual(os.stat(token_path).st_mode & 0o777, 0o600)
        with open(token_path, encoding='ascii') as file:
            token = file.read().strip()
        self.assertGreaterEqual(len(token), 32)
        without = run('curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', url)
        self.assertEqual(without.stdout, '401')
        done = run('curl', '-s', '-H', 'Authorization: Bearer ' + token, url)
        self.assertEqual(json.loads(done.stdout)['node'], 'relay.example.org')

    def test_stop_is_quick_and_clean(self):
        relay, _ = self.pair()
        start = time.monotonic()
        self.assertEqual(relay.stop(), 0)
        self.assertLess(time.monotonic() - start, 10)
        self.assertFalse(os.path.exists(os.path.join(relay.data, 'api.sock')))


if __name__ == '__main__':
    main()
