"""What the benchmarks share: the programs that are compared, what they cost, and the table.

A benchmark is a module with WORKS, {name: function(options)}; each function yields rows (work, bar, measured, reached), where
reached is True, False or None (nothing to compare with). bench/run runs them.
"""
import argparse
import contextlib
import glob
import os
import platform
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'e2e'))
import harness  # noqa: E402

MESSAGE_BYTES = 10240
TICK_S = 1 / os.sysconf('SC_CLK_TCK')


class Options:
    """rounds: runs of each program. scale: part of the usual number of messages; below 1 the figures say little."""

    def __init__(self, rounds=5, scale=1.0):
        self.rounds = rounds
        self.scale = scale

    def count(self, usual, least=1):
        return max(least, int(usual * self.scale))

    def seconds(self, usual):
        """For what is measured over some time."""
        return usual if self.scale >= 1 else max(0.3, usual * self.scale)


def machine():
    with open('/proc/cpuinfo', encoding='ascii', errors='replace') as file:
        model = re.search(r'model name\s*: (.*)', file.read())
    return '%s, %d processors, Linux %s, load %.1f' % (model.group(1) if model else platform.machine(),
                                                       len(os.sched_getaffinity(0)), platform.release(), os.getloadavg()[0])


def check_release():
    """A build with sanitizers is several times slower: its figures would be of no use."""
    if not os.access(harness.BINARY, os.X_OK):
        sys.exit('%s is not there: bench/run builds it' % os.path.realpath(harness.BINARY))
    with open(harness.BINARY, 'rb') as file:
        if b'__asan_init' in file.read() and 'RESTANTE_BENCH_ANY_BUILD' not in os.environ:
            sys.exit('%s is built with sanitizers: build with --buildtype=release' % harness.BINARY)


@contextlib.contextmanager
def work_folder():
    """On the file system of $TMPDIR: everybody's spool and queue. Postfix works as another user."""
    folder = tempfile.mkdtemp(prefix='restante-bench-')
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, True)


# --- what processes cost -----------------------------------------------------------------------------------------------

def _stat(pid):
    """Fields of /proc/PID/stat from the third on."""
    with open('/proc/%s/stat' % pid, encoding='ascii', errors='replace') as file:
        return file.read().rsplit(')', 1)[1].split()


def tree(root):
    """A process and all that descend from it."""
    children = {}
    for path in glob.glob('/proc/[0-9]*'):
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(path[6:])[1]), []).append(int(path[6:]))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def tree_cpu_s(root):
    """User and system time of a process and of all that it has ever started, as far as their parents have waited."""
    ticks = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            ticks += sum(int(field) for field in _stat(pid)[11:15])
    return ticks * TICK_S


def written_bytes(pid):
    """What the process has caused to be written to disks."""
    with open('/proc/%d/io' % pid, encoding='ascii') as file:
        fields = dict(line.split(': ') for line in file)
    return int(fields['write_bytes']) - int(fields['cancelled_write_bytes'])


def memory_bytes(pid, field='RssAnon'):
    with open('/proc/%d/status' % pid, encoding='ascii', errors='replace') as file:
        return int(re.search(r'%s:\s*(\d+) kB' % field, file.read()).group(1)) * 1024


class SyncCount:
    """Counts fdatasync and fsync of a process. perf counts in the kernel and disturbs nothing; where it cannot, strace is
    taken, which slows the process so much that its commits come out larger: `how` says which."""
    CALLS = 'fdatasync', 'fsync', 'sync_file_range'

    def __init__(self, pid):
        self.output = tempfile.NamedTemporaryFile(mode='r')
        events = ','.join('syscalls:sys_enter_' + call for call in self.CALLS)
        self.how = None
        for how, command in (('perf', ['perf', 'stat', '-x', ';', '-o', self.output.name, '-e', events, '-p', str(pid)]),
                             ('strace', ['strace', '-f', '-q', '-c', '-o', self.output.name, '-e',
                                         'trace=' + ','.join(self.CALLS), '-p', str(pid)])):
            if shutil.which(command[0]):
                self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.5)  # it ends at once when it is not allowed to
                if self.process.returncode is None:
                    self.how = how
                    return

    def stop(self):
        """The number, or None when there was no way to count."""
        if self.how is None:
            return None
        harness.end_process(self.process, signal.SIGINT)
        pattern = r'(?m)^(\d+);' if self.how == 'perf' else r'(?m)^.* (\d+) +(?:\d+ +)?(?:f\w*sync|sync_file_range)$'
        return sum(int(number) for number in re.findall(pattern, self.output.read()))


# --- the programs ------------------------------------------------------------------------------------------------------

class Restante(harness.Relay):
    """For example.com with its server at a port of loopback, which may be dead."""
    name = 'restante'

    def __init__(self, folder, port, *options):
        super().__init__(folder, '--domain', 'example.com=127.0.0.1:%d' % port, *options)

    def pid(self):
        return self.process.pid

    def waiting(self):
        return self.held()

    def flush(self):
        self.cli('probe', 'example.com')


class Postfix(harness.Postfix):
    """As a relay before a server at a port of loopback, at its best setting: more processes than there are connections, no
    delays on input, no limits per client, no chroot, no milters, no hostname lookups, and many connections outwards."""
    name = 'postfix'
    MAIN = re.sub(r'(?m)^(virtual_|inet_protocols).*\n', '', harness.Postfix.MAIN) + '''
inet_protocols = ipv4
relay_domains = example.com
relay_recipient_maps =
relay_transport = smtp:[127.0.0.1]:{destination}
smtp_host_lookup = native
disable_dns_lookups = yes
smtpd_peername_lookup = no
default_process_limit = 500
in_flow_delay = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
default_destination_concurrency_limit = 100
initial_destination_concurrency = 20
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
smtp_tls_security_level = none
smtpd_tls_security_level = none
'''
    MASTER = harness.Postfix.MASTER + 'smtp unix - - n - - smtp\npickup unix n - n 60 1 pickup\n'

    def __init__(self, folder, port):
        super().__init__(folder)
        self.MAIN = self.MAIN.replace('{destination}', str(port))

    def pid(self):
        return self.process.pid

    def waiting(self):
        return sum(len(files) for name in ('maildrop', 'incoming', 'active', 'deferred')
                   for _, _, files in os.walk(os.path.join(self.top, 'queue', name)))

    def settled(self):
        """All that was accepted has been tried once."""
        return not any(files for name in ('incoming', 'active') for _, _, files in os.walk(os.path.join(self.top, 'queue', name)))

    def flush(self):
        conf = os.path.join(self.top, 'conf')
        done = harness.run(harness.peer('usr/sbin/postqueue'), '-c', conf, '-f',
                           env=dict(harness.peer_environment(), MAIL_CONFIG=conf))
        assert done.returncode == 0, done.stderr


class Sink:
    """smtp-sink that stores nothing, and counts when it is asked to, which costs it something."""
    name = 'smtp-sink'

    def __init__(self, port=None, counts=True):
        self.port = port or harness.free_port()
        self.counts = ['-c'] if counts else []
        self.process = None
        self.first_s = self.last_s = None
        self._count = 0

    def start(self):
        user = ['-u', 'nobody'] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([harness.peer('usr/sbin/smtp-sink'), *user, *self.counts, '127.0.0.1:%d' % self.port, '1000'],
                                        env=harness.peer_environment(), stdout=subprocess.PIPE, cwd='/')
        threading.Thread(target=self._read, daemon=True).start()
        harness.wait_until(lambda: harness.accepts(self.port), 20, 'smtp-sink listens')
        return self

    def _read(self):
        rest = b''
        while data := os.read(self.process.stdout.fileno(), 65536):
            now = time.monotonic()
            *lines, rest = (rest + data).split(b'\r')
            if not lines:
                continue
            count = int(lines[-1].rsplit(b'=', 1)[1])
            if count > self._count:
                self.first_s = self.first_s or now
                self.last_s = now
                self._count = count

    def count(self):
        return self._count

    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process is not None:
            harness.end_process(self.process, signal.SIGKILL)
            self.process = None


def source(port, connections, count, reuse=True, size=MESSAGE_BYTES):
    """smtp-source; returns the seconds that it took."""
    start = time.monotonic()
    done = harness.run(harness.peer('usr/sbin/smtp-source'), *(['-d'] if reuse else []), '-l', str(size), '-s',
                       str(connections), '-m', str(count), '-f', 'alice@example.net', '-t', 'bob@example.com', '-M',
                       'sender.example.net', '127.0.0.1:%d' % port, env=harness.peer_environment(), timeout=3600)
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds


@contextlib.contextmanager
def running(*things):
    """Starts them in this order, ends them in the opposite one."""
    with contextlib.ExitStack() as stack:
        for thing in things:
            stack.callback(thing.stop)
            thing.start()
        yield


class Sender:
    """One connection that sends one message after the other and says how long each took. From an address of its own, so that
    limits per address do not meet it."""

    def __init__(self, port, address='127.0.0.9', body_lines=50):
        self.socket = socket.create_connection(('127.0.0.1', port), 60, (address, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile('rb')
        self.body = (b'x' * 70 + b'\r\n') * body_lines
        self._reply()
        self._say(b'EHLO sender.example.net\r\n')

    def _reply(self):
        while (line := self.file.readline())[3:4] == b'-':
            pass
        return line

    def _say(self, line):
        self.socket.sendall(line)
        answer = self._reply()
        assert answer[:1] in (b'2', b'3'), answer

    def send(self, subject=0, recipient=b'bob@example.com'):
        """Returns when the first byte went, and when the 250 had come."""
        start = time.perf_counter()
        self._say(b'MAIL FROM:<alice@example.net>\r\n')
        self._say(b'RCPT TO:<%s>\r\n' % recipient)
        self._say(b'DATA\r\n')
        self._say(b'Subject: %d\r\n\r\n' % subject + self.body + b'.\r\n')
        return start, time.perf_counter()

    def close(self):
        self.file.close()
        self.socket.close()


# --- figures -----------------------------------------------------------------------------------------------------------

def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


class Figures:
    """Runs of several programs: one value for each run and program; medians."""

    def __init__(self):
        self.values = {}

    def add(self, name, value):
        if value is not None:
            self.values.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.values[name]) if self.values.get(name) else None

    def spread(self, name):
        values = self.values[name]
        return '%.3g-%.3g' % (min(values), max(values))


def raise_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, max(hard, soft)), hard))


def print_row(row):
    work, bar, measured, reached = row
    print('| %s | %s | %s | %s |' % (work, bar, measured, {True: 'yes', False: 'NO', None: '-'}[reached]), flush=True)


def run_works(works, options, names=()):
    """Prints the table as it grows; returns the rows."""
    check_release()
    rows = []
    print('%s, %d runs of each, scale %g' % (machine(), options.rounds, options.scale))
    print('\n| work | bar | measured | reached |\n|--|--|--|--|', flush=True)
    for name in names or works:
        for row in works[name](options):
            rows.append(row)
            print_row(row)
    print('\n' + machine())
    return rows


def main(works, description, argv=None):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5, help='runs of each program (5)')
    parser.add_argument('--scale', type=float, default=1.0, help='part of the usual number of messages (1); for a quick look')
    parser.add_argument('work', nargs='*', help='which (all): ' + ' '.join(works))
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.work if name not in works]
    if unknown:
        parser.error('no such work: %s; there are: %s' % (' '.join(unknown), ' '.join(works)))
    run_works(works, Options(arguments.rounds, arguments.scale), arguments.work)
