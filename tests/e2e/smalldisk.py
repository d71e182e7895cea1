"""A small file system of its own for a relay, somebody else who fills it, and senders that go on all the while."""
import os
import re
import smtplib
import threading
import time
import unittest

from harness import Case, run, send_smtplib, wait_until

MIB = 1 << 20
DISK_MIB = 400  # the relay makes its reserve of 64 MiB anew when 192 are free
BODY_LINE = b'x' * 70 + b'\r\n'


class Disk:
    """ext4 in a file, or tmpfs where there are no loop devices; RESTANTE_TEST_DISK=tmpfs or ext4 takes that one only."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'disk')
        self.image = os.path.join(folder, 'disk.image')
        os.mkdir(self.path)
        kinds = {'ext4': self._mount_ext4, 'tmpfs': self._mount_tmpfs}
        wanted = os.environ.get('RESTANTE_TEST_DISK')
        for mount in [kinds[wanted]] if wanted else kinds.values():
            done = mount()
            if done.returncode == 0:
                break
        else:
            raise unittest.SkipTest('a small file system cannot be mounted here (that needs root): ' + done.stderr.strip())
        self.filler = None

    def _mount_ext4(self):
        with open(self.image, 'wb') as file:
            file.truncate(DISK_MIB * MIB)
        made = run('mkfs.ext4', '-q', '-m', '0', self.image)
        return run('mount', '-o', 'loop,errors=remount-ro', self.image, self.path) if made.returncode == 0 else made

    def _mount_tmpfs(self):
        return run('mount', '-t', 'tmpfs', '-o', 'size=%dm' % DISK_MIB, 'restante-test', self.path)

    def free(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def unmount(self):
        self.empty()
        if run('umount', self.path).returncode != 0:
            run('umount', '-l', self.path)

    def fail(self):
        """ext4 finds an error and lets nobody write any more; the test is skipped where it cannot be told to."""
        device = run('findmnt', '-n', '-o', 'SOURCE', self.path).stdout.strip()
        try:
            with open('/sys/fs/ext4/%s/trigger_fs_error' % os.path.basename(device), 'w', encoding='ascii') as file:
                file.write('a test')
        except OSError as error:
            raise unittest.SkipTest('this file system cannot be made to fail: %s' % error) from None

    def repair(self):
        """With nobody on it."""
        for command in (('umount', self.path), ('fsck.ext4', '-y', self.image),
                        ('mount', '-o', 'loop', self.image, self.path)):
            done = run(*command)
            assert done.returncode in (0, 1), (command, done.stdout, done.stderr)

    def take_all_but(self, left):
        """Of what is free, once."""
        with open(os.path.join(self.path, 'ballast'), 'wb') as file:
            os.posix_fallocate(file.fileno(), 0, self.free() - left)

    def fill(self):
        """Takes every byte that is free, and again each that becomes free, until empty is called."""
        self.filler = Filler(os.path.join(self.path, 'of-others'))
        wait_until(self.filler.full.is_set, 60, 'the disk is filled from outside')

    def empty(self):
        if self.filler is not None:
            self.filler.stop()
        self.filler = None


class Filler(threading.Thread):

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.full = threading.Event()
        self.stopping = threading.Event()
        self.start()

    def run(self):
        taken, piece = 0, 64 * MIB
        with open(self.path, 'wb') as file:
            while not self.stopping.is_set():
                try:
                    os.posix_fallocate(file.fileno(), taken, piece)
                    taken += piece
                except OSError:
                    piece //= 2
                    if piece < 512:
                        self.full.set()
                        self.stopping.wait(0.002)
                        piece = MIB

    def stop(self):
        self.stopping.set()
        self.join()
        os.unlink(self.path)


class Senders:
    """Send until told to stop; `accepted` has what got its 250, `refused` the codes of the others."""

    def __init__(self, relay, lines, count=3, domain='example.com'):
        self.relay, self.lines, self.domain = relay, lines, domain
        self.accepted, self.refused = [], []
        self.stopping = False
        self.threads = [threading.Thread(target=self._send, args=(i,), daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _send(self, sender):
        number = 0
        while not self.stopping:
            number += 1
            name = '%s-%d-%d' % (self.domain, sender, number)
            try:
                send_named(self.relay, name, self.lines, self.domain)
                self.accepted.append(name)
            except smtplib.SMTPResponseException as error:
                self.refused.append(error.smtp_code)
            except (OSError, smtplib.SMTPException):
                self.refused.append(0)
            if self.refused:
                time.sleep(0.01)  # as any sender would, so that the relay is not only busy with refusing

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive(), 'a sender hangs'


def send_named(relay, name, lines=1, domain='example.com'):
    send_smtplib(relay, b'Subject: %s\r\n\r\n%s' % (name.encode(), BODY_LINE * lines), recipients=('bob@' + domain,))


def names_of(destination):
    return [re.match(rb'Subject: (\S+)', m.rest).group(1).decode() for m in destination.messages()]


def takes_mail(relay, name, domain='example.com'):
    try:
        send_named(relay, name, 1, domain)
        return True
    except (OSError, smtplib.SMTPException):
        return False


class DiskCase(Case):

    def disk(self):
        disk = Disk(self.folder)
        self.addCleanup(disk.unmount)
        return disk

    def relay_on(self, disk, *options):
        relay = self.relay(*options)
        relay.data = os.path.join(disk.path, 'data')
        return relay
