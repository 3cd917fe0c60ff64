# Goes into a copy of this machine, below the folder in which it runs: an overlay over the root, with processes and a network of
# its own. The program beside it is copied in, and run with the arguments.
set -e
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root 2>/dev/null || {
	mkdir memory; mount -t tmpfs tmpfs memory; mkdir memory/upper memory/work
	mount -t overlay -o lowerdir=/,upperdir=memory/upper,workdir=memory/work overlay root; }
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/tmp; chmod 1777 root/tmp
mount -t tmpfs tmpfs root/run
cp program root/run/program
if [ -e doorward ]; then cp doorward root/usr/bin/doorward; fi
exec chroot root env -C / TMPDIR=/tmp /run/program "$@"
