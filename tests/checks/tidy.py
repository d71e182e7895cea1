#!/usr/bin/python3
"""clang-tidy over src/ and sim/, several at a time.

A file that passed is not looked at again until its preprocessed text or the configuration changes: the memory of that
is a folder of empty files named by hash.

Usage: tidy.py [--deep] BUILD MEMORY [FILE...], where BUILD holds a compile_commands.json made for clang.

The path-sensitive analyzer takes seconds for a file, all other checks together a tenth of one: it runs with --deep.
"""
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))


def commands(build, only):
    with open(os.path.join(build, 'compile_commands.json'), encoding='utf-8') as file:
        entries = json.load(file)
    seen = {}
    for entry in entries:
        path = os.path.realpath(os.path.join(entry['directory'], entry['file']))
        name = os.path.relpath(path, ROOT)
        if name.startswith(('src/', 'sim/')) and (not only or name in only):
            seen.setdefault(name, entry)
    return sorted(seen.items())


def key_of(entry, settings):
    """A hash of everything that the verdict depends on; None when the file does not compile."""
    args = shlex.split(entry['command'])
    out = args.index('-o')
    args = [a for i, a in enumerate(args) if i not in (out, out + 1) and a not in ('-c', '-MD', '-MQ', '-MF')
            and not a.endswith(('.o', '.o.d'))]
    text = subprocess.run(args + ['-E', '-C', '-P'], cwd=entry['directory'], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    if text.returncode != 0:
        return None
    return hashlib.sha256(settings + ' '.join(args).encode() + text.stdout).hexdigest()


def tidy(build, memory, settings, deep, name, entry):
    key = key_of(entry, settings)
    mark = os.path.join(memory, key) if key else None
    if mark and os.path.exists(mark):
        return name, True, ''
    done = subprocess.run(['clang-tidy', '--quiet', '-p', build] + ([] if deep else ['--checks=-clang-analyzer-*'])
                          + [os.path.join(ROOT, name)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    passed = done.returncode == 0
    if passed and mark:
        with open(mark, 'w', encoding='utf-8'):
            pass
    return name, passed, done.stdout if done.stdout.strip() else done.stderr


def main():
    arguments = [a for a in sys.argv[1:] if a != '--deep']
    deep = len(arguments) < len(sys.argv) - 1
    if len(arguments) < 2:
        print(__doc__)
        return 2
    build, memory, only = arguments[0], arguments[1], set(arguments[2:])
    os.makedirs(memory, exist_ok=True)
    with open(os.path.join(ROOT, '.clang-tidy'), 'rb') as file:
        settings = file.read() + (b'deep' if deep else b'')
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        jobs = [pool.submit(tidy, build, memory, settings, deep, name, entry) for name, entry in commands(build, only)]
        for job in concurrent.futures.as_completed(jobs):
            name, passed, text = job.result()
            if not passed:
                failed += 1
                print('--- ' + name)
                print(text)
    print('%d files, %d with findings' % (len(jobs), failed))
    return 1 if failed or not jobs else 0


sys.exit(main())
