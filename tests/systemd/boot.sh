#!/bin/bash
# boot.sh WORK FILES RESULTS SOURCE: installs SOURCE as an operator would, on a throw-away overlay of this machine's root file
# system, boots a real systemd in it as process 1 of its own namespaces, and runs FILES/story.service, whose end is the
# end of that machine. Inside, FILES is /files and RESULTS is /results.
#
# NAME is that of its control groups. PYTHON's packages (its dependencies, pytest) are seen by the installation. To be called under
# `unshare --mount --pid --fork --kill-child --mount-proc`: no mount or process outlives that, whatever happens.
set -euo pipefail
work=$1 files=$2 results=$3 source=$4

mount -t tmpfs -o size=1g,mode=755 tmpfs "$work"
mkdir "$work"/{wheel,upper,work,root}
"$PYTHON" -m build --no-isolation --outdir "$work/wheel" "$source"
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
root=$work/root
: > "$root/etc/machine-id"
install -m644 "$files/story.service" "$root/etc/systemd/system/"

# A service must reach the interpreter, which a developer may have below /root.
folder=$("$PYTHON" -c 'import sys; print(sys.base_prefix)')
while [ "$folder" != / ]; do
	chmod o+rx "$root$folder"
	folder=$(dirname "$folder")
done
wheel=$(basename "$work"/wheel/*.whl)
cp "$work/wheel/$wheel" "$root/opt"
chroot "$root" "$("$PYTHON" -c 'import sys; print(sys._base_executable)')" -I -m venv /opt/colvi-edge
chroot "$root" /opt/colvi-edge/bin/python -I -m pip install --quiet --no-index --no-deps "/opt/$wheel"
echo /packages > "$(echo "$root"/opt/colvi-edge/lib/python*/site-packages)/packages.pth"
packages=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# nspawn leaves its control groups behind; in one of our own, of one name in all hierarchies, they can be told apart.
groups=()
for hierarchy in /sys/fs/cgroup/{systemd,unified,}; do
	[ -e "$hierarchy/cgroup.procs" ] && groups+=("$hierarchy/$NAME")
done
leave() {
	for group in "${groups[@]}"; do
		echo $$ > "$(dirname "$group")/cgroup.procs"
		for _ in {1..100}; do # processes that were killed are still going
			find "$group" -depth -type d -exec rmdir {} + 2> /dev/null && break
			sleep 0.1
		done
	done
}
trap leave EXIT
for group in "${groups[@]}"; do
	mkdir "$group"
	echo $$ > "$group/cgroup.procs"
done

masked=(console-getty systemd-networkd systemd-resolved docker ssh cron)
timeout --kill-after=5 "$LIMIT_S" \
	systemd-nspawn --directory="$root" --boot --register=no --keep-unit --machine=colvi-edge-test --quiet \
	--private-network --bind-ro="$files:/files" --bind-ro="$packages:/packages" --bind="$results:/results" \
	--console=pipe systemd.unit=multi-user.target systemd.wants=story.service \
	"${masked[@]/#/systemd.mask=}" < /dev/null
