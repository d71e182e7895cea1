#!/usr/bin/python3
"""Each layer uses only what it may (ARCHITECTURE.md): checked in the includes, and in the symbols that its library needs.

Usage: layers.py BUILD, a build folder without sanitizers whose static libraries are up to date.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))

MAY_USE = {
    'base': set(),
    'port': {'base'},
    'proto': {'base'},
    'lane': {'base'},
    'relay': {'base', 'port', 'proto', 'lane'},
    'store': {'base', 'port'},
    'os': {'base', 'port'},
    'api': {'base', 'port', 'proto', 'lane', 'relay'},
    'daemon': {'base', 'port', 'proto', 'lane', 'relay', 'store', 'os', 'api'},
    'sim': {'base', 'port', 'proto', 'lane', 'relay', 'store'},
}

# The pure layers: they call nothing that asks the system, the clock or chance for anything.
PURE = ('base', 'port', 'proto', 'lane', 'relay')

PURE_HEADERS = {
    'ctype.h', 'errno.h', 'float.h', 'inttypes.h', 'limits.h', 'math.h', 'stdalign.h', 'stdarg.h', 'stdbool.h',
    'stddef.h', 'stdint.h', 'stdio.h', 'stdlib.h', 'string.h', 'strings.h', 'xxhash.h', 'idn2.h',
}
# By folder, with the reason.
MORE_HEADERS = {
    'port': {'arpa/inet.h', 'netinet/in.h', 'sys/socket.h'},  # inet_pton and inet_ntop: text and bytes of an address
    'relay': {'time.h'},                                      # gmtime_r: the Date of a Received line from given milliseconds
    'proto': {'time.h', 'arpa/inet.h'},                       # inet_pton: addresses in SPF records
}

PURE_SYMBOLS = re.compile(r'''^(
    bcmp | mem(chr|rchr|cmp|cpy|move|set|mem) | str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|dup|ndup) |
    v?snprintf | malloc | calloc | realloc | free | abort | qsort | bsearch | gmtime_r | timegm |
    exp2? | log(2|10|1p)? | exp10 | expm1 | pow | sqrt | floor | ceil | fabs | fmin | fmax | l?l?round | trunc | fmod | cbrt |
    strto(u?ll?|d) | inet_(ntop|pton) | htons | ntohs | htonl | ntohl |
    XXH\w+ | __errno_location | __ctype_(b|tolower|toupper)_loc | tolower | toupper | idn2_\w+ |
    __(mem\w+|str\w+|v?snprintf|v?s?n?printf)_chk | __stack_chk_fail | __assert_fail | _GLOBAL_OFFSET_TABLE_ | __isoc99_strto\w+
)$''', re.X)
# check_failed tells the reader of the journal what did not hold before it aborts.
MORE_SYMBOLS = {'base': {'fprintf', 'stderr', 'fputs', '__fprintf_chk', 'fwrite'}}


def sources(layer):
    top = os.path.join(ROOT, layer if layer == 'sim' else 'src/' + layer)
    for folder, _, names in os.walk(top):
        for name in sorted(names):
            if name.endswith(('.c', '.h')):
                yield os.path.join(folder, name)


def check_include(layer, path, number, name):
    where = '%s:%d' % (os.path.relpath(path, ROOT), number)
    used = name.split('/')[0]
    if name.startswith('"'):
        used = name[1:].split('/')[0]
        if used == layer or used in MAY_USE[layer] or '/' not in name:
            return []
        return ['%s: %s may not use %s' % (where, layer, name)]
    header = name[1:]
    if layer in PURE and header not in PURE_HEADERS | MORE_HEADERS.get(layer, set()):
        return ['%s: %s is pure and may not use <%s>' % (where, layer, header)]
    return []


def check_includes():
    pattern = re.compile(r'^\s*#\s*include\s*(["<][^">]+)')
    problems = []
    for layer in MAY_USE:
        for path in sources(layer):
            with open(path, encoding='utf-8') as file:
                for number, line in enumerate(file, 1):
                    match = pattern.match(line)
                    if match:
                        problems += check_include(layer, path, number, match.group(1))
    return problems


def symbols(library):
    """(defined, undefined) of a static library."""
    output = subprocess.run(['nm', '--extern-only', '--format=posix', library], check=True, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout
    defined, undefined = set(), set()
    for line in output.splitlines():
        fields = line.split()
        if len(fields) < 2 or line.endswith(':'):
            continue
        (undefined if fields[1] in 'Uw' else defined).add(fields[0])
    return defined, undefined


def library_of(build, layer):
    folder = layer if layer == 'sim' else 'src/' + layer
    return [os.path.join(build, folder, name) for name in sorted(os.listdir(os.path.join(build, folder)))
            if name.endswith('.a')] if os.path.isdir(os.path.join(build, folder)) else []


def check_symbols(build):
    table = {}
    for layer in MAY_USE:
        defined, undefined = set(), set()
        for library in library_of(build, layer):
            d, u = symbols(library)
            defined |= d
            undefined |= u
        table[layer] = (defined, undefined - defined)
    problems = []
    for layer, (_, undefined) in table.items():
        for other, (defined, _) in table.items():
            if other != layer and other not in MAY_USE[layer]:
                problems += ['%s: needs %s, which is defined in %s' % (layer, s, other)
                             for s in sorted(undefined & defined)]
    names = sorted(table)
    problems += ['%s and %s both define %s' % (a, b, s) for a in names for b in names if a < b
                 for s in sorted(table[a][0] & table[b][0]) if not s.startswith(('__', '.'))]
    for layer in PURE:
        ours = set().union(*(table[used][0] for used in MAY_USE[layer]))
        problems += ['%s: is pure and may not call %s' % (layer, s) for s in sorted(table[layer][1] - ours)
                     if not PURE_SYMBOLS.match(s) and s not in MORE_SYMBOLS.get(layer, set())]
    if not table['base'][0]:
        problems.append('no libraries in %s: build first' % build)
    return problems


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    problems = check_includes() + check_symbols(sys.argv[1])
    for problem in problems:
        print(problem)
    return 1 if problems else 0


sys.exit(main())
