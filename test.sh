#!/bin/bash
# ./test          everything; the last line is "N passed, N failed, N skipped"
# ./test --quick  the unit tests only
# ./test NAME...  the tests and checks of these names
# ./test --list   their names
# ./test tidy-deep   clang-tidy with its path-sensitive analyzer: ten minutes, so not among "everything"
#
# Installs what is missing, builds with gcc and clang, runs.
set -u
root=$(cd "$(dirname "$0")" && pwd) || exit 1
cd "$root" || exit 1
. tests/setup.sh

gcc_build=$root/build/gcc     # with the sanitizers: all suites run here
clang_build=$root/build/clang # plain: second opinion, and what clang-tidy and the layer check read
peers=$root/build/peers       # mail servers of others, unpacked
checks="layers banned format tidy"

export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:abort_on_error=1:print_stacktrace=1}


passed=0 failed=0 skipped=0

# check NAME COMMAND...: one check; its output is shown when it fails.
check()
{
	local name=$1 output status=0 start=$SECONDS
	shift
	output=$("$@" 2>&1) || status=$?
	case $status in
	0) passed=$((passed + 1)) && echo "ok      $name ($((SECONDS - start)) s)" ;;
	77) skipped=$((skipped + 1)) && echo "skipped $name: $output" ;;
	*) failed=$((failed + 1)) && echo "FAILED  $name" && printf '%s\n' "$output" ;;
	esac
	return $status
}

build_gcc()
{
	CC=gcc configure "$gcc_build" -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized &&
		quietly ninja -C "$gcc_build"
}

build_clang()
{
	CC=clang configure "$clang_build" -Dbuildtype=debugoptimized && quietly ninja -C "$clang_build"
}

# suites BUILD MESON-TEST-ARGUMENT...: runs them and adds their results.
suites()
{
	local build=$1 log=$1/meson-logs/testlog.json counts
	shift
	rm -f "$log"
	quietly_counting meson test -C "$build" --no-rebuild --print-errorlogs "$@"
	counts=$(tests/checks/count.py "$log")
	printf '%s\n' "$counts" | sed '$d'
	set -- $(printf '%s\n' "$counts" | tail -n 1)
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# Meson's line for each test, without the rest of its talk.
quietly_counting()
{
	"$@" 2>&1 | grep -vE '^(ninja: |$|Summary of|Ok: |Expected Fail: |Fail: |Unexpected Pass: |Skipped: |Timeout: |Full log)'
}

run_check()
{
	case $1 in
	layers) check layers tests/checks/layers.py "$clang_build" ;;
	banned) check "banned calls" tests/checks/banned.sh ;;
	format) check format tests/checks/format.sh ;;
	tidy) check clang-tidy tests/checks/tidy.py "$clang_build" "$root/build/tidy" ;;
	tidy-deep) check "clang-tidy with its analyzer" tests/checks/tidy.py --deep "$clang_build" "$root/build/tidy" ;;
	esac
}

finish()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}

everything()
{
	check "build with gcc and sanitizers" build_gcc || finish
	suites "$gcc_build" --no-suite e2e
	check "build with clang" build_clang && suites "$clang_build" --suite unit
	for name in $checks; do
		run_check "$name"
	done
	check "mail servers of others" tests/e2e/peers.sh "$peers"
	suites "$gcc_build" --suite e2e
}

by_name()
{
	local name names=
	for name in "$@"; do
		case " $checks tidy-deep " in
		*" $name "*) build_clang && run_check "$name" ;;
		*) names="$names $name" ;;
		esac
	done
	if [ -n "$names" ]; then
		check "build with gcc and sanitizers" build_gcc || finish
		quietly tests/e2e/peers.sh "$peers"
		suites "$gcc_build" --verbose $names
	fi
}

need_packages $packages_build $packages_test
case ${1-} in
'') everything ;;
--quick) check "build with gcc and sanitizers" build_gcc && suites "$gcc_build" --suite unit ;;
--list)
	build_gcc && meson test -C "$gcc_build" --list 2>/dev/null | grep -v '^ninja: '
	printf '%s\n' $checks
	exit
	;;
-*)
	sed -n '2,6s/^# //p' "$0"
	exit 2
	;;
*) by_name "$@" ;;
esac
finish
