#!/bin/bash
# Calls that do not appear in this project (STYLE.md). An exception carries `allowed: REASON` in a comment on its line.
# Usage: banned.sh [FOLDER-OR-FILE...]
set -u
cd "$(dirname "$0")/../.." || exit 1
[ $# -gt 0 ] || set -- src sim tests fuzz bench

calls='strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|gets|atoi|atol|atoll|atof|alloca|system|popen|mktemp|tmpnam|assert'

found=$(find "$@" -name '*.[ch]' -print0 2>/dev/null |
	xargs -0 -r grep -nE "(^|[^A-Za-z0-9_.>\"])($calls)[[:space:]]*\(" |
	grep -vE 'allowed: |:[0-9]+:[[:space:]]*(/\*|\*)')
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
printf 'These calls are not used here: see STYLE.md for what to use instead.\n'
exit 1
