#!/usr/bin/python3
"""dsn_parse.py TEST_DSN: Python's email package must read our notifications as we mean them."""
import email
import email.policy
import subprocess
import sys


def read(number):
    data = subprocess.run([sys.argv[1], str(number)], check=True, capture_output=True).stdout
    message = email.message_from_bytes(data, policy=email.policy.SMTP.clone(raise_on_defect=False))
    for part in message.walk():
        assert not part.defects, (number, part.get_content_type(), part.defects)
    return message


def check_head(message, kind):
    assert message.get_content_type() == 'multipart/report'
    assert message.get_param('report-type') == kind
    assert message['Auto-Submitted'] == 'auto-replied'
    assert message['To'].addresses[0].addr_spec == 'sender@example.org'
    assert message['Date'].datetime.timestamp() == 1700000100
    assert message['Message-ID'] == '<1@relay.example.net>'


def check_report(message):
    first, report, _ = message.get_payload()
    assert first.get_content_type() == 'text/plain'
    assert '550 5.1.1 no such user' in first.get_content()
    assert report.get_content_type() == 'message/delivery-status'
    whole, joe, ann = report.get_payload()
    assert whole['Reporting-MTA'] == 'dns;relay.example.net', whole.items()
    assert whole['Original-Envelope-Id'] == 'QQ=1'
    assert whole['Arrival-Date'] == 'Tue, 14 Nov 2023 22:13:20 +0000'
    assert joe.items() == [('Original-Recipient', 'rfc822;joe+x@example.net'),
                           ('Final-Recipient', 'rfc822;joe+x@example.com'), ('Action', 'failed'), ('Status', '5.1.1'),
                           ('Remote-MTA', 'dns;mx.example.com'), ('Diagnostic-Code', 'smtp;550 5.1.1 no such user'),
                           ('Last-Attempt-Date', 'Tue, 14 Nov 2023 22:13:20 +0000')], joe.items()
    assert ann.items() == [('Final-Recipient', 'rfc822;ann@example.com'), ('Action', 'relayed'), ('Status', '2.0.0')]


headers, full = read(0), read(1)
for message in headers, full:
    check_head(message, 'delivery-status')
    check_report(message)
returned = headers.get_payload()[2]
assert returned.get_content_type() == 'text/rfc822-headers'
assert 'X-Was: here' in returned.get_payload() and 'body' not in returned.get_payload()
returned = full.get_payload()[2]
assert returned.get_content_type() == 'message/rfc822'
assert returned.get_payload(0)['Subject'] == 'hello' and 'body' in returned.get_payload(0).get_payload()
for number, kind in (2, 'message/global-headers'), (3, 'message/global'):
    message = read(number)
    check_head(message, 'global-delivery-status')
    types = [part.get_content_type() for part in message.get_payload()]
    assert types == ['text/plain', 'message/global-delivery-status', kind], types
print('ok')
