#!/bin/bash
# Power cuts, the long form: bench/powercut.sh [ROUNDS [SEED]]. ROUNDS (default 600) cuts under the program as it is used, as many
# under the one with a small spool (checkpoints, new segments, compaction all the time), then the controls: each kind of sync
# turned into a lie, which must be found within 100 rounds.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/setup.sh
rounds=${1-600} seed=${2-1} build=$PWD/build/release status=0

configure "$build" --buildtype=release || exit 1
quietly ninja -C "$build" src/daemon/restante src/daemon/restante_small tests/powercut/libpowercut.so || exit 1

play()
{
	local program=$1
	shift
	echo "$program $*"
	tests/powercut/rounds.py --shim "$build/tests/powercut/libpowercut.so" --program "$build/src/daemon/$program" --seed "$seed" "$@" ||
		status=1
}

play restante --rounds "$rounds"
play restante_small --rounds "$rounds"
for lie in log index folder; do
	play restante --rounds 100 --lie $lie
	play restante_small --rounds 100 --lie $lie
done
uname -srm
grep -m1 'model name' /proc/cpuinfo
exit $status
