#!/usr/bin/env bash
# The service's only command for people: makes its own Python environment when needed, then does what it is told.
set -euo pipefail

# A stream that is closed (`start <&-`) would be taken by the next file that is opened: the daemon would lose its lock to it.
true 3>&2 || exec 2>/dev/null
true 2>/dev/null 3<&0 || exec </dev/null
true 2>/dev/null 3>&1 || exec >/dev/null

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
venv=$root/.venv

# Whatever the surroundings say: a start that has to compile every module takes twice as long, and so does taking over after a kill.
unset PYTHONDONTWRITEBYTECODE

usage() {
    cat <<'TEXT'
usage: ./ms.sh COMMAND [options]          (./ms.sh COMMAND --help tells more)

see it work    demo [--once]              sandbox, service and real recorded calls; needs nothing
               pbx-demo [--once]          the same with a real Asterisk and real calls; fetches it (Debian, Ubuntu)
run it         start | stop | restart | status | logs [-f]
               serve                      in the foreground
               sandbox                    a MoySklad of our own
look into it   replay ENTERPRISE CALL [--json]
               replay ENTERPRISE CALL --against path=value | code   what would have been otherwise
               import FILE... --into ENTERPRISE   old logs: what would have happened
               parked [ENTERPRISE]        calls that need a person, and why
               retry ENTERPRISE [CALL]    ask MoySklad again for them (--all: of everybody)
               doctor | export | migrate | rebuild
               archive [--before YYYY-MM]   months of the log: what each takes; old ones into files, or gone
develop        test [--all] [pytest's options]
               bench [NAMES...] [--quick] [--json FILE]
               mutants [MODULES...]       does a test fail when core/ is changed?

Settings are environment variables (docs/operations.md); none is needed to begin.
TEXT
}

say() { printf 'ms.sh: %s\n' "$*" >&2; }
fail() { say "$1"; exit "${2:-1}"; }

# Whether "$1" is a Python that can make an environment for us; the reason why not goes into $refused.
refused=
suits() {
    command -v "$1" >/dev/null 2>&1 || return 1
    local version
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
    case $version in
        3.1[1-9] | 3.[2-9][0-9]) ;;
        *) [ -n "$refused" ] || refused="found only Python $version: install Python 3.11 or newer"; return 1 ;;
    esac
    if ! "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        refused="Python $version lacks its venv module: apt-get install python$version-venv (Debian, Ubuntu), or install a complete Python"
        return 1
    fi
}

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if suits "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "${refused:-Python 3.11 or newer is needed and none was found: install it}"
}

# Shows pip's work as a count: one moving line on a terminal, a line for every tenth package elsewhere.
show_progress() {
    local total=$1 count=0 line name
    while IFS= read -r line; do
        case $line in
            Collecting\ * | Processing\ *)
                count=$((count + 1))
                name=${line#* }
                name=${name%% *}
                name=${name##*/}
                [[ $name != *.whl ]] || name=${name%-*-*-*}
                if [ -t 2 ]; then
                    printf '\r\033[Kms.sh: [%d/%d] %s' "$count" "$total" "$name" >&2
                elif [ $((count % 10)) -eq 0 ]; then
                    say "[$count/$total] $name"
                fi
                ;;
            Installing\ collected*)
                [ ! -t 2 ] || printf '\r\033[K' >&2
                say "unpacking $count packages"
                ;;
        esac
    done
    [ ! -t 2 ] || printf '\r\033[K' >&2
}

install() { # LOCK
    local total log=$venv/install.log
    total=$(grep -c '^[a-zA-Z0-9].*==' "$1")
    say "installing up to $total packages from ${1##*/} (once)"
    # For the service everything is compiled at once: its first start should take no longer. Of the tools much is never loaded.
    local compile=--compile
    [ "${1##*/}" = requirements.lock ] || compile=--no-compile
    # --no-deps: the lock names every package. Old pips resolve `name[extra]` past a pinned `name` to whatever is newest.
    if ! PYTHONUNBUFFERED=1 PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install \
        --no-color --progress-bar off $compile --no-deps --require-hashes -r "$1" 2>"$log.errors" | tee "$log" | show_progress "$total"; then
        grep -v '^WARNING' "$log.errors" | tail -n 12 >&2 || true
        fail "the packages could not be installed; the whole story is in $log and $log.errors"
    fi
}

# The stamp names the lock that was installed: `runtime HASH` or `dev HASH` (which contains the runtime), or, in an environment
# of its own, `bench HASH` or `mutants HASH`: baselines and mutmut must not mix with what the service is tested with.
hash_of() { cat "$@" | cksum | tr ' ' '-'; }
wanted() { # KIND
    case $1 in
        bench | mutants) hash_of "$root/requirements-$1.lock" ;;
        *) hash_of "$root/requirements.lock" "$root/requirements-dev.lock" ;;
    esac
}
is_installed() { # KIND
    [ -x "$venv/bin/python" ] && [ -f "$venv/ms.stamp" ] || return 1
    local have want
    have=$(cat "$venv/ms.stamp")
    want=$(wanted "$1")
    { [ "$have" = "dev $want" ] || [ "$have" = "$1 $want" ]; } && "$venv/bin/python" -c 'import sys' 2>/dev/null
}

make_environment() { # KIND
    is_installed "$1" && return
    [ -w "$root" ] || [ -w "$venv" ] || fail "$venv is missing or out of date, and $root cannot be written to: run once as its owner"
    if command -v flock >/dev/null 2>&1; then
        exec 9<"$root/ms.sh"
        flock -n 9 || { say "another ms.sh is installing; waiting for it"; flock 9; }
        is_installed "$1" && { exec 9<&-; return; }
    fi
    if ! "$venv/bin/python" -c 'import sys, pip; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
        local python
        python=$(find_python)
        say "making the Python environment in $venv"
        rm -rf "$venv"
        "$python" -m venv "$venv" || fail "$python could not make an environment; see above"
    fi
    rm -f "$venv/ms.stamp"
    local lock=requirements.lock
    [ "$1" = runtime ] || lock=requirements-$1.lock
    install "$root/$lock"
    printf '%s %s\n' "$1" "$(wanted "$1")" >"$venv/ms.stamp"
    exec 9<&-
}

# Help needs no package: it is told by whatever Python there is. ("$1" is the module, the rest what was typed.)
help_without_packages() {
    local argument
    for argument in "${@:2}"; do
        case $argument in -h | --help) PYTHONPATH=$root exec "$(find_python)" -P -m "$1" --help ;; esac
    done
}

run_tests() {
    local select=(-m "not slow") summary=() status=0 output argument arguments=()
    for argument in "$@"; do
        if [ "$argument" = --all ]; then select=() && export MS_TEST_ALL=1; else arguments+=("$argument"); fi
    done
    # The pages are tested in a real browser, and without one those tests fail. It is fetched beside the packages.
    output=$(mktemp -d)
    # shellcheck disable=SC2064  # the names are wanted as they are now, here and below
    trap "rm -rf '$output'" EXIT
    local browser=
    if [ ! -x /usr/bin/chromium ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            say "installing chromium (once)"
            { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q chromium; } >"$output/chromium" 2>&1 </dev/null &
            browser=$!
        else
            say "the tests of the pages need Chromium: apt-get install chromium (as root)"
        fi
    fi
    make_environment dev
    [ -z "$browser" ] || wait "$browser" || { say "chromium could not be installed:"; tail -n 12 "$output/chromium" >&2; }
    cd "$root"
    step() { # NAME COMMAND...
        local name=$1
        shift
        say "$name"
        if "$@"; then summary+=("$name ok"); else
            summary+=("$name FAILED")
            status=1
        fi
    }
    # mypy's twenty seconds are of one core: beside the tests, which leave some of the other.
    "$venv/bin/python" -m mypy >"$output/mypy" 2>&1 &
    # shellcheck disable=SC2064
    trap "kill $! 2>/dev/null || true; rm -rf '$output'" EXIT
    typed() { local status=0; wait "$1" || status=$?; cat "$output/mypy"; return "$status"; }
    step ruff "$venv/bin/python" -m ruff check .
    # In a fresh clone each of the workers would prepare all tests for itself: pytest keeps them once one process has done it.
    compgen -G "$root/tests/__pycache__/*pytest*" >/dev/null || "$venv/bin/python" -m pytest --collect-only -q \
        ${arguments[@]+"${arguments[@]}"} >/dev/null 2>&1 || true
    step pytest bash -o pipefail -c '"${@:2}" | tee "$1"' pytest "$output/pytest" \
        "$venv/bin/python" -m pytest -q -n 4 --dist worksteal ${select[@]+"${select[@]}"} ${arguments[@]+"${arguments[@]}"}
    step mypy typed $!
    local closing
    closing=$(sed 's/\x1b\[[0-9;]*m//g' "$output/pytest" | grep -E ' in [0-9.]+s' | tail -n 1 | tr -d '=' | sed 's/^ *//; s/ *$//' || true)
    local joined
    joined=$(printf '%s, ' "${summary[@]}")
    printf 'test: %s%s\n' "${joined%, }" "${closing:+ ($closing)}"
    return "$status"
}

[ $# -gt 0 ] || { usage; exit 0; }
unset PYTHONHOME PYTHONPATH
case $1 in
    help | -h | --help) usage; exit 0 ;;
    test) shift; run_tests "$@"; exit ;;
    bench)
        shift
        help_without_packages bench "$@"
        venv=$root/.venv-bench
        make_environment bench
        PYTHONPATH=$root exec "$venv/bin/python" -P -m bench "$@"
        ;;
    mutants)
        shift
        help_without_packages tests.mutants "$@"
        venv=$root/.venv-mutants
        make_environment mutants
        PYTHONPATH=$root exec nice -n 19 "$venv/bin/python" -P -m tests.mutants "$@"
        ;;
    demo | pbx-demo | serve | start | stop | restart | status | logs | sandbox | migrate | replay | import | parked | retry | rebuild | doctor | export | archive) ;;
    *) say "there is no command '$1'; ./ms.sh without arguments lists them"; exit 2 ;;
esac

# ./var means the checkout's, wherever we are called from; a relative folder that is given means what the caller means.
: "${MS_DATA_DIR:=$root/var}"
export MS_DATA_DIR
make_environment runtime
exec "$venv/bin/python" "$root/server.py" "$@"
