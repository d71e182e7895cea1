"""The world around the relay, in one asyncio loop: senders, the domains' server, and the API."""
import asyncio
import json

CHUNK = 64 * 1024


async def _reply(reader):
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionError('closed')
        if line[3:4] != b'-':
            return int(line[:3])


async def _say(reader, writer, text):
    writer.write(text)
    await writer.drain()
    return await _reply(reader)


async def send(ledger, port, count):
    """A session with up to count messages. Ends with OSError or IncompleteReadError when the relay dies."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    try:
        await _reply(reader)
        await _say(reader, writer, b'EHLO sender.test\r\n')
        for _ in range(count):
            await _send_one(ledger.new_mail(), ledger, reader, writer)
    finally:
        writer.close()


async def _send_one(mail, ledger, reader, writer):
    mail.round = ledger.round
    codes = [await _say(reader, writer, b'MAIL FROM:<%s>\r\n' % mail.sender.encode())]
    for recipient in mail.recipients:
        codes.append(await _say(reader, writer, b'RCPT TO:<%s>\r\n' % recipient.encode()))
    if set(codes) != {250} or await _say(reader, writer, b'DATA\r\n') != 354:
        mail.state = 'refused'
        await _say(reader, writer, b'RSET\r\n')
        return
    content = mail.content()
    for at in range(0, len(content), CHUNK):
        writer.write(content[at:at + CHUNK])
        await writer.drain()
    mail.state = 'dot'
    code = await _say(reader, writer, b'.\r\n')
    mail.state = 'accepted' if code == 250 else 'refused' if code == 552 else 'dot'  # 451 may mean unknown


class Sink:
    """The server of both domains. Takes everything, sometimes slowly."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.server = None

    async def start(self):
        self.server = await asyncio.start_server(self._session, '127.0.0.1', 0, limit=1 << 20)
        return self.server.sockets[0].getsockname()[1]

    async def _session(self, reader, writer):
        try:
            writer.write(b'220 sink.test\r\n')
            await self._commands(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _commands(self, reader, writer):
        sender, recipients = '', []
        number = self.ledger.round  # what a dead relay has sent arrives after its death too
        while line := await reader.readline():
            verb = line[:4].upper()
            address = line[line.find(b'<') + 1:line.find(b'>')].decode()
            if verb == b'EHLO':
                writer.write(b'250-sink.test\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250 8BITMIME\r\n')
                continue
            if verb == b'MAIL':
                sender, recipients = address, []
            elif verb == b'RCPT':
                recipients.append(address)
            elif verb == b'DATA':
                writer.write(b'354 go on\r\n')
                await self._take(reader, sender, recipients, number)
            writer.write(b'221 bye\r\n' if verb == b'QUIT' else b'250 ok\r\n')

    async def _take(self, reader, sender, recipients, number):
        content = await _until_dot(reader)
        if self.ledger.chance.random() < 0.2:
            await asyncio.sleep(self.ledger.chance.random() * 0.03)
        self.ledger.arrived(sender, recipients, _without_received(content), number)


async def _until_dot(reader):
    """No line of ours begins with a dot."""
    content = bytearray()
    while not content.endswith(b'\r\n.\r\n'):
        piece = await reader.read(1 << 18)
        if not piece:
            raise ConnectionError('closed')
        content += piece
    return bytes(content[:-3])


def _without_received(content):
    while content[:9].lower() == b'received:':
        end = content.index(b'\r\n')
        while content[end + 2:end + 3] in (b' ', b'\t'):
            end = content.index(b'\r\n', end + 2)
        content = content[end + 2:]
    return content


async def api(data, method, path):
    """(status, answer) of a request over the socket in the data folder."""
    reader, writer = await asyncio.open_unix_connection(data + '/api.sock')
    try:
        writer.write(('%s %s HTTP/1.1\r\nHost: relay\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' % (method, path)).encode())
        await writer.drain()
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b'\r\n\r\n')
    if b'\r\ntransfer-encoding: chunked' in head.lower():
        body = _unchunked(body)
    if not head:
        raise ConnectionError('no answer')
    try:
        return int(head.split()[1]), json.loads(body) if body else None
    except ValueError:
        raise ConnectionError('half an answer') from None


def _unchunked(body):
    whole = b''
    while body:
        size, _, body = body.partition(b'\r\n')
        whole += body[:int(size, 16)]
        body = body[int(size, 16) + 2:]
    return whole


async def all_held(data):
    """{(sender, recipient)} of what is queued, and the id of each sender's message."""
    held, ids, after = set(), {}, ''
    while True:
        status, answer = await api(data, 'GET', '/v1/queue?limit=1000' + after)
        if status != 200:
            raise ConnectionError('queue: %d %s' % (status, answer))
        for message in answer['messages']:
            ids[message['reverse_path']] = message['id']
            held |= {(message['reverse_path'], r['forward_path']) for r in message['recipients'] if r['state'] == 'queued'}
        if not answer['more']:
            return held, ids
        after = '&after=' + answer['next']
