#!/usr/bin/python3
"""A destination: aiosmtpd in a process of its own, so that it can be killed like a real one.

Usage: sink.py PORT FOLDER. Each message becomes FOLDER/N.eml, the bytes as they came, and FOLDER/N.json: from, to, time.
While FOLDER/refuse exists, its text is the reply to each RCPT. While FOLDER/distrust exists, mail is refused whose sender's address ends
with its text. While FOLDER/users exists, it has the users that exist, a local part on each line. While FOLDER/forward exists, it names a port of loopback to
which each message is sent on to the same recipients.
"""
import asyncio
import json
import os
import smtplib
import sys
import time

from aiosmtpd.smtp import SMTP

BYTES_MAX = 64 * 1024 * 1024


def send_on(port, envelope):
    with smtplib.SMTP('127.0.0.1', port, local_hostname='sink.example', timeout=60) as client:
        client.sendmail(envelope.mail_from, envelope.rcpt_tos, b'Received: from relay by sink.example\r\n' + envelope.original_content)


class Keep:
    """Writes a message down before it is answered with 250."""

    def __init__(self, folder):
        self.folder = folder
        self.number = len([name for name in os.listdir(folder) if name.endswith('.json')])

    def distrusts(self, sender):
        try:
            with open(os.path.join(self.folder, 'distrust'), encoding='ascii') as file:
                return sender.endswith(file.read())
        except FileNotFoundError:
            return False

    def knows(self, address):
        try:
            with open(os.path.join(self.folder, 'users'), encoding='ascii') as file:
                return address.rpartition('@')[0].lower() in file.read().split('\n')
        except FileNotFoundError:
            return True

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.distrusts(envelope.mail_from or ''):
            return '550 5.7.23 SPF validation failed: your host may not send for that domain'
        try:
            with open(os.path.join(self.folder, 'refuse'), encoding='ascii') as file:
                return file.read()
        except FileNotFoundError:
            if not self.knows(address):
                return '550 5.1.1 <%s>: nobody of that name lives here' % address
            envelope.rcpt_tos.append(address)
            return '250 2.1.5 known'

    async def handle_DATA(self, server, session, envelope):
        self.number += 1
        path = os.path.join(self.folder, '%06d' % self.number)
        with open(path + '.eml', 'wb') as file:
            file.write(envelope.original_content or b'')
        text = json.dumps({'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'time': time.time(),
                           'options': envelope.mail_options, 'tls': session.ssl is not None})
        with open(path + '.new', 'w', encoding='utf-8') as file:
            file.write(text)
        os.rename(path + '.new', path + '.json')
        try:
            with open(os.path.join(self.folder, 'forward'), encoding='ascii') as file:
                port = int(file.read())
            await asyncio.get_running_loop().run_in_executor(None, send_on, port, envelope)
        except FileNotFoundError:
            pass
        return '250 2.0.0 kept'


class Server(SMTP):
    line_length_limit = 1 << 20


async def main(port, folder):
    keep = Keep(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Server(keep, data_size_limit=BYTES_MAX, enable_SMTPUTF8=True, hostname='sink.example', timeout=600),
        '127.0.0.1', port)
    print('ready', flush=True)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
