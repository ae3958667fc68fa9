# Shared by the scripts of this folder; sourced, not run.
#
# The set-up of a fresh machine, in two steps that both do nothing when nothing is to be done: packages of the distribution, then an
# out-of-tree build in build/.

ROOT=$(cd "$(dirname "$0")/.." && pwd)
SELF=scripts/$(basename "$0")
# KVSH_BUILD names a build that is there already: then nothing is set up. The tests use it.
BUILD=${KVSH_BUILD:-$ROOT/build}
unset MAKEFLAGS MFLAGS MAKELEVEL
JOBS=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# What building and running needs, and what the tests need besides.
PACKAGES="build-essential autoconf automake pkg-config libedit-dev libcurl4-openssl-dev libcjson-dev
    libsqlite3-dev libinih-dev libmicrohttpd-dev libgnutls28-dev libhiredis-dev python3"
CHECK_PACKAGES="ca-certificates clang-14 clang-format-14 groff-base procps valgrind xz-utils"

say() {
    echo "$SELF: $*" >&2
}

die() {
    say "$*"
    exit 1
}

package_there() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() {
    for package in "$@"; do
        package_there "$package" || echo "$package"
    done
    package_there redis-server || command -v valkey-server >/dev/null || echo redis-server
}

# A freshly installed redis-server would start as a service of the system, now and at every boot. Kept from both: while apt
# works there is a policy that starts nothing (unless the machine has a policy of its own), and the service is left disabled.
POLICY=/usr/sbin/policy-rc.d
policy_made=

policy_put() {
    [ -e "$POLICY" ] && return
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null && policy_made=yes
    as_root chmod 755 "$POLICY"
    say "no service is started meanwhile (by $POLICY, removed afterwards)"
}

policy_remove() {
    [ -z "$policy_made" ] || as_root rm -f "$POLICY"
    policy_made=
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@" </dev/null >&2
}

# setup_packages PACKAGE...: installs those that are missing, by the distribution's own means.
setup_packages() {
    [ -z "${KVSH_BUILD-}" ] || return 0
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    missing=$(echo $missing)
    command -v apt-get >/dev/null ||
        die "these packages are missing and there is no apt-get here to install them: $missing"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "these packages are missing: $missing; run as root: apt-get install $missing"
    fi
    say "installing $missing"
    trap policy_remove EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    case " $missing " in *" redis-server "*) policy_put ;; esac
    apt_install $missing || {
        as_root apt-get -q update </dev/null >&2 && apt_install $missing
    } || die "apt-get could not install: $missing"
    case " $missing " in
    *" redis-server "*)
        policy_remove
        as_root update-rc.d redis-server disable >/dev/null 2>&1 ||
            say "could not disable the service redis-server, which apt enabled for the next boot"
        ;;
    esac
    trap - EXIT INT TERM HUP
}

# setup_build DIR [CONFIGURE-ARGUMENT]...: configures DIR once (again when the arguments change) and makes, by
# $RUN_UNDER when set. Quiet unless something fails; the whole output is in DIR.log.
setup_build() {
    dir=$1
    shift
    log=$dir.log
    [ -z "${KVSH_BUILD-}" ] || return 0
    [ ! -e "$ROOT/config.status" ] ||
        die "the source folder itself is configured: run 'make distclean' in $ROOT first"
    if [ ! -x "$ROOT/configure" ] || [ ! -e "$ROOT/Makefile.in" ]; then
        say "preparing the build system"
        (cd "$ROOT" && autoreconf -fi) >"$log" 2>&1 </dev/null || build_failed autoreconf "$log"
    fi
    mkdir -p "$dir"
    if [ ! -e "$dir/config.status" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$*" ]; then
        say "configuring $(basename "$dir")${*:+ ($*)}"
        (cd "$dir" && "$ROOT/configure" -q "$@") >"$log" 2>&1 </dev/null ||
            build_failed configure "$log"
        echo "$*" >"$dir/.configured"
    fi
    if ! make -C "$dir" -q all >/dev/null 2>&1; then
        say "building $(basename "$dir")"
        ${RUN_UNDER-} make -C "$dir" -j"$JOBS" all >"$log" 2>&1 </dev/null || build_failed make "$log"
    fi
}

build_failed() {
    tail -n 30 "$2" >&2
    die "$1 failed; the whole output is in $2"
}
