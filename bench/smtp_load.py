"""Senders for measurements: transactions to many domains in turn, over reused connections."""
import os
import socket
import time

CONTENT = b'From: alice@example.net\r\nSubject: load\r\n\r\n' + b'x' * 70 + b'\r\n'
CONNECTIONS = 20
PROCESSES = 2


class Refused(Exception):
    pass


class Session:
    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile('rb')
        self.answer()
        self.say(b'EHLO sender.example.net\r\n')

    def answer(self):
        while (line := self.file.readline())[3:4] == b'-':
            pass
        if line[:1] not in (b'2', b'3'):
            raise Refused(line)
        return line

    def say(self, text):
        self.socket.sendall(text)
        return self.answer()

    def begin(self, recipient):
        self.socket.sendall(b'MAIL FROM:<alice@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\n' % recipient)

    def go_on(self, content):
        for _ in range(3):
            self.answer()
        self.socket.sendall(content + b'.\r\n')

    def send_mail(self, recipient, content):
        self.begin(recipient)
        self.go_on(content)
        self.answer()


def run(port, domains, count, first):
    """All sessions of this process are in the same place of their transactions: their commits go together."""
    sessions = [Session(port) for _ in range(CONNECTIONS // PROCESSES)]
    sent = first
    while count > 0:
        for session in sessions:
            session.begin(b'bob@d%d.example' % (sent % domains))
            sent += 1
        for session in sessions:
            session.go_on(CONTENT)
        for session in sessions:
            session.answer()
        count -= len(sessions)
        if sent // 1000 != (sent - len(sessions)) // 1000:
            sessions = renewed(port, sessions)


def renewed(port, sessions):
    """A session may not go on for ever."""
    for session in sessions:
        session.say(b'QUIT\r\n')
        session.socket.close()
    return [Session(port) for _ in sessions]


def load(port, domains, count):
    """Messages per second."""
    begun = time.perf_counter()
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if child == 0:
            try:
                run(port, domains, count // PROCESSES, number * count // PROCESSES)
                os._exit(0)
            except BaseException as error:  # pylint: disable=broad-except
                print('a sender failed:', error, flush=True)
                os._exit(1)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return count / (time.perf_counter() - begun)
