# shellcheck shell=bash
# What script/test, script/demo and script/check need on a Debian machine. To be sourced, with ROOT set to the
# repository's root. A function that fails has already said in words what happened, and returns non-zero.

_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 -o APT::Sandbox::User=root "$@"
}

# Runs a command silently; if it fails, shows what it printed.
_quietly() {
    local out status=0
    out=$("$@" 2>&1 </dev/null) || status=$?
    [ "$status" = 0 ] || printf '%s\n' "$out" >&2
    return "$status"
}

# require_root SCRIPT: ends the script unless root runs it.
require_root() {
    [ "$(id -u)" != 0 ] || return 0
    echo "$1 starts mail servers under their own users, so it must run as root." >&2
    exit 1
}

# Some of the servers get an /etc of their own. In most containers and chroots nobody may make one, not even root.
require_name_spaces() {
    local said
    install_packages util-linux mount || exit 1
    said=$(unshare --mount --uts --pid --fork true 2>&1) || {
        echo "Mount name spaces of our own are missing ($said)." >&2
        echo "In a chroot: mount --bind ROOT ROOT before you enter it. In a container: run it with CAP_SYS_ADMIN" >&2
        echo "(docker run --cap-add SYS_ADMIN --security-opt apparmor=unconfined)." >&2
        exit 1
    }
}

_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# A package that starts its service could take the ports, or the mail, of what this machine already runs. Debian asks
# policy-rc.d before every start, and exit status 101 forbids it.
_POLICY=/usr/sbin/policy-rc.d
_ASIDE=$_POLICY.autocreate-aside
_MARK='autocreate-milter: temporary, forbids starting services'

_forbid_services() {
    _allow_services # what a killed run may have left
    if [ -e "$_POLICY" ]; then
        local status=0
        "$_POLICY" cyrus-imapd start >/dev/null 2>&1 </dev/null || status=$?
        [ "$status" != 101 ] || return 0
        mv "$_POLICY" "$_ASIDE" || return 1
    fi
    printf '#!/bin/sh\n# %s\nexit 101\n' "$_MARK" >"$_POLICY" && chmod 755 "$_POLICY"
}

_allow_services() {
    if grep -qs "$_MARK" "$_POLICY"; then rm -f "$_POLICY"; fi
    if [ -e "$_ASIDE" ]; then mv "$_ASIDE" "$_POLICY"; fi
}

# install_packages PACKAGE...: what is missing of them, starting no service and removing no package.
# A subshell, so that its trap and its lock end with it.
install_packages() (
    missing=()
    for package; do
        _installed "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || exit 0

    if [ "$(id -u)" != 0 ]; then
        echo "These packages are missing and only root can install them: ${missing[*]}" >&2
        echo "Run this as root, or first: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing Debian packages: ${missing[*]} ..." >&2
    exec 9>/run/lock/autocreate-install.lock && flock 9 || exit 1
    trap _allow_services EXIT
    _forbid_services || { echo "Cannot write $_POLICY, so services might start: nothing was installed." >&2; exit 1; }

    if ! _quietly _apt update; then
        echo "apt-get update failed (its words are above): is a Debian mirror within reach?" >&2
        exit 1
    fi
    # Unasked, these would write a main.cf for this host, and make a directory for its domain.
    if _installed debconf; then
        for package in "${missing[@]}"; do
            case $package in
            postfix) echo 'postfix postfix/main_mailer_type select No configuration' ;;
            slapd) echo 'slapd slapd/no_configuration boolean true' ;;
            esac
        done | debconf-set-selections
    fi
    if ! _quietly _apt install --no-install-recommends --no-remove "${missing[@]}"; then
        echo "apt-get could not install: ${missing[*]} (its words are above)." >&2
        echo "If it says that packages need to be removed, this machine has a server that excludes one of them, such" >&2
        echo "as Exim or Sendmail beside Postfix. Nothing was removed. Use another machine or a container, or remove" >&2
        echo "that package yourself." >&2
        exit 1
    fi
)

# Postfix comes with Cyrus in one call: alone, cyrus-common would pull in Debian's default mail server.
# cyrus-common holds master, lmtpd, timsieved, smmapd, sievec and ctl_cyrusdb; cyrus-murder holds mupdate.
install_servers() {
    install_packages postfix postfix-ldap postfix-lmdb postfix-mysql postfix-pgsql postfix-sqlite \
        cyrus-common cyrus-imapd cyrus-pop3d cyrus-murder cyrus-admin \
        sasl2-bin libsasl2-modules libsasl2-modules-db libnss-wrapper openssl util-linux m4 procps netbase
}

# PostgreSQL's package would make a cluster of its own; MariaDB's does, so only the part with the programs is taken.
install_databases() {
    local dir=/etc/postgresql-common/createcluster.d status=0
    local switch=$dir/autocreate-milter.conf
    if ! _installed postgresql && [ "$(id -u)" = 0 ]; then
        mkdir -p "$dir" && echo 'create_main_cluster = false' >"$switch" || return 1
    fi
    install_packages slapd postgresql mariadb-server-core mariadb-client-core || status=$?
    rm -f "$switch"
    return "$status"
}

# A browser, letters for it to show, and what reads the PDF that it prints.
install_browser() {
    install_packages chromium fonts-dejavu-core poppler-utils
}

# What reads the files that we ship for the system: systemd's tools (it need not run), syslog, log rotation, fail2ban.
# And what Debian's nsswitch.conf names besides files.
install_system() {
    install_packages systemd libnss-systemd rsyslog logrotate fail2ban
}

# What our command is tried in: the shells that complete it, and pipx.
install_shells() {
    install_packages bash-completion zsh fish pipx
}

# unpack_sendmail DIR: Sendmail beside an installed Postfix, which its package would remove. DIR must not lie below a
# world-writable folder (Sendmail refuses aliases and sockets there).
unpack_sendmail() {
    local dir=$1 debs new package wanted seen=' ' binary
    [ ! -e "$dir/.complete" ] || return 0
    new=$dir.new.$$
    debs=$new/debs
    rm -rf "$new"
    mkdir -p "$debs" || return 1
    install_packages dpkg libc-bin || return 1

    binary=$new/usr/libexec/sendmail/sendmail
    wanted="sendmail-bin sendmail-base sendmail-cf sensible-mda libwrap0"
    while [ -n "$wanted" ]; do
        for package in $wanted; do
            seen="$seen$package "
            _download "$package" "$debs" || return 1
            dpkg -x "$debs/$package"_*.deb "$new" || return 1
        done
        # Whatever shared library the machine lacks is in a package that one of the unpacked ones depends on.
        wanted=
        if _sendmail_ldd "$new" "$binary" | grep -q 'not found'; then
            for package in $(_library_packages "$debs"); do
                case $seen in *" $package "*) continue ;; esac
                _installed "$package" || wanted="$wanted $package"
            done
        fi
    done
    if ! [ -x "$binary" ] || _sendmail_ldd "$new" "$binary" | grep 'not found' >&2; then
        echo "The unpacked Sendmail in $new cannot run: a file or shared library is missing (named above)." >&2
        return 1
    fi
    rm -rf "$debs" "$dir"
    touch "$new/.complete" && mv "$new" "$dir"
}

_download() {
    (
        cd "$2" || exit 1
        # Package lists may be absent (a fresh container) or name a version that is gone.
        _quietly _apt download "$1" 2>/dev/null && exit 0
        _quietly _apt update
        _quietly _apt download "$1"
    ) || {
        echo "apt-get download $1 failed (its words are above): is a Debian mirror within reach?" >&2
        return 1
    }
}

# unpack_prometheus DIR: Prometheus without its service, and promtool, which is a package of its own from Debian 13 on.
unpack_prometheus() {
    local dir=$1 new=$1.new.$$
    [ ! -x "$dir/usr/bin/promtool" ] || return 0
    rm -rf "$new"
    mkdir -p "$new" && install_packages dpkg || return 1
    _download prometheus "$new" && dpkg -x "$new"/prometheus_*.deb "$new" || return 1
    if [ ! -x "$new/usr/bin/promtool" ]; then
        _download promtool "$new" && dpkg -x "$new"/promtool_*.deb "$new" || return 1
    fi
    rm -rf "$dir" "$new"/*.deb && mv "$new" "$dir"
}

_sendmail_ldd() {
    local triplet
    triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -dumpmachine 2>/dev/null || echo "$(uname -m)-linux-gnu")
    LD_LIBRARY_PATH=$1/usr/lib/$triplet:$1/lib/$triplet ldd "$2"
}

_library_packages() {
    local deb
    for deb in "$1"/*.deb; do
        dpkg-deb -f "$deb" Depends | sed 's/[,|]/\n/g' | sed -n 's/^ *\(lib[^ (:]*\).*/\1/p'
    done | sort -u
}

# make_venv: "$ROOT/.venv" with all that development needs and the project itself in place, from scratch whenever what it
# is made from changed.
make_venv() {
    local venv=$ROOT/.venv want
    want=$(cd "$ROOT" && sha256sum requirements-dev.txt pyproject.toml && readlink -f /usr/bin/python3) || return 1
    [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$want" ] || return 0
    fill_venv "$venv" requirements-dev.txt --editable "$ROOT" || return 1
    printf '%s\n' "$want" >"$venv/.stamp"
}

# fill_venv DIR REQUIREMENTS PROJECT...: a new virtual environment in DIR with the hashed REQUIREMENTS (a file in $ROOT)
# and the project; PROJECT is how pip is told of it.
fill_venv() {
    local venv=$1 requirements=$ROOT/$2 pip
    shift 2
    install_packages python3-venv python3-dev gcc libc6-dev libmilter-dev libldap2-dev libsasl2-dev libdb5.3-dev ||
        return 1

    # Debian's own Python, which python3-dev's headers fit. By its full name: what /usr/bin/python3 is may change, and
    # what is compiled here would not be found by another one.
    echo "Installing Python libraries; some are compiled, which takes a minute or two ..." >&2
    "$(readlink -f /usr/bin/python3)" -m venv --clear "$venv" || return 1
    # setuptools would take in what it finds there, such as a module that is gone since.
    rm -rf "$ROOT/build"
    pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
    # pymilter, python-ldap and berkeleydb come as source only. pip would fetch what builds it without looking at any hash, so the pinned
    # setuptools is installed first, and building is kept inside this venv.
    awk '/^setuptools *==/ { keep = 1 } keep { print } !/\\$/ { keep = 0 }' \
        "$ROOT/requirements-dev.txt" >"$venv/build.txt"
    if ! _quietly "${pip[@]}" install --require-hashes -r "$venv/build.txt" ||
        ! _quietly "${pip[@]}" install --require-hashes --no-build-isolation --use-pep517 -r "$requirements" ||
        ! _quietly "${pip[@]}" install --no-deps --no-build-isolation "$@"; then
        echo "The virtual environment $venv could not be filled: pip's words are above." >&2
        return 1
    fi
}

# install_extras COMMAND SHARE ZSH FISH: the manual pages and bash's completion below SHARE (a .../share), zsh's and fish's in
# folders of their own.
install_extras() {
    local command=$1 share=$2 zsh=$3 fish=$4
    install -d "$share/man/man1" "$share/man/man5" "$share/bash-completion/completions" "$zsh" \
        "$fish" || return 1
    "$command" man 1 >"$share/man/man1/autocreate.1" &&
        "$command" man 5 >"$share/man/man5/autocreate.toml.5" &&
        "$command" completion bash >"$share/bash-completion/completions/autocreate" &&
        "$command" completion zsh >"$zsh/_autocreate" &&
        "$command" completion fish >"$fish/autocreate.fish"
}
