# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by scripts/build-image: the disk: root file system with its hash tree, unified kernel image, boot partition, partition table.
# Nothing is mounted and no device is made. Every identifier is fixed or follows from the contents, so that two builds are alike.

uuid_disk=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a01
uuid_esp=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a02
uuid_root_b=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a03
uuid_verity_b=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a04
uuid_config=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a05
uuid_root_fs=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a11
uuid_verity_fs=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a12
uuid_config_fs=6f1b7c62-6f7c-4d0c-9a53-0b6f5e0c1a13
# Of the Discoverable Partitions Specification: root and its hash tree on x86-64. The type of config is ours.
type_esp=c12a7328-f81f-11d2-ba4b-00a0c93ec93b
type_root=4f68bce3-e8cd-4db1-96e7-fbcaf984b709
type_verity=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5
type_config=7a3d1e5e-0b0c-4f0e-8f0e-5a1d3c2b9e10
# MiB; var takes what is left of the disk at the first start, and what a disk is made larger by at later ones.
size_esp=256 size_root=512 size_verity=16 size_config=64 size_disk=2048

# make_root: the root file system as erofs, and its hash tree; sets root_hash.
make_root() {
    # A higher level takes two minutes for 3 MB.
    in_tools mkfs.erofs --quiet -d0 -zzstd,level=3 -C65536 -Efragments,dedupe "-T$SOURCE_DATE_EPOCH" --all-time -U "$uuid_root_fs" -x-1 \
        /making/root.erofs /making/root
    in_tools truncate -s %1M /making/root.erofs
    root_hash=$(in_tools veritysetup format --salt="$(printf 'vestibule %s' "$version" | sha256sum | cut -d' ' -f1)" --uuid="$uuid_verity_fs" \
        /making/root.erofs /making/root.verity | sed -n 's/^Root hash:[[:space:]]*//p')
    [ ${#root_hash} -eq 64 ] || fail "veritysetup gave no root hash"
    [ "$(stat -c %s "$work/root.erofs")" -le $((size_root << 20)) ] || fail "the root file system is larger than its partition ($size_root MiB)"
    [ "$(stat -c %s "$work/root.verity")" -le $((size_verity << 20)) ] || fail "the hash tree is larger than its partition ($size_verity MiB)"
}

# make_boot: the unified kernel image, which names the root by its hash, and the boot partition that holds it.
make_boot() {
    local arguments
    arguments="roothash=$root_hash vestibule.version=$version $(listed "$root/config/image/cmdline" | paste -sd' ' -)"
    cp "$tree/usr/lib/os-release" "$work/os-release"
    cp "$work/kernel/boot/vmlinuz-$kernel_version" "$work/vmlinuz"
    in_tools ukify build --linux=/making/vmlinuz --initrd=/making/initrd.zst --os-release=@/making/os-release --uname="$kernel_version" \
        --cmdline="$arguments" --output=/making/vestibule.efi >/dev/null 2>&1 || fail "ukify could not make the kernel image"
    printf 'timeout 0\neditor no\nauto-firmware no\n' >"$work/loader.conf"
    cp "$tools/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$work/boot.efi"
    touch -d "@$SOURCE_DATE_EPOCH" "$work"/{loader.conf,boot.efi,vestibule.efi}
    truncate -s "${size_esp}M" "$work/esp"
    in_tools mkfs.vfat -F32 -n EFI -i 76E57B01 --invariant /making/esp >/dev/null
    in_tools mmd -i /making/esp ::/EFI ::/EFI/BOOT ::/EFI/Linux ::/loader
    in_tools mcopy -m -i /making/esp /making/boot.efi ::/EFI/BOOT/BOOTX64.EFI
    in_tools mcopy -m -i /making/esp /making/loader.conf ::/loader/loader.conf
    in_tools mcopy -m -i /making/esp /making/vestibule.efi "::/EFI/Linux/vestibule_$version.efi"
}

# make_config: the empty config partition, with the folders that config/image/README.md names.
make_config() {
    mkdir -p "$work/config"/{network,time,tls,trust}
    chmod 755 "$work/config" "$work/config"/*
    find "$work/config" -print0 | xargs -0 touch -d "@$SOURCE_DATE_EPOCH"
    truncate -s "${size_config}M" "$work/config.ext4"
    in_tools mke2fs -q -t ext4 -m 0 -L config -U "$uuid_config_fs" -E "hash_seed=$uuid_config_fs,root_owner=0:0,nodiscard,lazy_itable_init=0" \
        -d /making/config /making/config.ext4 2>/dev/null || fail "the config partition could not be made"
}

# guid HEXADECIMAL: 32 digits as a GUID.
guid() { sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12})$/\1-\2-\3-\4-\5/' <<<"$1"; }

# make_disk: the partition table, and everything at its place; in $work/disk.raw.
make_disk() {
    local at=1 disk=$work/disk.raw name size kind id label start
    truncate -s "${size_disk}M" "$disk"
    declare -A starts=()
    {
        printf 'label: gpt\nlabel-id: %s\nunit: sectors\nfirst-lba: 2048\n' "$uuid_disk"
        while read -r name size kind id label; do
            printf 'start=%d, size=%d, type=%s, uuid=%s, name="%s"\n' $((at << 11)) $((size << 11)) "$kind" "$id" "$label"
            printf '%s %d %d\n' "$name" "$at" "$size" >&3
            at=$((at + size))
        done <<END
esp $size_esp $type_esp $uuid_esp esp
root $size_root $type_root $(guid "${root_hash:0:32}") root-$version
verity $size_verity $type_verity $(guid "${root_hash:32}") verity-$version
root_b $size_root $type_root $uuid_root_b _empty
verity_b $size_verity $type_verity $uuid_verity_b _empty
config $size_config $type_config $uuid_config config
END
    } >"$work/table" 3>"$work/starts"
    in_tools sh -c 'sfdisk --quiet /making/disk.raw </making/table'
    while read -r name start size; do starts[$name]=$start; done <"$work/starts"
    for name in esp:esp root:root.erofs verity:root.verity config:config.ext4; do
        dd if="$work/${name#*:}" of="$disk" bs=1M seek="${starts[${name%%:*}]}" conv=notrunc,sparse status=none
    done
}
