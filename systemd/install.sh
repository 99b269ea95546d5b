#!/usr/bin/env bash
# Installs payment-watcher as a systemd service. Every step can be repeated. What a person has changed stays.
#
#   systemd/install.sh COMPANY [FOLDER]     Install the program and one company's service, with its folders in FOLDER
#                                           (default: /srv/payments/COMPANY). Repeat it after a change of [folders].
#   systemd/install.sh                      Upgrade the program. Services that run are restarted with it.
#   systemd/install.sh --uninstall COMPANY  Remove the service of one company.
#   systemd/install.sh --uninstall          Remove all services and the program.
#
# Uninstalling keeps folders, journals, configuration and users: they are the records of money that was moved.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."

readonly program=/opt/payment-watcher
readonly settings=/etc/payment-watcher
readonly units=/etc/systemd/system
readonly python=${PYTHON:-python3}
# The services that must be restarted.
changed=()

stop() {
    printf '%s\n' "$1" >&2
    exit "${2:-1}"
}

# A release is named by its content. So a second company needs no second installation.
fingerprint() {
    {
        "$python" -VV
        find watcher pyproject.toml requirements.lock -type f ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort
    } | sha256sum | cut --characters=-12
}

# Each version gets an environment of its own, and one rename puts it in place. So an installation that fails in the
# middle changes nothing, and a daemon never loads parts of two versions.
install_program() {
    local release
    release=$program/release-$(fingerprint)
    if [ "$(readlink "$program/bin" || true)" != "$release/bin" ]; then
        rm -rf "$release"
        install -d "$program"
        "$python" -m venv "$release" || stop 'Install Python 3.11 or later with its venv module (package python3-venv).'
        "$release/bin/pip" install --quiet --require-hashes --requirement requirements.lock
        "$release/bin/pip" install --quiet --no-deps --no-build-isolation .
        "$release/bin/payment-watcher" --version >/dev/null || stop "This version does not start. Nothing was changed."
        # Only root can run a Python that is in somebody's home.
        setpriv --reuid=65534 --regid=65534 --clear-groups "$release/bin/payment-watcher" --version >/dev/null ||
            stop "Other users cannot run $release/bin/python. Name a system-wide Python: PYTHON=/usr/bin/python3 $0"
        ln -sfn "$release/bin" "$program/bin.new"
        mv -T "$program/bin.new" "$program/bin"
    fi
    ln -sfn "$program/bin/payment-watcher" /usr/local/bin/payment-watcher
    local unit reload=
    for unit in payment-watcher@.service payment-watcher-failed@.service; do
        cmp --silent "systemd/$unit" "$units/$unit" || { install -m 644 "systemd/$unit" "$units/" && reload=yes; }
    done
    [ -z "$reload" ] || systemctl daemon-reload
}

# Services that run are restarted if they run another release, or have a new right.
restart_services() {
    if [ -n "$(older_releases)" ]; then
        systemctl try-restart 'payment-watcher@*.service'
        older_releases -exec rm -rf {} +
    elif [ ${#changed[@]} -gt 0 ]; then
        systemctl try-restart "${changed[@]}"
    fi
}

older_releases() {
    find "$program" -mindepth 1 -maxdepth 1 -name 'release-*' ! -path "$(dirname "$(readlink "$program/bin")")" "$@"
}

# Makes two groups. The user's own holds nobody else: it reads the configuration with the keys. The other one is for the
# people and programs that drop files. The service is in it, too, so that it can read what they drop.
make_groups() {
    local user=$1 people=$2 name
    if ! id -u "$user" >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
    fi
    getent group "$people" >/dev/null || groupadd --system "$people"
    if ! id -nG "$user" | tr ' ' '\n' | grep -qxF "$people"; then
        usermod --append --groups "$people" "$user"
        changed+=("payment-watcher@${user#payment-watcher-}.service")
    fi
    # Version 0.1.0 told people to join the service's own group, which let them read the keys.
    for name in $(getent group "$user" | cut -d: -f4 | tr ',' ' '); do
        if gpasswd --add "$name" "$people" >/dev/null && gpasswd --delete "$name" "$user" >/dev/null; then
            printf '%s\n' "$name is now in the group $people, and no longer in $user. This counts from the next sign-in on." \
                "  If Samba names the group $user, name $people there." >&2
        else
            printf '%s\n' "$name is in the group $user and can read the keys. Move it to the group $people." >&2
        fi
    done
    for name in $(getent passwd | awk -F: -v gid="$(id -g "$user")" -v own="$user" '$4 == gid && $1 != own {print $1}'); do
        printf '%s\n' "$name has $user as its first group and can read the keys. Give it another one: usermod -g." >&2
    done
}

# Mends what version 0.1.0 made. Whatever a person has changed since stays.
mend_companies() {
    local file company
    for file in "$settings"/*.toml; do
        company=$(basename "$file" .toml)
        id -u "payment-watcher-$company" >/dev/null 2>&1 || continue
        make_groups "payment-watcher-$company" "payments-$company"
        folders mend "$file" "payment-watcher-$company" "payments-$company" ||
            printf '%s\n' "The folders of $company are not mended. Do what the message above says, and run this again." >&2
    done
}

folders() {
    "$program/bin/python" -I systemd/folders.py "$@"
}

# Makes a user, a configuration that only root and this user can read, and folders that only this user and its people
# can enter.
install_company() {
    local company=$1 folder=$2 user=payment-watcher-$1 people=payments-$1 file=$settings/$1.toml
    local state=/var/lib/payment-watcher/$1
    make_groups "$user" "$people"
    install -d "$settings" "$(dirname "$state")"
    # Only root can have made a link here, to another disk.
    [ -L "$state" ] || install -d -m 700 -o "$user" -g "$user" "$state"
    if [ ! -e "$file" ]; then
        folder=$(folders make "$folder" "$user" "$people")
        # The journal is written out in full, so that `status` and `history` find it for every user.
        # By its real path, Python finds the libraries of its environment.
        "$(readlink "$program/bin")/python" -I - "$folder" <<'PYTHON' | sed "s|^# url = .*|url = \"sqlite:///$state/journal.db\"|" >"$file.new"
import pathlib, sys
from watcher.config.writing import template

sys.stdout.write(template(pathlib.Path(sys.argv[1])))
PYTHON
        chown "root:$user" "$file.new"
        chmod 640 "$file.new"
        mv -T "$file.new" "$file"
        printf '%s\n' "To let people in: usermod --append --groups $people NAME" \
            "To share the folders by Samba, add this to smb.conf:" \
            "  [$company]" \
            "  path = $folder" \
            "  valid users = @$people" \
            "  read only = no" \
            "  # The service must be able to read what is dropped." \
            "  create mask = 0640" \
            "  force create mode = 0640" \
            "  veto files = /.work/.payment-watcher*/"
    fi
    install -d "$units/payment-watcher@$company.service.d"
    folders unit "$file" >"$units/payment-watcher@$company.service.d/folders.conf"
    systemctl daemon-reload
    printf '%s\n' "The folders are in $folder, or where $file says." \
        "Next: put site, company and keys into $file, then:" \
        "  sudo payment-watcher check --config $file" \
        "  sudo systemctl enable --now payment-watcher@$company"
}

uninstall_company() {
    systemctl disable --now "payment-watcher@$1.service"
    # An older version has no such unit.
    systemctl stop "payment-watcher-failed@$1.service" 2>/dev/null || true
    rm -rf "$units/payment-watcher@$1.service.d"
    systemctl daemon-reload
    printf '%s\n' "Kept: $settings/$1.toml, /var/lib/payment-watcher/$1, /var/log/payment-watcher/$1," \
        "  the company's folders, and the user payment-watcher-$1."
}

uninstall_program() {
    local file
    for file in "$settings"/*.toml; do
        [ ! -e "$file" ] || uninstall_company "$(basename "$file" .toml)"
    done
    rm -rf "$program" "$units/payment-watcher@.service" "$units/payment-watcher-failed@.service"
    rm -f /usr/local/bin/payment-watcher
    systemctl daemon-reload
}

check_company() {
    # The user is payment-watcher-COMPANY, and a user's name has at most 32 characters (useradd(8)).
    [[ $1 =~ ^[a-z][a-z0-9-]{0,15}$ ]] || stop "$1: a company's name has 1 to 16 small letters, digits and hyphens." 2
}

case ${1:-} in
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit ;;
    --uninstall) [ $# -le 2 ] && [ -z "${2:-}" ] || check_company "$2" ;;
    -*) stop "$1 is not an option. See $0 --help" 2 ;;
    ?*) check_company "$1"; [ $# -le 2 ] || stop "These are too many arguments. See $0 --help" 2 ;;
esac
[ "$(id -u)" -eq 0 ] || stop 'Run this as root: use sudo.'
command -v systemctl >/dev/null || stop 'This machine has no systemctl. The service needs systemd.'

if [ "${1:-}" = --uninstall ]; then
    if [ -n "${2:-}" ]; then uninstall_company "$2"; else uninstall_program; fi
else
    install_program
    mend_companies
    restart_services
    # Links are kept: others may have made them, and then they are refused.
    [ -z "${1:-}" ] || install_company "$1" "$(realpath --canonicalize-missing --no-symlinks "${2:-/srv/payments/$1}")"
fi
