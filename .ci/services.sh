#!/usr/bin/env bash
# Installs what some tests need beside Python: a web server and a browser.
#
# From the distribution's packages, where that is possible; says why where it
# is not. The tests in question are skipped then, with their own reason, so
# this script never fails.
set -uo pipefail

say() { printf 'services: %s\n' "$*"; }

has() { PATH=$PATH:/usr/sbin command -v "$@" > /dev/null 2>&1; }

wanted=()
has nginx || wanted+=(nginx-light)
has chromium || has chromium-browser || has google-chrome \
    || wanted+=(chromium)
if [ ${#wanted[@]} -eq 0 ]; then
    say "nginx and a browser are there"
    exit 0
fi
skip() {
    say "not installed: ${wanted[*]} ($*); tests that need them are skipped"
    exit 0
}

has apt-get || skip "no apt-get on this system"
root=()
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2> /dev/null || skip "apt-get needs root"
    root=(sudo -n)
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
for command in "apt-get update -q" \
    "apt-get install -y -q --no-install-recommends ${wanted[*]}"; do
    # shellcheck disable=SC2086
    if ! timeout 600 "${root[@]}" $command > "$log" 2>&1; then
        tail -5 "$log"
        skip "'$command' failed, see above"
    fi
done
rm -f "$log"
say "installed ${wanted[*]}"
