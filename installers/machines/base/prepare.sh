#!/bin/sh
# Runs once at each boot of an Olares machine, before anything else needs cgroups or sysctls.
set -eu

# nspawn hands cgroup v1 controllers in read-only; without "bind" the remount is refused as busy.
while read -r _device mount type options _rest; do
    [ "$type" = cgroup ] || continue
    case ",$options," in *,ro,*) mount -o remount,bind,rw "$mount" ;; esac
done </proc/mounts

# These sysctls belong to the whole computer, and a kubelet insists on writing them. The machine gets
# files of its own over them, so that the outer host's values stay.
mkdir -p /run/olares-machine/sysctl
for key in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    own="/run/olares-machine/sysctl/$(echo "$key" | tr / .)"
    cat "/proc/sys/$key" >"$own"
    mount --bind "$own" "/proc/sys/$key"
done
