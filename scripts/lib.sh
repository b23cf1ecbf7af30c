# shellcheck shell=bash
# What scripts/demo and scripts/test share: preparing the machine, and saying what happens and how long it takes.
#
# Preparing means: Debian packages by name with apt-get, a Python environment, the build, and guest images. All of
# it is idempotent and quick the second time. It installs packages and writes to the cache folder and to target/;
# it never touches the boot configuration of the host: the guest kernel is unpacked, not installed.

set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CORACLE_CACHE=${CORACLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle}
CORACLE_IMAGES_DIR=${CORACLE_IMAGES_DIR:-$CORACLE_CACHE/images}
VENV=$CORACLE_CACHE/venv
export CORACLE_CACHE CORACLE_IMAGES_DIR

# mkfs.ext4 and its like are not on an ordinary user's path; rustup's cargo may not be on a script's.
export PATH="$PATH:$HOME/.cargo/bin:/usr/local/sbin:/usr/sbin:/sbin"

# --- saying ----------------------------------------------------------------------------------------------------

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m' MOVING=1
else
    BOLD='' DIM='' RED='' GREEN='' PLAIN='' MOVING=''
fi

say() { printf '%s\n' "$*"; }
title() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
die() {
    printf '%s%s%s\n' "$RED" "$1" "$PLAIN" >&2
    shift
    (($# == 0)) || printf '%s\n' "$@" >&2
    exit 1
}

now_ms() { date +%s%3N; }

# elapsed MILLISECONDS: for people
elapsed() {
    if (($1 < 60000)); then
        printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100))
    else
        printf '%d min %02d s' $(($1 / 60000)) $(($1 / 1000 % 60))
    fi
}

STEP_GROUP=''

# step TITLE COMMAND...: runs a command with its output in a file, shows that it is alive and how long it took, and
# the end of its output when it fails. Returns the command's status.
step() {
    local title=$1 log started status=0 pid took next_note=10000
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/coracle-step.XXXXXX")
    started=$(now_ms)
    # A process group of its own, so that an interrupted script can end all of it.
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    set +m
    STEP_GROUP=$pid
    while kill -0 "$pid" 2>/dev/null; do
        took=$(($(now_ms) - started))
        if [[ $MOVING ]]; then
            ((took < 300)) || show_progress "$title" "$took" "$log"
        elif ((took >= next_note)); then
            say "  $title: $(elapsed "$took") so far ($(last_line "$log" 80))"
            next_note=$((next_note < 60000 ? next_note * 2 : next_note + 60000))
        fi
        sleep 0.2
    done
    wait "$pid" || status=$?
    STEP_GROUP=''
    took=$(elapsed $(($(now_ms) - started)))
    [[ ! $MOVING ]] || printf '\r\e[K'
    if ((status == 0)); then
        printf '  %s✓%s %-58s %s%10s%s\n' "$GREEN" "$PLAIN" "$title" "$DIM" "$took" "$PLAIN"
    else
        printf '  %s✗ %-58s %10s%s\n' "$RED" "$title" "$took" "$PLAIN"
        tail -n 40 "$log" | sed 's/^/    │ /'
    fi
    rm -f "$log"
    return "$status"
}

# For the EXIT trap of a script: ends the step that is under way.
end_step() {
    [[ -z $STEP_GROUP ]] || kill -- "-$STEP_GROUP" 2>/dev/null || true
}

last_line() { tail -c 400 "$1" | tr '\r' '\n' | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g' | awk 'NF { last = $0 } END { printf "%s", last }' | cut -c "1-$2"; }

show_progress() {
    local width room
    width=$(tput cols 2>/dev/null || echo 80)
    room=$((width - ${#1} - 18))
    ((room > 0)) || room=1
    printf '\r\e[K  … %s  %s  %s%s%s' "$1" "$(elapsed "$2")" "$DIM" "$(last_line "$3" "$room")" "$PLAIN"
}

# --- preparing the machine -------------------------------------------------------------------------------------

# need PACKAGE REASON TEST...: notes the package when the test fails
need() {
    local package=$1 reason=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    MISSING_PACKAGES+=("$package")
    MISSING_REASONS+=("$reason")
}

has() { command -v "$1"; }

# Python that can make environments: the one on the path, or else Debian's.
find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# What the host must have, and why.
find_missing_packages() {
    local qemu_package qemu_program other_package other_program
    MISSING_PACKAGES=()
    MISSING_REASONS=()
    case $(uname -m) in
        x86_64)
            qemu_package=qemu-system-x86 qemu_program=qemu-system-x86_64
            other_package=qemu-system-arm other_program=qemu-system-aarch64
            ;;
        aarch64)
            qemu_package=qemu-system-arm qemu_program=qemu-system-aarch64
            other_package=qemu-system-x86 other_program=qemu-system-x86_64
            ;;
        *) die "Coracle runs on x86_64 and aarch64; this is $(uname -m)." ;;
    esac
    need build-essential "compiles the parts that are in C, and links" has cc
    need "$qemu_package" "runs the microVMs" has "$qemu_program"
    need mmdebstrap "makes Python base images from Debian's packages" has mmdebstrap
    need debian-archive-keyring "proves that those packages are Debian's" \
        test -e /usr/share/keyrings/debian-archive-keyring.gpg
    need e2fsprogs "makes the private disk of a session" has mkfs.ext4
    need python3-venv "keeps boto3 and pytest apart from the system's Python" find_python
    if (($(id -u) != 0)); then
        need uidmap "lets mmdebstrap work without root" has newuidmap
    fi
    if [[ ${1:-} == tests ]]; then
        need erofs-utils "checks the disk images that Coracle writes" has fsck.erofs
        need openssl "issues the tests' certificates" has openssl
        need docker-registry "is where the tests' container images are pulled from" has docker-registry
        need busybox-static "is the shell in one of these images" has busybox
        need faketime "has the clock of a server jump" has faketime
        # Ubuntu has it only as a snap; the tests that need it are left out there.
        [[ $(. /etc/os-release && echo "$ID") != debian ]] || need chromium "looks at the page of agentcore dev" has chromium
        need musl-tools "builds a program for an image without the C library of Debian" has musl-gcc
        if [[ ${CORACLE_SOAK:-} == 1 ]]; then
            need "$other_package" "runs images for another processor" has "$other_program"
        fi
    fi
}

install_missing_packages() {
    ((${#MISSING_PACKAGES[@]} > 0)) || return 0
    local index privileged=()
    say "Missing on this machine:"
    for index in "${!MISSING_PACKAGES[@]}"; do
        printf '  %-24s %s\n' "${MISSING_PACKAGES[index]}" "${MISSING_REASONS[index]}"
    done
    if ! has apt-get >/dev/null; then
        die "This is no Debian or Ubuntu machine." "Install what these packages contain, then run this again."
    fi
    if (($(id -u) != 0)); then
        if ! has sudo >/dev/null || ! { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
            die "They can be installed only by root. Run this, then try again:" \
                "  apt-get install --no-install-recommends ${MISSING_PACKAGES[*]}"
        fi
        sudo true # asks for the password before output is caught
        privileged=(sudo)
    fi
    step "Updating the package lists" "${privileged[@]}" apt-get update ||
        die "The package lists could not be updated. Is the network reachable?"
    step "Installing ${#MISSING_PACKAGES[@]} packages" "${privileged[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "${MISSING_PACKAGES[@]}" ||
        die "The packages could not be installed. Install these, then try again:" "  ${MISSING_PACKAGES[*]}"
}

require_rust() {
    has cargo >/dev/null || die "Rust is missing." "Install it from https://rustup.rs, then run this again."
    has rustup >/dev/null || say "Note: without rustup, cargo must be the version that rust-toolchain.toml names."
}

# One preparation at a time, whoever else runs a demo or tests.
hold_cache() {
    mkdir -p "$CORACLE_CACHE"
    exec 9>"$CORACLE_CACHE/.lock"
    if ! flock --nonblock 9; then
        say "  Waiting for another demo or test run to finish its preparations"
        flock 9
    fi
}

release_cache() { exec 9>&-; }

requirements_digest() { { "$(find_python)" --version; cat "$ROOT/tests/e2e/requirements.txt"; } | sha256sum | cut -d' ' -f1; }

make_venv() {
    rm -rf "$VENV"
    "$(find_python)" -m venv "$VENV"
    "$VENV/bin/pip" install --disable-pip-version-check --requirement "$ROOT/tests/e2e/requirements.txt"
    requirements_digest >"$VENV/.digest"
}

prepare_python() {
    find_python >/dev/null || die "Python 3.11 or newer with its venv module is missing."
    [[ -e $VENV/.digest && $(<"$VENV/.digest") == "$(requirements_digest)" ]] && return
    step "Preparing Python packages (boto3 and others)" make_venv || die "The Python packages could not be installed."
}

# prepare_host [tests]: everything but the build and the images
prepare_host() {
    require_rust
    find_missing_packages "${1:-}"
    install_missing_packages
    hold_cache
    prepare_python
    release_cache
}

# prepare_images CORACLE NAME...: kernel and base images, with the binary that was just built
prepare_images() {
    local coracle=$1 name
    shift
    hold_cache
    for name in "$@"; do
        step "Preparing guest image $name" "$coracle" image build "$name" --images-dir "$CORACLE_IMAGES_DIR" 9>&- || return
    done
    release_cache
}
