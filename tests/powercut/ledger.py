"""What was sent, what the relay said of it, what arrived: and what must therefore be true after a power cut."""
import random

LINE = b'The quick brown fox jumps over the lazy dog; and 0123456789.\r\n'
BLOCK_LINES = 4096


def _block():
    """Lines that differ, so that a page in the wrong place is seen."""
    return b''.join(b'%04d ' % i + LINE for i in range(BLOCK_LINES))


BLOCK = _block()
LINE_BYTES = len(BLOCK) // BLOCK_LINES


def draw_size(chance):
    """100 bytes to 300 KiB, now and then 5 MB."""
    kind = chance.random()
    if kind < 0.6:
        return chance.randint(0, 4000)
    if kind < 0.9:
        return chance.randint(4000, 60000)
    if kind < 0.995:
        return chance.randint(60000, 300 * 1024)
    return 5_000_000


class Mail:
    """One message. Its sender address tells which one it is."""

    def __init__(self, number, chance, may_hold):
        self.number = number
        self.sender = 's%d@src.test' % number
        domain = 'held.test' if chance.random() < 0.5 and may_hold else 'open.test'
        count = chance.choice((1, 1, 1, 2, 5))
        self.recipients = ['u%d@%s' % (i, domain) for i in range(count)]
        self.size = draw_size(chance)
        self.start = chance.randrange(BLOCK_LINES) * LINE_BYTES
        self.state = 'new'                       # 'dot': all of it was sent, no answer came; 'accepted'; 'refused'
        self.delivered = {}                      # recipient: the rounds in which the sink said 250
        self.ended = {}                          # recipient: how we know that its end is durable
        self.removing = False                    # its removal was asked for; without it in `ended`, perhaps not done

    def held(self):
        return self.recipients[0].endswith('@held.test')

    def content(self):
        body = BLOCK[self.start:] + BLOCK * (self.size // len(BLOCK) + 1)
        return b'Subject: %d\r\nX-Size: %d\r\n\r\n' % (self.number, self.size) + \
            body[:self.size // LINE_BYTES * LINE_BYTES] + b'The end.\r\n'


class Ledger:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.mails = []
        self.faults = []
        self.round = 0
        self.duplicates = 0
        self.on_hold = False                     # held.test: asked for, and answered

    def new_mail(self):
        self.mails.append(Mail(len(self.mails), self.chance, self.on_hold))
        return self.mails[-1]

    def fault(self, text):
        self.faults.append('round %d: %s' % (self.round, text))

    def mail_of(self, sender):
        try:
            return self.mails[int(sender.split('@')[0].lstrip('s'))]
        except (ValueError, IndexError):
            self.fault('a message of nobody: from %s' % sender)
            return None

    # --- what is heard

    def arrived(self, sender, recipients, content, number):
        """The sink is about to say 250, to the relay of that round."""
        mail = self.mail_of(sender)
        if mail is None:
            return
        if mail.state in ('new', 'refused'):
            self.fault('mail %d arrives, and was never sent to its end (%s)' % (mail.number, mail.state))
        if content != mail.content():
            self.fault('mail %d arrives torn: %d bytes for %d' % (mail.number, len(content), len(mail.content())))
        if mail.held() and self.on_hold:
            self.fault('mail %d arrives, although its domain is on hold' % mail.number)
        for recipient in recipients:
            self._arrived_for(mail, recipient, number)

    def _arrived_for(self, mail, recipient, number):
        if recipient not in mail.recipients:
            self.fault('mail %d arrives for %s' % (mail.number, recipient))
            return
        rounds = mail.delivered.setdefault(recipient, [])
        if recipient in mail.ended:
            self.fault('mail %d rises from the dead for %s: it was %s' % (mail.number, recipient, mail.ended[recipient]))
        elif rounds:
            self.duplicates += 1
            if rounds[-1] == number:
                self.fault('mail %d arrives twice for %s, without a cut in between' % (mail.number, recipient))
        rounds.append(number)

    def end_seen(self, sender, recipient, state):
        """An end record was read: what can be read is durable."""
        mail = self.mail_of(sender)
        if mail is None:
            return
        if state == 'delivered' and recipient not in mail.delivered:
            self.fault('mail %d is said to be delivered to %s, and is not' % (mail.number, recipient))
        if state == 'removed' and not mail.removing or state not in ('delivered', 'removed'):
            self.fault('mail %d is said to be %s for %s' % (mail.number, state, recipient))
        mail.ended[recipient] = '%s in round %d' % (state, self.round)

    # --- what must be true

    def judge(self, queue):
        """queue: {(sender, recipient)} of all that is held, with nothing under way."""
        for sender, recipient in queue:
            mail = self.mail_of(sender)
            if mail is not None and recipient in mail.ended:
                self.fault('mail %d rose from the dead for %s: it was %s' % (mail.number, recipient, mail.ended[recipient]))
            if mail is not None and mail.state in ('new', 'refused'):
                self.fault('mail %d is held, and was never sent to its end (%s)' % (mail.number, mail.state))
        for mail in self.mails:
            if mail.state != 'accepted' or mail.removing:
                continue
            for recipient in mail.recipients:
                if recipient not in mail.delivered and (mail.sender, recipient) not in queue:
                    self.fault('mail %d for %s was accepted in round %d and is LOST' % (mail.number, recipient, mail.round))

    def count(self, state):
        return sum(mail.state == state for mail in self.mails)

    def recipients(self, *states):
        return sum(len(mail.recipients) for mail in self.mails if mail.state in states)
