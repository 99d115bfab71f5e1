# Sourced by the scripts: installs what a step needs and is missing, on Debian 12, as root. Nothing is touched when nothing is missing.

# Packages by purpose, so that every script names what it is for.
packages_build="gcc libc6-dev make ca-certificates curl"
packages_rig="systemd iproute2 nftables tmux util-linux python3 python3-slixmpp openssl coreutils procps dnsmasq-base prosody lua-sec lua-event lua-unbound baresip-core sip-tester"
packages_snmp="snmp snmptrapd smitools erlang-snmp" # erlang-snmp: the modules of the standard that smilint reads
packages_compare="kamailio kamailio-tls-modules kamailio-presence-modules ejabberd nginx-light libnginx-mod-stream haproxy"

say() { printf '\n== %s\n' "$*"; }
fail() { printf '\nFAILED: %s\n' "$*" >&2; exit 1; }

# need_packages NAME...: installs the Debian packages that are missing; servers among them are neither started nor enabled.
need_packages() {
    local name missing=()
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    [ "$(id -u)" -eq 0 ] || fail "these packages are missing, and only root may install them: ${missing[*]}"
    say "installing from Debian: ${missing[*]}"
    (
        # A policy that forbids every service to start, in place only while apt runs.
        policy=/usr/sbin/policy-rc.d
        before=$(mktemp -d)
        [ -e "$policy" ] && cp -a "$policy" "$before/"
        trap 'rm -f "$policy"; [ -e "$before/policy-rc.d" ] && cp -a "$before/policy-rc.d" "$policy"; rm -rf "$before"' EXIT
        rm -f "$policy"
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    ) || fail "apt-get could not install: ${missing[*]}"
    for name in "${missing[@]}"; do
        case $name in
            snmptrapd) [ -d /run/systemd/system ] && systemctl disable --quiet snmpd.service snmptrapd.service snmptrapd.socket 2>/dev/null ;;
            prosody | kamailio | ejabberd | nginx*) [ -d /run/systemd/system ] && systemctl disable --quiet "${name%-light}" 2>/dev/null ;;
        esac
    done
    return 0
}

# need_rust: puts a cargo that is new enough for Cargo.toml's rust-version on the PATH, by rustup where there is none.
need_rust() {
    local wanted have
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
    [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || true
    if [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ]; then
        return 0
    fi
    say "Rust $wanted is needed, found ${have:-none}: installing it with rustup for $(id -un)"
    if ! command -v rustup >/dev/null; then
        local folder from
        folder=$(mktemp -d)
        from=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init
        curl --proto '=https' --tlsv1.2 -sSf "$from" -o "$folder/rustup-init" && curl --proto '=https' --tlsv1.2 -sSf "$from.sha256" -o "$folder/sum" ||
            fail "$from cannot be fetched; install Rust $wanted or newer by hand"
        [ "$(sha256sum <"$folder/rustup-init" | cut -d' ' -f1)" = "$(cut -d' ' -f1 "$folder/sum")" ] || fail "$from does not have its checksum"
        chmod +x "$folder/rustup-init"
        "$folder/rustup-init" -y -q --no-modify-path --profile minimal --default-toolchain none || fail "rustup could not be installed"
        rm -rf "$folder"
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    rustup toolchain install --profile minimal --component clippy --component rustfmt "$wanted" || fail "rustup could not install Rust $wanted"
    export RUSTUP_TOOLCHAIN=$wanted
    cargo --version || fail "no cargo after installing Rust $wanted"
}

# build_release: the proxy and its SNMP agent as they ship, in target/release.
build_release() {
    say "building vestibule (release)"
    (cd "$root" && cargo build --release --locked --bin vestibule --bin vestibule-snmpd) || fail "the release build"
}

# need_qemu: QEMU for x86-64 and its UEFI firmware. Where the machine has a newer qemu-utils than its release, which does not go with
# the release's QEMU, that is put back to the release's.
need_qemu() {
    command -v qemu-system-x86_64 >/dev/null && [ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] && return 0
    [ "$(id -u)" -eq 0 ] || fail "qemu-system-x86 and ovmf are missing, and only root may install them"
    apt-get update -qq
    if ! apt-get install -s -qq --no-install-recommends qemu-system-x86 ovmf >/dev/null 2>&1; then
        say "putting qemu-utils back to the version of this release, with which its QEMU goes"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --allow-downgrades "qemu-utils/$(. /etc/os-release && echo "$VERSION_CODENAME")" >/dev/null ||
            fail "apt-get could not install qemu-utils of this release"
    fi
    need_packages qemu-system-x86 ovmf
}
