#!/bin/bash
# Every C file is as clang-format leaves it.
set -u
cd "$(dirname "$0")/../.." || exit 1
find src sim tests fuzz bench -name '*.[ch]' -print0 2>/dev/null |
	xargs -0 -r clang-format --dry-run --Werror 2>&1 | grep -E 'error:' | cut -d: -f1 | sort | uniq -c | sed 's/$/: run clang-format -i/'
exit "${PIPESTATUS[1]}"
