#!/bin/sh
# Installs the Debian packages of packages.txt that are missing. Starts no service: policy-rc.d says no
# while apt runs, and is put back as it was afterwards.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing=
for package in $(grep -v '^#' "$here/packages.txt"); do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
	echo "packages: all installed"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "packages: missing:$missing" >&2
	echo "packages: run as root, or: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
policy=/usr/sbin/policy-rc.d
saved=
if [ -e "$policy" ]; then
	saved=$(mktemp -p /usr/sbin .policy-rc.d.XXXXXX)
	cp -p "$policy" "$saved"
fi
restore() {
	if [ -n "$saved" ]; then mv -f "$saved" "$policy"; else rm -f "$policy"; fi
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
# shellcheck disable=SC2086
apt-get -q -y --no-install-recommends install $missing
