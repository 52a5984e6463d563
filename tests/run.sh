#!/bin/sh
# Runs every test on a bare machine: tests/run.sh [arguments for pytest]
#
# Makes its own environment in .venv-test and, as root on Debian, installs what the tests drive: a browser,
# a mail server and the venv module. Otherwise it names what is missing, and pytest names each test it skips.
# With --prepare it stops when the environment is ready. As many tests run at once as there are processors, those of
# one file one after the other.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-test

say() { printf '%s\n' "tests/run.sh: $*"; }

# What is missing, as Debian calls it.
missing() {
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
    command -v chromium >/dev/null || echo chromium
    { command -v smtp-sink || test -x /usr/sbin/smtp-sink; } >/dev/null || echo postfix
    { command -v cron || test -x /usr/sbin/cron; } >/dev/null || echo cron
    command -v systemd-analyze >/dev/null || echo systemd
    for part in imap pop3; do test -x /usr/lib/dovecot/$part || echo dovecot-${part}d; done
}

without() {
    case $1 in
        python3-venv) echo "no environment can be made" ;;
        chromium) echo "the tests that look at pages and emails in a browser do not run" ;;
        postfix) echo "the tests against a second mail server do not run" ;;
        cron) echo "the printed crontab is not tried" ;;
        systemd) echo "the printed units are not checked" ;;
        dovecot-*) echo "no bounces are fetched from a real mail server" ;;
    esac
}

install_missing() {
    wanted=$(missing)
    test -n "$wanted" || return 0
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        say "installing" $wanted
        export DEBIAN_FRONTEND=noninteractive
        # Postfix asks what kind of site this is; nothing of it is started, only its tools are used.
        echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections || true
        { apt-get update -q && apt-get install -y -q --no-install-recommends $wanted; } </dev/null >&2 ||
            say "apt-get could not install all of it"
    fi
    for package in $(missing); do
        say "missing: $package; $(without "$package")"
    done
}

make_environment() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        say "python3 is $(python3 -V 2>&1); 3.11 or later is needed"
        exit 1
    }
    stamp=$(cat pyproject.toml tests/run.sh | sha256sum)
    if [ ! -x "$venv/bin/pytest" ] || [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
        say "making the environment in $venv"
        python3 -m venv --clear "$venv"
        "$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable '.[dev]'
        printf '%s\n' "$stamp" >"$venv/stamp"
    fi
}

install_missing
make_environment
[ "${1:-}" = --prepare ] && exit 0
PATH="$PWD/$venv/bin:$PATH" exec "$venv/bin/python" -m pytest -n auto --dist loadfile "$@"
