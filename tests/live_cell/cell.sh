#!/bin/sh
# A Grid Engine cell of one host, as root on Debian 12: `cell.sh up`, `cell.sh down`.
# It makes the users cella, cellb and cellc, two parallel environments for each way of accounting, two queues and a project.
set -eu
export DEBIAN_FRONTEND=noninteractive SGE_ROOT=/var/lib/gridengine SGE_CELL=default
HOST=$(hostname)
COMMON=$SGE_ROOT/$SGE_CELL/common
USERS="cella cellb cellc"

say() { echo "==> $*"; }

install_packages() {
  command -v sge_qmaster >/dev/null && command -v sge_execd >/dev/null && return
  say "Installing Grid Engine"
  for package in gridengine-master gridengine-common; do
    echo "$package shared/gridenginemaster string $HOST"
    echo "$package shared/gridenginecell string $SGE_CELL"
    echo "$package shared/gridengineconfig boolean true"
  done | debconf-set-selections
  # its daemons must not start before the host has its alias
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends gridengine-master gridengine-exec gridengine-client
  rm -f /usr/sbin/policy-rc.d
}

start_daemons() {
  say "Starting the daemons"
  mkdir -p "$COMMON" /run/gridengine
  chown sgeadmin:sgeadmin /run/gridengine
  echo "localhost $HOST" > "$COMMON/host_aliases"
  echo localhost > "$COMMON/act_qmaster"
  pgrep -x sge_qmaster >/dev/null || sge_qmaster
  wait_for "the qmaster" qconf -sconf
  su sgeadmin -s /bin/sh -c 'qconf -am root' >/dev/null 2>&1 || true
  qconf -ah localhost >/dev/null 2>&1 || true
  qconf -as localhost >/dev/null 2>&1 || true
  pgrep -x sge_execd >/dev/null || sge_execd
  wait_for "a load of localhost" sh -c 'qhost | grep -q "^localhost .* [0-9.]* .*[0-9]"'
}

wait_for() {
  what=$1; shift
  for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.3; done
  echo "$what does not come" >&2
  "$@" >&2
}

# configure OPTION FILE-CONTENT: give the text to qconf as a file
configure() {
  file=$(mktemp); cat > "$file"; qconf "$1" "$file" >/dev/null || { cat "$file" >&2; exit 1; }; rm -f "$file"
}

has() { qconf "$1" 2>/dev/null | grep -qx "$2"; }

configure_cell() {
  say "Configuring scheduler, queues, environments, project, users"
  qconf -ssconf | sed -e 's/^schedule_interval .*/schedule_interval 0:0:2/' -e 's/^job_load_adjustments .*/job_load_adjustments NONE/' \
    -e 's/^load_adjustment_decay_time .*/load_adjustment_decay_time 0:0:0/' -e 's/^maxujobs .*/maxujobs 0/' | configure -Msconf
  # a long value goes on after a backslash
  qconf -sconf | sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}' -e '/^#*global:$/d' \
    -e 's/^reporting_params .*/reporting_params accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:01 joblog=false sharelog=00:00:00/' \
    > /tmp/global.$$
  mkdir -p /tmp/conf.$$ && mv /tmp/global.$$ /tmp/conf.$$/global && qconf -Mconf /tmp/conf.$$/global >/dev/null; rm -r /tmp/conf.$$
  has -shgrpl @allhosts || printf 'group_name @allhosts\nhostlist localhost\n' | configure -Ahgrp
  for summary in FALSE TRUE; do
    environment "openmp_$summary" '$pe_slots' "$summary"
    environment "mpi_$summary" '$round_robin' "$summary"
  done
  queue all.q INFINITY
  queue short.q 0:0:10
  has -sprjl chem || printf 'name chem\noticket 0\nfshare 0\nacl NONE\nxacl NONE\n' | configure -Aprj
  for user in $USERS; do
    id "$user" >/dev/null 2>&1 || useradd --create-home --user-group --shell /bin/bash "$user"
  done
}

environment() {
  has -spl "$1" || printf '%s\n' "pe_name $1" 'slots 100' 'user_lists NONE' 'xuser_lists NONE' 'start_proc_args NONE' \
    'stop_proc_args NONE' "allocation_rule $2" 'control_slaves TRUE' 'job_is_first_task TRUE' 'urgency_slots min' \
    "accounting_summary $3" 'qsort_args NONE' | configure -Ap
}

queue() {
  has -sql "$1" || qconf -sq | sed -e "s/^qname .*/qname $1/" -e 's/^hostlist .*/hostlist @allhosts/' \
    -e 's/^pe_list .*/pe_list openmp_FALSE openmp_TRUE mpi_FALSE mpi_TRUE/' -e 's/^slots .*/slots 40/' \
    -e 's,^shell .*,shell /bin/sh,' -e 's/^load_thresholds .*/load_thresholds NONE/' -e "s/^h_rt .*/h_rt $2/" | configure -Aq
}

case ${1:-} in
  up) install_packages; start_daemons; configure_cell; say "The cell is up: $COMMON/accounting" ;;
  down) qconf -ke all >/dev/null 2>&1 || true; sleep 1; qconf -km >/dev/null 2>&1 || true; sleep 2
        pkill -x sge_execd || true; pkill -x sge_qmaster || true
        for _ in $(seq 50); do { pgrep -x sge_execd || pgrep -x sge_qmaster; } >/dev/null || break; sleep 0.3; done
        say "The cell is down" ;;
  *) echo "usage: $0 up|down" >&2; exit 2 ;;
esac
