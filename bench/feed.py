#!/usr/bin/python3
"""The feed in simulated time, on servers and seeds that the suite does not use.

  bench/feed.py                     all models, then 200 random servers, on fresh seeds; some seconds
  bench/feed.py --seed 7 --servers 2000
  bench/feed.py --sensitivity       each constant of the window at half and at twice its value; some minutes

Compiles src/lane with the models of tests/unit/lane by itself. A random server that fell over, was not drained, or took long is
printed with the command that plays it again.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..')
MODELS = 'feed_sim', 'model', 'stories', 'lane_stories'
# What the table of doc/recovery.md shows, in its order.
CONSTANTS = ('RAMP_DOUBLING_FIRST_S', 'RAMP_DOUBLING_LATENCIES', 'ROUND_LEAST_S', 'ROUND_RAMP_MAX', 'ROUND_STEADY_PER_W',
             'ALPHA_PER_W', 'BETA_PER_W', 'WINDOW_BASE_US', 'WINDOW_STEP_MAX', 'WINDOW_DOUBLING_S', 'DIP_EVERY_US', 'DIP_FACTOR',
             'COLD_US', 'COLD_TENDER_S', 'COLD_TENDER_WINDOW', 'COLD_ELASTIC', 'COLD_PAUSE_US', 'RELAPSE_PART', 'BUSY_FACTOR',
             'LANE_STALL_US', 'LANE_STALL_LATENCIES', 'LANE_STALL_SPREAD_MAX')
STORIES = 'M1', 'M2', 'M2c', 'S3', 'S4', 'S10', 'B23'


def scaled(text, name, factor):
    """tuning.h with one constant multiplied."""
    text, count = re.subn(r'(?m)^(#define %s\b(?:[ \t]|\\\n)*)([0-9.]+(?:e[0-9]+)?)(LL)?' % name, lambda found: '%s((%s%s) * %s)' % (
        found.group(1), found.group(2), found.group(3) or '', '%d / 100' % (factor * 100)), text)
    assert count == 1, name
    return text


def build(folder, name='stories', constant=None, factor=1.0):
    """Compiles the stories; returns the program's path."""
    source, program = os.path.join(folder, name + '-src'), os.path.join(folder, name)
    shutil.copytree(os.path.join(ROOT, 'src', 'lane'), os.path.join(source, 'lane'))
    shutil.copytree(os.path.join(ROOT, 'src', 'base'), os.path.join(source, 'base'))
    if constant:
        path = os.path.join(source, 'lane', 'tuning.h')
        with open(path, encoding='utf-8') as file:
            text = scaled(file.read(), constant, factor)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
    files = [os.path.join(source, part, file) for part in ('base', 'lane') for file in sorted(os.listdir(os.path.join(source, part)))
             if file.endswith('.c')]
    models = os.path.join(ROOT, 'tests', 'unit', 'lane')
    subprocess.run([os.environ.get('CC', 'cc'), '-std=gnu17', '-O1', '-w', '-I' + source, '-I' + models, '-o', program, *files,
                    *(os.path.join(models, model + '.c') for model in MODELS), '-lm'], check=True)
    shutil.rmtree(source)
    return program


def run(*command):
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=False)


def row(program, seed, seeds, servers):
    """Mean ratio of each story with the servers knocked over, then of the random servers: median, 90th percentile, fallen."""
    cells = []
    for story in STORIES:
        found = re.search(r'^\S+ +([0-9.inf]+) .*crashes (\d+)', run(program, seeds, story, seed).stdout)
        cells.append(found.group(1) + (' (%s)' % found.group(2) if found.group(2) != '0' else ''))
    found = re.search(r'median ([0-9.inf]+), p90 ([0-9.inf]+), .*crashed (\d+)', run(program, '--random', servers, seed).stdout)
    return cells + list(found.groups())


def sensitivity(folder, seed, servers):
    print('| constant | %s | random: median | p90 | crashed |' % ' | '.join(STORIES))
    print('|' + '--|' * (len(STORIES) + 4))
    print('| as it is | %s |' % ' | '.join(row(build(folder), seed, 10, servers)), flush=True)
    for constant in CONSTANTS:
        for factor, word in ((0.5, 'half'), (2, 'twice')):
            program = build(folder, constant + word, constant, factor)
            print('| `%s` %s | %s |' % (constant, word, ' | '.join(row(program, seed, 10, servers))), flush=True)
            os.unlink(program)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=random.randrange(10**6, 10**9), help='the first of them (a fresh one)')
    parser.add_argument('--servers', type=int, default=200, help='random servers (200)')
    parser.add_argument('--sensitivity', action='store_true')
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix='restante-feed-')
    try:
        print('first seed %d' % options.seed, flush=True)
        if options.sensitivity:
            sensitivity(folder, options.seed, options.servers)
            return 0
        program = build(folder)
        print(run(program, 5, 'all', options.seed).stdout, end='', flush=True)
        done = run(program, '--random', options.servers, options.seed)
        print(done.stdout, end='')
        return done.returncode
    finally:
        shutil.rmtree(folder, True)


if __name__ == '__main__':
    sys.exit(main())
