#!/usr/bin/env python3
"""Seeded defects: builds of the simulation with a known fault, each of which the seeds must catch.

usage: defects.py [--source DIR] [--build DIR] [--cc CC] [--seeds N] [--list] [DEFECT]...

The whole program is compiled once, then for each defect only the files that mention its name, with -D. The program without a
defect must pass the seed that caught it: otherwise it is not the defect that was caught. A defect that survives N seeds, and
one whose name stands in no file, fails the run.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

# name: (store that it lives in, what it does)
DEFECTS = {
    'DEFECT_SKIP_SYNC': ('spool', 'a group commit is not synced'),
    'DEFECT_EARLY_250': ('ram', '250 goes out before the commit'),
    'DEFECT_WRONG_RECIPIENT': ('ram', 'the wrong recipient is completed after mixed pipelined replies'),
    'DEFECT_FREE_EARLY': ('spool', 'a segment is freed before the checkpoint that permits it'),
    'DEFECT_LOST_IS_OK': ('ram', 'the end of a connection is taken for success'),
}
WRAPPED = 'disk_lmdb.c'  # stands in for LMDB's calls, in a test that is linked for it
FOLDERS = ['src/base', 'src/port', 'src/proto', 'src/lane', 'src/relay', 'src/store', 'sim']
CFLAGS = ['-std=gnu17', '-D_GNU_SOURCE', '-DRESTANTE_VERSION="defect"', '-O1', '-w', '-Isrc', '-I.']
LIBS = ['-llmdb', '-lxxhash', '-lidn2', '-lm', '-lpthread']
CHUNK = 50  # seeds of one process


def compile_all(cc, source, jobs):
    """jobs: (file, object, extra flags). Two at a time: the machines that run this are small."""
    def one(job):
        path, obj, extra = job
        obj.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([cc, *CFLAGS, *extra, '-c', str(path), '-o', str(obj)], cwd=source, check=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        list(pool.map(one, jobs))


def link(cc, objects, program):
    subprocess.run([cc, *map(str, objects), '-o', str(program), *LIBS], check=True)


def failing_seed(program, store, first, count):
    """The first seed of the range that fails, with the words; None when all pass."""
    run = subprocess.run([str(program), '--store', store, '--seed', str(first), '--seeds', str(count)],
                         capture_output=True, text=True, check=False)
    for line in run.stdout.splitlines():
        if line.startswith('seed ') and ' FAILED: ' in line:
            seed, words = line.removeprefix('seed ').split(' FAILED: ', 1)
            return int(seed), words
    if run.returncode != 0:  # it died: that is no verdict of the oracle
        raise SystemExit(f'{program} ended with {run.returncode}: {run.stderr[-300:]}')
    return None


def build_defect(args, name, sources, objects, folder):
    touched = [path for path in sources if name in (args.source / path).read_text()]
    if not touched:
        return None
    own = {path: folder / name / (path.replace('/', '_') + '.o') for path in touched}
    compile_all(args.cc, args.source, [(path, own[path], [f'-D{name}']) for path in touched])
    program = folder / name / 'sim'
    link(args.cc, [own.get(path, objects[path]) for path in sources], program)
    return program


def hunt(args, program, healthy, store):
    """(seed, words) of a seed that fails with the defect and not without; None: not caught."""
    for first in range(1, args.seeds + 1, CHUNK):
        found = failing_seed(program, store, first, CHUNK)
        if found is not None and failing_seed(healthy, store, found[0], 1) is None:
            return found
    return None


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--source', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument('--build', type=pathlib.Path, help='keeps the objects here; default: a temporary folder')
    parser.add_argument('--cc', default=os.environ.get('CC', 'cc'))
    parser.add_argument('--seeds', type=int, default=3000, help='at most so many for each defect')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('names', nargs='*', metavar='DEFECT')
    return parser.parse_args()


def main():
    args = options()
    if args.list:
        for name, (store, words) in DEFECTS.items():
            print(f'{name:24} {store:6} {words}')
        return 0
    for name in args.names:
        if name not in DEFECTS:
            sys.exit(f'{name}: no such defect; --list shows them')
    folder = args.build or pathlib.Path(tempfile.mkdtemp(prefix='restante-defects-'))
    try:
        return run(args, folder)
    finally:
        if args.build is None:
            shutil.rmtree(folder)


def run(args, folder):
    sources = sorted(str(path.relative_to(args.source)) for f in FOLDERS for path in (args.source / f).glob('*.c')
                     if path.name != WRAPPED)
    objects = {path: folder / 'healthy' / (path.replace('/', '_') + '.o') for path in sources}
    compile_all(args.cc, args.source, [(path, objects[path], []) for path in sources])
    healthy = folder / 'healthy' / 'sim'
    link(args.cc, objects.values(), healthy)
    escaped = 0
    for name in args.names or DEFECTS:
        store, words = DEFECTS[name]
        program = build_defect(args, name, sources, objects, folder)
        found = hunt(args, program, healthy, store) if program is not None else None
        if found is not None:
            print(f'caught   {name}: {words}\n         seed {found[0]} on {store}: {found[1]}', flush=True)
            continue
        escaped += 1
        print(f'ESCAPED  {name}: {words}: ' +
              ('it stands in no file' if program is None else f'{args.seeds} seeds on {store} passed'), flush=True)
    print(f'{len(args.names or DEFECTS) - escaped} caught, {escaped} escaped')
    return 1 if escaped else 0


if __name__ == '__main__':
    sys.exit(main())
