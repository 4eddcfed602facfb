#!/bin/bash
# install.sh [build|test] - install what building (or also testing) hif needs, on Debian 12.
set -eu
cd "$(dirname "$0")/.."
. scripts/packages.sh
wanted=$BUILD_PACKAGES
if [ "${1:-build}" = test ]; then
	wanted="$wanted $TEST_PACKAGES"
	command -v npm >/dev/null || wanted="$wanted $NPM_PACKAGES"
fi
missing=$(for package in $wanted; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
done)
[ -n "$missing" ] || exit 0
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
echo "installing:" $missing
$as_root apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing >/dev/null
