# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by scripts/build-image: the root file system as a folder, the kernel with its modules, and the initial RAM disk.
# Everything lies in $work, which is /making of the tool tree.

# in_tools COMMAND...: runs it in the tool tree, with nothing of this machine in its environment but the date.
in_tools() { env -i PATH=/usr/sbin:/usr/bin LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" chroot "$tools" "$@"; }

# put FOLDER: copies an overlay over the root file system, as files of root that anybody may read.
put() { tar -C "$1" --sort=name --owner=0 --group=0 --mode='u=rwX,go=rX' -cf - . | tar -C "$tree" --no-same-owner --no-overwrite-dir -xpf -; }

# make_kernel: unpacks the kernel's package; sets kernel_version.
make_kernel() {
    dpkg-deb -x "$base/kernel.deb" "$work/kernel"
    [ -d "$work/kernel/usr/lib/modules" ] || { mkdir -p "$work/kernel/usr/lib" && mv "$work/kernel/lib/modules" "$work/kernel/usr/lib/"; }
    [ -e "$work/kernel/lib" ] || ln -s usr/lib "$work/kernel/lib"
    kernel_version=$(ls "$work/kernel/usr/lib/modules")
    in_tools depmod -b /making/kernel "$kernel_version"
}

# modules_of FILE: the modules that a list asks for and what they need, as paths below the kernel's folder, in the order of loading.
modules_of() {
    local name
    while read -r name; do
        in_tools modprobe -d /making/kernel -S "$kernel_version" --show-depends "$name" 2>/dev/null ||
            printf 'missing %s\n' "$name"
    done < <(listed "$1") | awk -v list="${1##*/}" '
        /^insmod / { path = $2; sub(/^.*\/lib\/modules\//, "", path); if (!seen[path]++) print path }
        /^missing / { print "config/image/" list ": the kernel has no module " $2 > "/dev/stderr"; bad = 1 }
        END { exit bad }'
}

# make_tree: the root file system: Debian's user space, less than it came with, and what is ours.
make_tree() {
    local pattern file name
    tree=$work/root
    mkdir -p "$tree"
    tar -C "$tree" --numeric-owner -xpf "$base/base.tar"
    awk '/^Package:/ { name = $2 } /^Architecture:/ { kind = $2 } /^Version:/ { print name, $2, kind }' "$tree/var/lib/dpkg/status" |
        sort >"$work/packages"

    "$root/scripts/install" --binary "$binary" --root "$tree" >/dev/null
    rm -rf "${tree:?}/etc/vestibule"/* "$tree/etc/systemd/system"/*.wants
    put "$root/config/image/overlay"
    # What a debugger would need stays with the build.
    in_tools strip /making/root/usr/local/bin/vestibule
    install -D -m 644 "$root/config/image/README.md" "$tree/usr/share/vestibule/README.md"
    ln -s ../local/bin/vestibule "$tree/usr/bin/vestibule"
    chroot "$tree" systemd-sysusers 2>/dev/null || fail "the users of the image could not be made"
    sed -i 's,:[^:]*$,:/usr/sbin/nologin,' "$tree/etc/passwd"
    # What tools left of their own, among it this machine's name servers.
    find "$tree/etc" -maxdepth 1 \( -name '*-' -o -name '.*' \) -delete

    while read -r pattern; do
        # Patterns are to be expanded.
        # shellcheck disable=SC2086
        (cd "$tree" && shopt -s nullglob && rm -rf -- $pattern)
    done < <(listed "$root/config/image/removed")
    chroot "$tree" systemctl --quiet preset-all 2>"$work/preset" || fail "the units' presets: $(cat "$work/preset")"
    for file in "$tree"/usr/bin/* "$tree"/usr/sbin/*; do
        name=${file##*/}
        [ "$name" = vestibule ] || listed "$root/config/image/programs" | grep -qxF -- "$name" || rm -rf "$file"
    done
    while read -r name; do
        [ -e "$tree/usr/bin/$name" ] || [ -L "$tree/usr/sbin/$name" ] || [ -e "$tree/usr/sbin/$name" ] ||
            fail "config/image/programs names $name, which no package of the image has"
    done < <(listed "$root/config/image/programs")
    find "$tree/usr/share/doc" ! -type d ! -name copyright -delete
    find "$tree/usr/share/doc" -type d -empty -delete
    rm -rf "${tree:?}"/{var,boot,tmp,run,home,root,media,mnt,opt,srv,dev,proc,sys}/*

    modules_of "$root/config/image/modules" >"$work/modules" || fail "modules are missing"
    mkdir -p "$tree/usr/lib/modules"
    printf '%s\n' "$kernel_version"/modules.{builtin,builtin.modinfo,order} | cat - "$work/modules" |
        (cd "$work/kernel/usr/lib/modules" && xargs cp --parents -t "$tree/usr/lib/modules/")
    in_tools depmod -b /making/root "$kernel_version"

    # What an administrator sets lies in the config partition, which is mounted at /etc/vestibule.
    ln -sfn vestibule/hostname "$tree/etc/hostname"
    ln -sfn ../run/localtime "$tree/etc/localtime"
    rm -rf "$tree/etc/systemd/network"
    ln -sfn ../vestibule/network "$tree/etc/systemd/network"
    ln -sfn ../run/systemd/resolve/resolv.conf "$tree/etc/resolv.conf"
    : >"$tree/etc/machine-id"
    sed -i -e '/^PRETTY_NAME=/d' "$tree/usr/lib/os-release"
    printf 'PRETTY_NAME="vestibule %s"\nIMAGE_ID=vestibule\nIMAGE_VERSION=%s\n' "$version" "$version" >>"$tree/usr/lib/os-release"

    in_tools ldconfig -r /making/root
    rm -rf "${tree:?}/var"/*
    # For services that start before /var is mounted over it.
    mkdir -m 1777 "$tree/var/tmp"
    no_interpreter
    no_missing_library
    # All of them: those that came from the kept archive have the date of the commit that it was made for.
    find "$tree" -print0 | xargs -0 -r touch -h -d "@$SOURCE_DATE_EPOCH"
}

# no_interpreter: fails where a script, or a program that runs scripts, is left in the root file system.
no_interpreter() {
    local left
    left=$(find "$tree" \( -name 'sh' -o -name 'bash' -o -name 'dash' -o -name 'busybox' -o -name 'perl*' -o -name 'python*' -o -name '*awk' -o -name 'lua*' \
        -o -name 'apt*' -o -name 'dpkg*' -o -name 'sshd' \) -path '*/bin/*' -o -type f -path '*/sbin/*' -name 'sulogin'
        grep -rlI -m1 '^#!' "$tree/usr/bin" "$tree/usr/sbin" "$tree/usr/lib" "$tree/usr/libexec" "$tree/etc" 2>/dev/null | while read -r file; do
            [ "$(head -c 2 "$file")" = '#!' ] && echo "$file"
        done || true)
    [ -z "$left" ] || fail "the image must hold no interpreter and no script, and has: ${left//$tree/}"
}

# no_missing_library: fails where a program or a library that is left needs one that was taken out.
no_missing_library() {
    local name missing=""
    while read -r name; do
        [ -n "$(find "$tree/usr/lib" -name "$name" -print -quit)" ] || missing+=" $name"
    done < <(in_tools sh -c 'find /making/root/usr -type f -size +1k ! -path "*/modules/*" -exec readelf -dW {} + 2>/dev/null' |
        sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
    [ -z "$missing" ] || fail "programs of the image need libraries that config/image/removed names:$missing"
}

# make_initrd: the script that opens the root, busybox to run it, veritysetup, and the modules of disks.
make_initrd() {
    local folder=$work/initrd path library program
    mkdir -p "$folder"/{bin,dev,proc,sys,run,sysroot,modules}
    install -m 755 "$root/config/image/init" "$folder/init"
    install -m 755 "$tools/usr/bin/busybox" "$folder/bin/busybox"
    for program in sh mount umount insmod sleep reboot cat grep head mkdir switch_root; do ln -s busybox "$folder/bin/$program"; done
    install -m 755 "$tools/usr/sbin/veritysetup" "$folder/bin/veritysetup"
    while read -r library; do
        install -D -m 755 "$tools$library" "$folder$library"
    done < <(in_tools ldd /usr/sbin/veritysetup | grep -o '/[^ ]*')
    modules_of "$root/config/image/modules-initrd" >"$work/modules-initrd" || fail "modules of the initial RAM disk are missing"
    while read -r path; do
        case $path in
            *.xz) xz -dc "$work/kernel/usr/lib/modules/$path" >"$folder/modules/$(basename "${path%.xz}")" ;;
            *) cp "$work/kernel/usr/lib/modules/$path" "$folder/modules/" ;;
        esac
        path=${path##*/}
        printf '%s\n' "${path%.xz}" >>"$folder/modules/order"
    done <"$work/modules-initrd"
    find "$folder" -print0 | xargs -0 touch -h -d "@$SOURCE_DATE_EPOCH"
    in_tools sh -c 'cd /making/initrd && find . -print0 | sort -z | cpio --null --create --format=newc --reproducible --quiet --owner=0:0 | zstd -q -19 -T1 >../initrd.zst'
}
