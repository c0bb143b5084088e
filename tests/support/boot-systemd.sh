#!/bin/bash
# boot-systemd.sh PROGRAM OUT [SECONDS]
#
# Boots this machine's systemd as PID 1 of new namespaces over a throw-away overlay of /, runs PROGRAM in it as root, and
# ends it all. Prints and exits with PROGRAM's exit status. OUT (inside: /out) keeps stdout, stderr and the console, and is
# the only folder of the real disk that anything inside can change. The repository is seen inside as /opt/aipassd, so that
# other users reach it wherever it lives. The root is changed by pivot_root, not chroot: a chrooted process may not make
# user namespaces, which PrivateUsers= needs. With NO_USERNS=1 it is chroot, so that the kernel refuses them, as many
# machines do by policy (AppArmor on Ubuntu, user.max_user_namespaces=0, containers).
# Needs root, overlayfs, cgroup v2, systemd and dbus.
set -eu
program=$(readlink -f "$1") out=$(readlink -f "$2") seconds=${3:-120}
repository=$(readlink -f "$(dirname "$0")/../..")
for need in /lib/systemd/systemd /usr/bin/dbus-daemon; do
  [[ -x $need ]] || { echo "boot-systemd: $need is missing: apt-get install systemd dbus dbus-user-session" >&2; exit 125; }
done
[[ $(id -u) == 0 ]] || { echo "boot-systemd: must run as root" >&2; exit 125; }
rm -f "$out"/{rc,stdout,stderr,console}
root=$(mktemp -d)
export program out root repository NO_USERNS=${NO_USERNS:-}
setsid unshare --fork --pid --mount --uts --ipc --cgroup --mount-proc --kill-child bash -euc '
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"; mkdir -p "$root"/{upper,work,root}
mount -t overlay overlay -o lowerdir=/,upperdir="$root/upper",workdir="$root/work" "$root/root"
cd "$root/root"
mount -t proc proc proc; mount -t sysfs sysfs sys
for folder in run tmp var/tmp dev; do mount -t tmpfs tmpfs $folder; done
chmod 1777 tmp var/tmp
mkdir -p dev/pts dev/shm
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
ln -s /proc/self/fd dev/fd; ln -s /proc/self/fd/1 dev/stdout; ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs tmpfs dev/shm; mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666; ln -s pts/ptmx dev/ptmx
mount -t cgroup2 none sys/fs/cgroup
mkdir -p out opt/aipassd run/systemd/system .old
mount --bind "$out" out
mount --bind "$repository" opt/aipassd
cp "$program" run/inside; chmod +x run/inside
# Mounts and devices that the real machine has are no business of the one inside.
rm -f etc/fstab
cat > run/systemd/system/inside.service <<UNIT
[Unit]
DefaultDependencies=no
Wants=basic.target dbus.socket
After=basic.target dbus.socket
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=append:/out/stdout
StandardError=append:/out/stderr
ExecStart=/run/inside
ExecStopPost=/bin/sh -c "echo \$EXIT_STATUS >/out/rc.part; mv /out/rc.part /out/rc"
UNIT
export container=boot-systemd
if [[ -n $NO_USERNS ]]; then exec chroot . /lib/systemd/systemd --system --unit=inside.service --log-target=console --show-status=0 --log-level=warning; fi
pivot_root . .old
umount -l /.old
exec /lib/systemd/systemd --system --unit=inside.service --log-target=console --show-status=0 --log-level=warning
' </dev/null >"$out/console" 2>&1 &
boot=$!
trap 'kill -KILL "$boot" 2>/dev/null || true' EXIT
for ((i = 0; i < seconds * 10; i++)); do
  [[ -e $out/rc ]] && break
  kill -0 "$boot" 2>/dev/null || break
  sleep 0.1
done
kill -KILL "$boot" 2>/dev/null || true
wait "$boot" 2>/dev/null || true
rmdir "$root" 2>/dev/null || true
if [[ ! -e $out/rc ]]; then
  echo "boot-systemd: no exit status within $seconds s; see $out/console" >&2
  exit 124
fi
status=$(<"$out/rc")
[[ $status =~ ^[0-9]+$ ]] || status=1
echo "$status"
exit "$status"
