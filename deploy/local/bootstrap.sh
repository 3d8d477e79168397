#!/usr/bin/env bash
# Installs what vdbmon needs on Debian 12, as far as it is missing, and makes .venv. A second run changes nothing.
#
#   bootstrap.sh          what `make up` needs: Debian packages, .venv
#   bootstrap.sh --test   also what the tests need
#   bootstrap.sh --lint   only .venv with the development tools
#
# Debian's packages start their services at installation, Prometheus and its like on all interfaces. A policy-rc.d
# forbids that while apt runs, and the units that the installation enabled are disabled again: the local stack runs
# these programs itself, on loopback. PostgreSQL's would also make a database cluster: a setting forbids that as long as
# apt runs, for the tests make their own. docker.service stays enabled, as on any host with Docker: from the next boot on
# the host has its own dockerd, which `make up` then uses.
set -euo pipefail

cd "$(dirname "$0")/../.."
PATH="$PATH:/usr/sbin:/sbin"
readonly VENV=.venv LOG=var/log/bootstrap.log
readonly POLICY=/usr/sbin/policy-rc.d POLICY_MARK="written by vdbmon's bootstrap.sh"
# What an installation enables, by package.
readonly -A UNITS=(
    [prometheus]=prometheus [prometheus-alertmanager]=prometheus-alertmanager
    [prometheus-node-exporter]=prometheus-node-exporter [victoria-metrics]=victoria-metrics
    [openvswitch-switch]=openvswitch-switch [influxdb]=influxdb [graphite-carbon]=carbon-cache
    [zabbix-server-pgsql]=zabbix-server [postgresql]=postgresql [lxcfs]=lxcfs
    [mariadb-server]=mariadb [openssh-server]=ssh
)
readonly NO_CLUSTER=/etc/postgresql-common/createcluster.d/vdbmon.conf

mode=${1:-}
case "$mode" in
    "" | --test | --lint) ;;
    *) echo "bootstrap.sh: unknown option $mode; known are --test and --lint" >&2; exit 2 ;;
esac

die() {
    echo "bootstrap.sh: $*" >&2
    exit 1
}

# step TITLE COMMAND...: one line with the time taken; the command's output goes to the log, its end is shown on failure.
step() {
    local title=$1 start=$SECONDS
    shift
    [ ! -t 1 ] || printf '           %s ...\r' "$title"
    mkdir -p "$(dirname "$LOG")"
    echo "== $title" >>"$LOG"
    if ! "$@" >>"$LOG" 2>&1; then
        echo "bootstrap.sh: $title failed after $((SECONDS - start)) s; the end of $PWD/$LOG:" >&2
        tail -n 15 "$LOG" | sed 's/^/    /' >&2
        exit 1
    fi
    printf '%7d s  %s    \n' $((SECONDS - start)) "$title"
}

# need COMMAND PACKAGE: what counts is the command; a host with docker-ce must not get docker.io.
missing=()
need() {
    command -v "$1" >/dev/null || missing+=("$2")
}

find_missing() {
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    [ "$mode" != --lint ] || return 0
    [ -n "${DOCKER_HOST:-}" ] || need dockerd docker.io
    need prometheus prometheus
    need prometheus-alertmanager prometheus-alertmanager
    need victoria-metrics victoria-metrics
    need ovs-vswitchd openvswitch-switch
    need mmdebstrap mmdebstrap
    need mkfs.ext4 e2fsprogs
    need ip iproute2
    need iptables iptables
    need ps procps
    [ "$mode" = --test ] || return 0
    need busybox busybox-static
    need influxd influxdb
    need prometheus-node-exporter prometheus-node-exporter
    need strace strace
    need qemu-system-x86_64 qemu-system-x86
    need carbon-cache graphite-carbon
    need zabbix_server zabbix-server-pgsql
    need php php-cli
    php -r 'exit(function_exists("pg_connect") ? 0 : 1);' 2>/dev/null || missing+=(php-pgsql)
    [ -e /usr/share/zabbix/api_jsonrpc.php ] || missing+=(zabbix-frontend-php)
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
    need lxcfs lxcfs
    need ssh openssh-client
    need sshd openssh-server
    need fio fio
    need mariadbd mariadb-server
    need mariadb-backup mariadb-backup
    need mydumper mydumper
    need age age
    need restic restic
    need zstd zstd
    need systemd-analyze systemd
}

forbid_service_starts() {
    trap 'rm -f "$NO_CLUSTER"' EXIT
    trap 'exit 130' INT TERM HUP
    if [[ " ${missing[*]} " == *" postgresql "* ]]; then
        mkdir -p "$(dirname "$NO_CLUSTER")"
        echo 'create_main_cluster = false' >"$NO_CLUSTER"
    fi
    if [ -e "$POLICY" ] && ! grep -qs "$POLICY_MARK" "$POLICY"; then
        return 0
    fi
    trap 'rm -f "$POLICY" "$NO_CLUSTER"' EXIT
    printf '#!/bin/sh\n# %s; removed when it ends\nexit 101\n' "$POLICY_MARK" >"$POLICY"
    chmod 755 "$POLICY"
}

allow_service_starts() {
    rm -f "$NO_CLUSTER"
    if grep -qs "$POLICY_MARK" "$POLICY"; then
        rm -f "$POLICY"
    fi
    trap - EXIT INT TERM HUP
}

# Chained with &&, as everything that `step` runs: inside a condition bash ignores `set -e`.
# `dpkg --configure -a` finishes what an interrupted run left half installed.
apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    dpkg --configure -a &&
        apt-get -q update &&
        apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "${missing[@]}" &&
        disable_new_units
}

disable_new_units() {
    local package unit
    for package in "${!UNITS[@]}"; do
        [[ " ${missing[*]} " == *" $package "* ]] || continue
        unit=${UNITS[$package]}
        if command -v systemctl >/dev/null; then
            systemctl disable "$unit" || return
        else
            update-rc.d "$unit" disable || return
        fi
    done
}

make_venv() {
    { "$VENV/bin/python" -m pip --version || python3 -m venv --clear "$VENV"; } &&
        "$VENV/bin/python" -m pip install --disable-pip-version-check -c constraints.txt -e "$1" &&
        touch "$2"
}

# A stamp counts while it is newer than both files that say what to install; the development tools include all else.
is_current() {
    [ -x "$VENV/bin/vdbmon" ] && [ "$1" -nt pyproject.toml ] && [ "$1" -nt constraints.txt ]
}

[ "$(id -u)" = 0 ] || [ "$mode" = --lint ] || die "needs root, for Debian packages, dockerd and loop devices; use sudo"
command -v python3 >/dev/null || die "no python3; install it: apt-get install python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "python3 is older than 3.11; Debian 12 has 3.11"

find_missing
if [ "${#missing[@]}" -gt 0 ]; then
    [ "$(id -u)" = 0 ] || die "needs root to install ${missing[*]}; use sudo"
    command -v apt-get >/dev/null || die "not a Debian: install by hand what these packages hold: ${missing[*]}"
    forbid_service_starts
    step "Debian packages: ${missing[*]}" apt_install
    allow_service_starts
fi

readonly RUN_STAMP=$VENV/.installed DEV_STAMP=$VENV/.dev-installed
if [ -z "$mode" ]; then
    is_current "$RUN_STAMP" || is_current "$DEV_STAMP" || step "Python environment $VENV" make_venv . "$RUN_STAMP"
else
    is_current "$DEV_STAMP" || step "Python environment $VENV with development tools" make_venv '.[dev]' "$DEV_STAMP"
fi
