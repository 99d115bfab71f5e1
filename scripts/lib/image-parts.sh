# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by scripts/build-image: what comes from Debian, fetched once and kept in target/image-cache: the tool tree, the user space
# as a tar archive, and the kernel's package. What is kept is named by all that it was made from.

release=trixie
cache=$root/target/image-cache
tools=$cache/tools
packages_image="mmdebstrap debian-archive-keyring e2fsprogs"

# listed FILE: the entries of a list, without its comments.
listed() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$1"; }

# joined FILE: the same on one line with commas.
joined() { listed "$1" | paste -sd, -; }

# key TEXT...: a short name for all of these.
key() { printf '%s\n' "$@" | sha256sum | cut -c1-16; }

# find_mirror: sets `sources`, the lines for the image's release on the mirror that this machine's own apt uses.
find_mirror() {
    local label code component uri main="" security="" placeholders
    # Single quotes: these are apt's own placeholders.
    # shellcheck disable=SC2016
    placeholders='$(LABEL)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)'
    while IFS='|' read -r label code component uri; do
        [ "$component" = main ] || continue
        case $label:$code in
            Debian-Security:*) security=$uri ;;
            Debian:*-updates | Debian:*-backports) ;;
            Debian:*) main=$uri ;;
        esac
    done < <(apt-get indextargets --format "$placeholders" 'Created-By: Packages')
    [ -n "$main" ] || fail "apt on this machine knows no Debian mirror (component main); put one into its sources, and run apt-get update"
    sources=("deb $main $release main" "deb $main $release-updates main")
    if [ -n "$security" ]; then
        sources+=("deb $security $release-security main")
    else
        say "no source for Debian's security updates on this machine: the image is made without them"
    fi
}

# bootstrap ARGUMENT...: mmdebstrap, quiet unless it fails.
bootstrap() {
    mmdebstrap --mode=root --quiet --aptopt='APT::Install-Recommends "false"' "$@" || fail "mmdebstrap could not fetch Debian $release"
}

# need_tools: the tool tree, as a folder to chroot into. Its /making is where the image is made, so that nothing has to be mounted.
need_tools() {
    local wanted
    wanted=$(key "$release" "${sources[@]}" "$(listed "$root/config/image/tools")")
    if [ "$(cat "$tools.key" 2>/dev/null)" != "$wanted" ]; then
        say "the tool tree: Debian $release with what makes the image"
        rm -rf "$tools" "$tools.key"
        bootstrap --variant=apt --include="$(joined "$root/config/image/tools")" \
            --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
            "$release" "$tools" "${sources[@]}"
        printf '%s\n' "$wanted" >"$tools.key"
    fi
    mkdir -p "$tools/making"
}

# need_base: the user space as it comes from Debian, in $base, and the kernel's package beside it.
need_base() {
    local wanted
    wanted=$(key "$release" "${sources[@]}" "$(listed "$root/config/image/packages")")
    base=$cache/base-$wanted
    [ -e "$base/kernel.deb" ] && return 0
    say "the user space and the kernel of Debian $release"
    rm -rf "$base"
    mkdir -p "$base"
    # The kernel is fetched and not installed: installing it would draw in what makes another initial RAM disk.
    # The hook is run by mmdebstrap, with its own variables.
    # shellcheck disable=SC2016
    bootstrap --variant=essential --include="$(joined "$root/config/image/packages")" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --customize-hook='set -e; cd "'"$base"'"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
            name=$(apt-cache depends linux-image-amd64 | sed -n "s/^ *Depends: \(linux-image-[0-9].*\)/\1/p" | head -n 1)
            apt-get -q download "$name" && mv "$name"_*.deb kernel.part' \
        "$release" "$base/base.tar" "${sources[@]}"
    mv "$base/kernel.part" "$base/kernel.deb"
}
