#!/usr/bin/python3
"""Counts the results in Meson's test logs, and names what failed.

Usage: count.py TESTLOG.json...; prints "PASSED FAILED SKIPPED" last.
"""
import json
import sys

PASSED = {'OK', 'EXPECTEDFAIL'}


def main():
    passed = failed = skipped = 0
    for path in sys.argv[1:]:
        try:
            with open(path, encoding='utf-8') as file:
                results = [json.loads(line) for line in file if line.strip()]
        except (OSError, ValueError) as error:
            print('%s cannot be read: %s' % (path, error))
            failed += 1
            continue
        for result in results:
            if result['result'] in PASSED:
                passed += 1
            elif result['result'] == 'SKIP':
                skipped += 1
                print('skipped: %s: %s' % (result['name'], (result.get('stdout') or '').strip().split('\n')[-1]))
            else:
                failed += 1
                print('FAILED: %s (%s)' % (result['name'], result['result']))
    print(passed, failed, skipped)


main()
