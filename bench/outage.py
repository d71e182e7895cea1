#!/usr/bin/python3
"""After an outage: how soon the first held message arrives, and all of them.

Usage: bench/outage.py [SECONDS [MESSAGES]], with RESTANTE=path of the program (default: build/release) and RESTANTE_PEERS=folder of
the unpacked mail servers (tests/e2e/peers.sh FOLDER). The destination is aiosmtpd, then Postfix; both are down for SECONDS
(default 300) while MESSAGES (default 1000) are held, and are counted from the moment at which they listen again.
"""
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'tests', 'e2e'))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import harness  # noqa: E402
from lib import machine  # noqa: E402

CONTENT = b'From: alice@example.net\r\nSubject: held\r\n\r\nLater.\r\n'


def outage(kind, seconds, count):
    """Seconds until the first and until the last message has arrived."""
    folder = tempfile.mkdtemp(prefix='restante-bench-')
    os.chmod(folder, 0o755)  # Postfix works as another user
    destination = kind(os.path.join(folder, 'destination')).start()
    relay = harness.Relay(folder, '--domain', 'example.com=127.0.0.1:%d' % destination.port).start()
    try:
        destination.stop()
        sent = harness.send_smtp_source(relay, CONTENT, '-s', '10', '-m', str(count))
        assert sent.returncode == 0, sent.stderr
        harness.wait_until(lambda: relay.held() == count, 60, 'all are held')
        time.sleep(seconds)
        start = time.monotonic()
        destination.start()
        harness.wait_until(lambda: destination.count() > 0, 120, 'the first arrives')
        first = time.monotonic() - start
        harness.wait_until(lambda: destination.count() >= count, 600, 'all arrive')
        return first, time.monotonic() - start, destination.count()
    finally:
        relay.stop()
        destination.stop()
        shutil.rmtree(folder, True)


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    for kind in harness.Aiosmtpd, harness.Postfix:
        first, last, arrived = outage(kind, seconds, count)
        print('%s down for %d s, %d messages held: first after %.1f s, all after %.1f s, %d arrived' % (
            kind.name, seconds, count, first, last, arrived), flush=True)
    print(machine())


if __name__ == '__main__':
    main()
