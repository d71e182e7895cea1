"""The fake server as a process, what it says about itself, and a client that can keep many messages in flight."""
import os
import random
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'tests', 'e2e'))
import harness  # noqa: E402

PROGRAM = os.environ.get('FAKE_SERVER', os.path.join(HERE, '..', '..', 'build', 'release', 'bench', 'recovery', 'fake_server'))


def quiet_port():
    """A free one below those that the kernel takes for connections: while the server is down, nobody else gets it, and a
    connection to it cannot meet itself."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass


def options(seed, full_s):
    return ['--seed', str(seed)] + ([] if full_s is None else ['--full', str(full_s)])


def oracle_s(model, backlog, fresh_per_s, seed=1, full_s=None):
    """How long a server needs that is always exactly at its capacity."""
    done = harness.run(PROGRAM, model, '--oracle', str(backlog), str(fresh_per_s), *options(seed, full_s))
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


class FakeServer:
    """Plain and well at first. Times are those of time.monotonic()."""

    def __init__(self, model, seed=1, full_s=None):
        self.model = model
        self.options = options(seed, full_s)
        self.port = quiet_port()
        self.process = None
        self.lock = threading.Lock()
        self.delivered = []  # (time, number of the message)
        self.refusals = []   # (time, why)
        self.crashes = []    # times
        self.ups = []        # times
        self.samples = []    # (time, in service, connections, capacity, worked)

    def start(self):
        self.process = subprocess.Popen([PROGRAM, self.model, str(self.port), *self.options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        harness.wait_until(lambda: self.ups, 60, 'the fake server listens')
        return self

    def _read(self, lines):
        for line in lines:
            kind, when, *rest = line.split()
            when = float(when)
            with self.lock:
                if kind == 'D':
                    self.delivered.append((when, int(rest[0])))
                elif kind == 'R':
                    self.refusals.append((when, rest[0]))
                elif kind == 'X':
                    self.crashes.append(when)
                elif kind == 'U':
                    self.ups.append(when)
                else:
                    self.samples.append((when, int(rest[0]), int(rest[1]), float(rest[2]), float(rest[3])))

    def tell(self, word):
        self.process.stdin.write(word + '\n')
        self.process.stdin.flush()

    def down(self):
        self.tell('down')
        harness.wait_until(lambda: not self.listens(), 20, 'the fake server is down')

    def listens(self):
        try:
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True
        except OSError:
            return False

    def up(self):
        """Returns when it came up as its model."""
        before = len(self.ups)
        self.tell('up')
        harness.wait_until(lambda: len(self.ups) > before, 20, 'the fake server is up')
        return self.ups[before]

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            harness.end_process(self.process)
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Client:
    """One connection that says what it is told to, and reads replies one by one."""

    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(('127.0.0.1', port), timeout)
        self.file = self.socket.makefile('rb')
        self.greeting = self.reply()

    def reply(self):
        """Code and text of the last line; '' when the connection has ended."""
        while (line := self.file.readline())[3:4] == b'-':
            pass
        return line.decode().rstrip('\r\n')

    def say(self, *lines):
        self.socket.sendall(b''.join(line.encode() + b'\r\n' for line in lines))

    def ask(self, *lines):
        """Pipelined: a reply to each."""
        self.say(*lines)
        return [self.reply() for _ in lines]

    def begin(self, recipient='bob@example.com'):
        """Up to 354."""
        return self.ask('MAIL FROM:<alice@example.net>', 'RCPT TO:<%s>' % recipient, 'DATA')

    def content(self, number=0):
        self.say('From: alice@example.net', 'Subject: %d' % number, '', 'text', '.')

    def send(self, number=0):
        """Returns the reply to the dot."""
        replies = self.begin()
        assert replies[2][:3] == '354', replies
        self.content(number)
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def closed_loop(port, connections, seconds):
    """Each connection sends one message after the other for so long; ends early when the server dies."""
    end = time.monotonic() + seconds

    def run():
        try:
            with Client(port) as client:
                while time.monotonic() < end and client.send()[:3] == '250':
                    pass
        except (OSError, AssertionError):
            pass

    threads = [threading.Thread(target=run) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
