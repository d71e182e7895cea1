# Sourced by ./run and ./test: what must be installed (Debian 12), and how it gets there.
# Only apt's own names stand here; versions are Debian's.

packages_build="gcc libc6-dev meson ninja-build pkgconf
	libcmocka-dev libcurl4-openssl-dev libidn2-dev libinih-dev libjansson-dev liblmdb-dev libmicrohttpd-dev
	libssl-dev libsystemd-dev libunbound-dev libuv1-dev libxxhash-dev"

# The libraries at the end are those of Postfix, which the tests fetch and unpack for themselves and never install
# (tests/e2e/peers.sh): it would replace the mail server of this machine.
packages_test="clang clang-format clang-tidy curl libclang-rt-dev openssl procps python3 python3-aiosmtpd swaks
	libnet-ssleay-perl libdb5.3 libicu72 libnsl2 libsasl2-2"

say()
{
	printf '%s\n' "$*" >&2
}

# Those of the given packages that are not installed.
missing_packages()
{
	local package status
	for package in "$@"; do
		status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=none
		[ "$status" = installed ] || printf '%s ' "$package"
	done
}

# Installs what is missing; asks nothing. Ends the script when that is not possible.
need_packages()
{
	local missing sudo="" install
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	install="apt-get install --yes --no-install-recommends $missing"
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
			say "Some packages are missing. As root, run this, then start again:"
			say "  apt-get update && $install"
			exit 1
		fi
		sudo=sudo
	fi
	say "Installing packages: $missing"
	if ! { $sudo apt-get -qq update &&
		$sudo env DEBIAN_FRONTEND=noninteractive $install -qq -o Dpkg::Use-Pty=0 >/dev/null; }; then
		say "The packages could not be installed. See the lines above; the command was:"
		say "  $install"
		exit 1
	fi
}

# configure DIR OPTION...: makes the build folder once, afterwards Ninja keeps it up to date by itself.
configure()
{
	local folder=$1
	shift
	[ -f "$folder/build.ninja" ] || quietly meson setup "$folder" "$@"
}

# Runs a command and shows its output only when it fails.
quietly()
{
	local output status=0
	output=$("$@" 2>&1) || status=$?
	[ $status = 0 ] || printf '%s\n' "$output" >&2
	return $status
}
