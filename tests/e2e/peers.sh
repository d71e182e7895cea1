#!/bin/bash
# Fetches Postfix (with smtp-source and smtp-sink) as Debian's package and unpacks it into a folder. It is never installed:
# that would replace the mail server of this machine.
# Usage: peers.sh FOLDER. Exit status 77 when it cannot be had: the tests that need it are skipped then.
set -u
folder=$1
mkdir -p "$folder" && cd "$folder" || exit 1
[ -x usr/sbin/smtp-source ] && exit 0

download()
{
	apt-get -qq -o APT::Sandbox::User=root download postfix 2>download.log
}

if ! download && ! { [ "$(id -u)" = 0 ] && apt-get -qq update 2>>download.log && download; }; then
	echo "Postfix's package cannot be fetched: $(tail -n 1 download.log)"
	exit 77
fi
dpkg -x postfix_*.deb . || exit 1
rm -f postfix_*.deb
[ -x usr/sbin/smtp-source ]
