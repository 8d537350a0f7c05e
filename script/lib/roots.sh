# shellcheck shell=bash
# Debian releases in folders of their own, for script/matrix and script/vm. To be sourced, with ROOT set to the
# repository's root and after script/lib/install.sh. Needs root.

# What a root takes along from this environment, besides the settings of apt and pip.
_KEPT_VARIABLES='^(CI|LANG|TERM|[A-Za-z]*_proxy|[A-Z]*_PROXY|PIP_.*|SSL_CERT_.*|REQUESTS_CA_BUNDLE|PYTEST_ADDOPTS)='

# codename: that of this machine's own release.
codename() {
    (. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
}

# make_root RELEASE DIR [PACKAGE...]: a minimal Debian, which reaches packages as this machine does. One that is
# complete already is left as it is.
make_root() {
    local release=$1 dir=$2 new=$2.new.$$ mirror
    shift 2
    [ ! -e "$dir/.complete" ] || return 0
    install_packages debootstrap ca-certificates || return 1
    mirror=$(_sites | head -n 1 | cut -d' ' -f1)
    [ -n "$mirror" ] || { echo "apt-get knows no Debian mirror: run apt-get update first." >&2; return 1; }
    rm -rf "$new"
    mkdir -p "$new" || return 1
    if ! _quietly debootstrap --variant=minbase --include="$(IFS=,; echo "ca-certificates,$*")" \
        "$release" "$new" "$mirror"; then
        echo "debootstrap could not make $release from $mirror (its words are above)." >&2
        rm -rf "$new"
        return 1
    fi
    _share_settings "$release" "$new" || return 1
    rm -rf "$dir"
    touch "$new/.complete" && mv "$new" "$dir"
}

# enter_root DIR COMMAND...: runs a command in a root, as root, with name spaces of its own for mounts and processes:
# whatever it starts ends with it. A path in $SHARED, if set, is the same there as here.
enter_root() {
    local dir=$1 kept=()
    shift
    mapfile -t kept < <(env | grep -E "$_KEPT_VARIABLES")
    # shellcheck disable=SC2016 # expanded in there
    unshare --mount --pid --fork --kill-child --propagation slave sh -euc '
        dir=$1 shared=$2
        shift 2
        mount --bind "$dir" "$dir" # so that its processes can have mounts of their own
        mount -t proc proc "$dir/proc"
        mount -t sysfs -o ro sysfs "$dir/sys"
        mount -t tmpfs tmpfs "$dir/tmp"
        mount -t tmpfs tmpfs "$dir/run"
        mkdir -m 1777 "$dir/run/lock"
        mkdir -p "$dir/dev/shm" "$dir/dev/pts"
        mount -t tmpfs tmpfs "$dir/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$dir/dev/pts"
        if [ -n "$shared" ]; then
            mkdir -p "$dir$shared"
            mount --bind "$shared" "$dir$shared"
        fi
        exec chroot "$dir" "$@"
    ' sh "$dir" "${SHARED:-}" \
        env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${kept[@]}" "$@"
}

# Where this machine gets Debian's packages: address and suite, a line each, its main archive first.
_sites() {
    # shellcheck disable=SC2016 # apt's own
    apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        awk -v own="$(codename)" '$2 == own { print } index($2, own "-") == 1 { rest = rest $0 "\n" }
            END { printf "%s", rest }'
}

_share_settings() {
    local release=$1 dir=$2 file
    rm -f "$dir/etc/apt/sources.list"
    _sites | while read -r site suite; do
        suite=$release${suite#"$(codename)"}
        case $suite in
        sid-* | bullseye-*) ;; # there are none for sid, and those for bullseye were withdrawn
        *) echo "deb $site $suite main" ;;
        esac
    done >"$dir/etc/apt/sources.list"
    cp -R /etc/apt/apt.conf.d /etc/apt/auth.conf.d "$dir/etc/apt/" 2>/dev/null || true
    cp -R /etc/ssl/certs/. "$dir/etc/ssl/certs/" || return 1
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/xdg/pip /root/.config/pip; do
        [ -e "$file" ] || continue
        mkdir -p "$dir$(dirname "$file")" && cp -RL "$file" "$dir$(dirname "$file")/" || return 1
    done
    printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d" && chmod 755 "$dir/usr/sbin/policy-rc.d"
}
