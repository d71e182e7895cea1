"""What the end-to-end tests share: the relay as a process, destinations and senders that were not written here.

Everything that a test starts has a port that was free, a folder of its own, and an end by process id.
"""
import glob
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
PEERS = os.environ.get('RESTANTE_PEERS', os.path.join(HERE, '..', '..', 'build', 'peers'))
BINARY = os.environ.get('RESTANTE', os.path.join(HERE, '..', '..', 'build', 'release', 'src', 'daemon', 'restante'))
DOMAIN = 'example.com'
START_S = 60  # sanitizers and a busy machine
COMMAND_S = 60


def wait_until(condition, seconds, what):
    """Returns the condition's first true value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError('after %g s still not: %s' % (seconds, what))
        time.sleep(0.02)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def accepts(port):
    try:
        with socket.create_connection(('127.0.0.1', port), 1) as s:
            return s.recv(3) == b'220'
    except OSError:
        return False


def end_process(process, number=signal.SIGTERM, seconds=40):
    """Ends a process; returns its status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError('process %d did not end within %d s' % (process.pid, seconds)) from None


def run(*args, **kwargs):
    kwargs.setdefault('timeout', COMMAND_S)
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace',
                          check=False, **kwargs)


# --- the relay ---------------------------------------------------------------------------------------------------------

class Relay:
    """`restante serve` on a free port of loopback."""

    def __init__(self, folder, *options):
        self.data = os.path.join(folder, 'data')
        self.log_path = os.path.join(folder, 'relay.log')
        self.options = options
        self.environment = None  # that of the test
        self.port = free_port()
        self.process = None
        self.banner = ''

    def start(self):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(
                [BINARY, 'serve', '--data', self.data, '--listen', '127.0.0.1:%d' % self.port,
                 '--hostname', 'relay.example.org', *self.options], stdout=subprocess.PIPE, stderr=log,
                env=self.environment)
        self.banner = ''
        timer = threading.Timer(START_S, self.process.kill)
        timer.start()
        for line in self.process.stdout:
            self.banner += line.decode()
            if line.startswith(b'  next'):
                break
        timer.cancel()
        if '  next' not in self.banner:
            raise AssertionError('the relay did not start:\n' + self.log())
        return self

    def stop(self):
        if self.process is None:
            return 0
        status = end_process(self.process)
        self.process.stdout.close()
        self.process = None
        return status

    def kill(self):
        """The supervisor, and with it the worker, at once."""
        worker = self.worker()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None
        wait_until(lambda: not os.path.exists('/proc/%d' % worker) or _is_zombie(worker), 10,
                   'the worker ends with its supervisor')

    def kill_worker(self):
        """Returns when another one has taken over."""
        worker = self.worker()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: self.worker(False) not in (None, worker), 40, 'another worker')

    def worker(self, needed=True):
        with open('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid), encoding='ascii') as file:
            children = file.read().split()
        if needed:
            assert children, 'no worker:\n' + self.log()
        return int(children[0]) if children else None

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as file:
            return file.read()

    def cli(self, *args):
        return run(BINARY, *args, '--data', self.data)

    def ask(self, *args):
        """A command's answer as JSON."""
        done = self.cli(*args, '--json')
        assert done.returncode == 0, '%s: %s%s' % (args, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def status(self):
        return self.ask('status')

    def held(self):
        return self.status()['held']['messages']


def _is_zombie(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='ascii', errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()[0] in 'ZX'
    except OSError:
        return True


# --- destinations --------------------------------------------------------------------------------------------------------

class Message:
    """What a destination got. body: the bytes behind the Received lines on top, which are counted. Line ends are CRLF."""

    def __init__(self, content, envelope=None):
        self.content = content
        self.envelope = envelope or {}
        self.received, self.rest = split_received(content)


def split_received(content):
    fields = []
    while content[:9].lower() == b'received:':
        match = re.match(rb'[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*', content)
        if not match:
            break
        fields.append(match.group(0))
        content = content[match.end():]
    return fields, content


class Aiosmtpd:
    name = 'aiosmtpd'

    def __init__(self, folder):
        self.folder = os.path.join(folder, 'sink')
        os.makedirs(self.folder, exist_ok=True)
        self.port = free_port()
        self.process = None

    def start(self):
        self.process = subprocess.Popen(['/usr/bin/python3', os.path.join(HERE, 'sink.py'), str(self.port), self.folder],
                                        stdout=subprocess.PIPE)
        if not self.process.stdout.readline():
            raise AssertionError('aiosmtpd does not start')
        return self

    def stop(self):
        if self.process is not None:
            end_process(self.process, signal.SIGKILL)
            self.process.stdout.close()
            self.process = None

    def count(self):
        return len(glob.glob(os.path.join(self.folder, '*.json')))

    def messages(self):
        result = []
        for path in sorted(glob.glob(os.path.join(self.folder, '*.json'))):
            with open(path, encoding='utf-8') as file, open(path[:-5] + '.eml', 'rb') as content:
                result.append(Message(content.read(), json.load(file)))
        return result

    def own_received(self):
        return 0


def peer(path):
    """A program of the unpacked packages, or the test is skipped."""
    full = os.path.join(PEERS, path)
    if not os.access(full, os.X_OK):
        raise unittest.SkipTest('%s is not there: tests/e2e/peers.sh could not fetch it' % path)
    return full


def peer_environment():
    return dict(os.environ, LD_LIBRARY_PATH=os.path.join(PEERS, 'usr/lib/postfix'))


def to_crlf(content):
    return content.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')


class SmtpSink:
    """Postfix's smtp-sink, which writes each message with fields of its own on top."""
    name = 'smtp-sink'
    OWN = re.compile(rb'(?:X-(?:Client|Helo|Mail|Rcpt)-[^\r\n]*\r?\n)*')

    def __init__(self, folder):
        self.folder = os.path.join(folder, 'smtp-sink')
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(folder, 0o755)
        os.chmod(self.folder, 0o777)
        self.port = free_port()
        self.process = None

    def start(self):
        program = peer('usr/sbin/smtp-sink')
        user = ['-u', 'nobody'] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [program, *user, '-R', self.folder, '-d', 'm.', '127.0.0.1:%d' % self.port, '1000'],
            env=peer_environment(), cwd=self.folder, stderr=subprocess.PIPE)
        wait_until(lambda: self.process.poll() is not None or accepts(self.port), 10, 'smtp-sink listens')
        if self.process.poll() is not None:
            raise AssertionError('smtp-sink: ' + self.process.stderr.read().decode())
        return self

    def stop(self):
        if self.process is not None:
            end_process(self.process, signal.SIGKILL)
            self.process.stderr.close()
            self.process = None

    def _contents(self):
        for path in sorted(glob.glob(os.path.join(self.folder, 'm.*'))):
            with open(path, 'rb') as file:
                content = file.read()
            if b'X-Rcpt-Args:' in content:  # the last thing that is known before the message
                # It ends each message with an empty line.
                yield to_crlf(self.OWN.sub(b'', content, count=1))[:-2]

    def count(self):
        return len(list(self._contents()))

    def messages(self):
        return [Message(content) for content in self._contents()]

    def own_received(self):
        return 1


class Postfix:
    """A whole Postfix that delivers example.com into a maildir, from its unpacked package. Needs root."""
    name = 'postfix'
    MAIN = '''
compatibility_level = 3.6
queue_directory = {top}/queue
data_directory = {top}/lib
daemon_directory = {peers}/usr/lib/postfix/sbin
command_directory = {peers}/usr/sbin
shlib_directory = {peers}/usr/lib/postfix
meta_directory = {peers}/etc/postfix
mail_owner = {owner}
setgid_group = {group}
default_privs = {privs}
maillog_file = {top}/mail.log
maillog_file_prefixes = {top}
myhostname = mail.example.com
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
local_header_rewrite_clients =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {top}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = 104857600
alias_maps =
alias_database =
smtpd_client_connection_count_limit = 0
smtputf8_enable = yes
import_environment = LD_LIBRARY_PATH MAIL_CONFIG
export_environment = LD_LIBRARY_PATH MAIL_CONFIG
'''
    MASTER = '''
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
'''
    QUEUES = ('incoming', 'active', 'deferred', 'defer', 'bounce', 'corrupt', 'flush', 'hold', 'saved', 'trace',
              'maildrop', 'private', 'public', 'pid')

    def __init__(self, folder):
        self.top = os.path.join(folder, 'postfix')
        self.port = free_port()
        self.process = None

    def _prepare(self):
        import grp
        import pwd
        owner = pwd.getpwnam('nobody')
        # Three different accounts that every Debian has; Postfix insists that they differ.
        values = {'top': self.top, 'peers': os.path.realpath(PEERS), 'owner': 'nobody', 'group': 'mail',
                  'privs': 'daemon', 'port': '127.0.0.1:%d' % self.port, 'uid': owner.pw_uid, 'gid': owner.pw_gid}
        group = grp.getgrnam('mail').gr_gid
        for name in ('conf', 'lib', 'mail', 'queue'):
            os.makedirs(os.path.join(self.top, name), exist_ok=True)
        os.chmod(os.path.dirname(self.top), 0o755)
        for name in ('lib', 'mail'):
            os.chown(os.path.join(self.top, name), owner.pw_uid, owner.pw_gid)
        for name in self.QUEUES:
            path = os.path.join(self.top, 'queue', name)
            os.makedirs(path, exist_ok=True)
            if name != 'pid':
                os.chown(path, owner.pw_uid, group if name in ('maildrop', 'public') else 0)
            os.chmod(path, {'maildrop': 0o730, 'public': 0o710, 'pid': 0o755}.get(name, 0o700))
        for name, text in (('main.cf', self.MAIN), ('master.cf', self.MASTER)):
            with open(os.path.join(self.top, 'conf', name), 'w', encoding='ascii') as file:
                file.write(text.format(**values))

    def start(self):
        master = peer('usr/lib/postfix/sbin/master')
        if os.geteuid() != 0:
            raise unittest.SkipTest('Postfix needs root to start')
        self._prepare()
        self.process = subprocess.Popen([master, '-c', os.path.join(self.top, 'conf'), '-d'], env=dict(
            peer_environment(), MAIL_CONFIG=os.path.join(self.top, 'conf')), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until(lambda: accepts(self.port), 20, 'Postfix listens')
        except AssertionError as error:
            raise AssertionError('%s\n%s' % (error, self.log())) from None
        return self

    def log(self):
        try:
            with open(os.path.join(self.top, 'mail.log'), encoding='utf-8', errors='replace') as file:
                return file.read()
        except OSError:
            return '(no log)'

    def stop(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)  # with its daemons: they form a session of their own
            self.process.wait()
            self.process = None

    def _paths(self):
        return sorted(glob.glob(os.path.join(self.top, 'mail', 'all', 'new', '*')))

    def count(self):
        return len(self._paths())

    def messages(self):
        result = []
        for path in self._paths():
            with open(path, 'rb') as file:
                content = file.read()
            # Return-Path, X-Original-To, Delivered-To are the delivery agent's.
            while re.match(rb'(?:Return-Path|X-Original-To|Delivered-To):', content):
                content = content[content.index(b'\n') + 1:]
            result.append(Message(to_crlf(content)))
        return result

    def own_received(self):
        return 1


DESTINATIONS = (Aiosmtpd, SmtpSink, Postfix)


# --- senders ---------------------------------------------------------------------------------------------------------------

def stuffed(content):
    return re.sub(rb'(?m)^\.', b'..', content) + b'.\r\n'


def send_smtplib(relay, content, sender='alice@example.net', recipients=('bob@example.com',), options=(), timeout=60):
    """Returns the reply to the final dot; raises what smtplib raises."""
    with smtplib.SMTP('127.0.0.1', relay.port, local_hostname='sender.example.net', timeout=timeout) as s:
        s.ehlo()
        code, text = s.mail(sender, list(options))
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)
        for recipient in recipients:
            code, text = s.rcpt(recipient)
            if code != 250:
                raise smtplib.SMTPResponseException(code, text)
        code, text = s.docmd('DATA')
        if code != 354:
            raise smtplib.SMTPResponseException(code, text)
        s.send(stuffed(content))
        code, text = s.getreply()
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)
        return text.decode()


def send_swaks(relay, content, *options):
    """content as swaks puts it on the wire: nothing is added or translated."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(stuffed(content))
        file.flush()
        return run('swaks', '--server', '127.0.0.1', '--port', str(relay.port), '--helo', 'sender.example.net',
                   '--from', 'alice@example.net', '--to', 'bob@example.com', '--no-data-fixup', '--data',
                   '@' + file.name, '--timeout', '30', *options)


SMTP_SOURCE_ADDS = b'\r\n'


def send_smtp_source(relay, content, *options):
    """content is read line by line, and each gets its end anew; an empty line is added: SMTP_SOURCE_ADDS."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content.replace(b'\r\n', b'\n'))
        file.flush()
        return run(peer('usr/sbin/smtp-source'), '-F', file.name, '-f', 'alice@example.net', '-t', 'bob@example.com',
                   '-M', 'sender.example.net', *options, '127.0.0.1:%d' % relay.port, env=peer_environment())


# --- test cases --------------------------------------------------------------------------------------------------------------

class Case(unittest.TestCase):
    """A test with a folder and things that are ended after it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='restante-e2e-')
        self.addCleanup(shutil.rmtree, self.folder, True)

    def relay(self, *options):
        relay = Relay(self.folder, *options)
        self.addCleanup(self._end_relay, relay)
        return relay

    def destination(self, kind=Aiosmtpd):
        destination = kind(self.folder)
        self.addCleanup(destination.stop)
        return destination

    def pair(self, kind=Aiosmtpd, *options):
        """A relay for example.com in front of a destination, both running."""
        destination = self.destination(kind).start()
        relay = self.relay('--domain', '%s=127.0.0.1:%d' % (DOMAIN, destination.port), *options).start()
        return relay, destination

    def _end_relay(self, relay):
        if relay.process is None:
            return
        status = relay.stop()
        log = relay.log()
        if status != 0 or 'ERROR: AddressSanitizer' in log or 'runtime error:' in log or 'LeakSanitizer' in log:
            self.fail('the relay ended with status %d:\n%s' % (status, log[-8000:]))


def main():
    """Runs the tests of the module that calls it; 77 when all of them were skipped."""
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun > 0 and len(result.skipped) == result.testsRun:
        print(result.skipped[0][1])
        sys.exit(77)
    sys.exit(0)
