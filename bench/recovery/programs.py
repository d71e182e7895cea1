"""The programs that are compared, as relays before a server at a port of loopback."""
import contextlib
import http.client
import json
import os
import random
import re
import socket
import sys
import threading

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, '..'))
import lib  # noqa: E402
from fake import harness  # noqa: E402


class Restante(lib.Restante):
    """As it is."""
    every_s = 0.2  # how often it is asked

    def _get(self, path):
        connection = http.client.HTTPConnection('restante', timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(20)
        connection.sock.connect(os.path.join(self.data, 'api.sock'))
        try:
            connection.request('GET', path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def sample(self):
        """Held messages, window, its rate, state of the server and of the domain, in its words."""
        status = self._get('/v1/status')
        lane = (status['lanes'] or [{}])[0]
        domain = (lane.get('domains') or [{}])[0]
        return {'held': status['held']['messages'], 'window': lane.get('window', 0), 'rate': lane.get('rate_per_s', 0),
                'state': lane.get('state'), 'domain': domain.get('state')}

    def bounced(self):
        totals = self._get('/v1/status')['totals']
        return totals['ended'] - totals['delivered']

    def hurry(self):
        pass

    def log_text(self):
        return self.log()


class Postfix(lib.Postfix):
    """With its defaults for deliveries."""
    every_s = 2
    MAIN = re.sub(r'(?m)^(default_destination|initial_destination|qmgr_message)_.*\n', '', lib.Postfix.MAIN) + '''
bounce_queue_lifetime = 5d
'''

    def sample(self):
        return {'held': self.waiting()}

    def hurry(self):
        pass

    def bounced(self):
        return len(re.findall(r'to=<user.*status=bounced', self.log()))

    def log_text(self):
        return self.log()


class PostfixFlush(Postfix):
    """With somebody who flushes its queue every few seconds."""
    name = 'postfix, flushed'
    FLUSH_S = 5

    ended = None

    def hurry(self):
        """Begins shortly before the server is back."""
        self.ended = threading.Event()
        self.flusher = threading.Thread(target=self._flush, daemon=True)
        self.flusher.start()
        self.ended.wait(self.FLUSH_S * random.random())

    def _flush(self):
        while not self.ended.wait(self.FLUSH_S):
            with contextlib.suppress(AssertionError):
                self.flush()

    def stop(self):
        if self.ended is not None:
            self.ended.set()
            self.flusher.join()
        super().stop()


PROGRAMS = {'restante': Restante, 'postfix': Postfix, 'flush': PostfixFlush}
