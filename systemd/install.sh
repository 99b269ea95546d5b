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
    if ! cmp --silent systemd/payment-watcher@.service "$units/payment-watcher@.service"; then
        install -m 644 systemd/payment-watcher@.service "$units/"
        systemctl daemon-reload
    fi
    if [ -n "$(find "$program" -mindepth 1 -maxdepth 1 -name 'release-*' ! -path "$release")" ]; then
        systemctl try-restart 'payment-watcher@*.service'
        find "$program" -mindepth 1 -maxdepth 1 -name 'release-*' ! -path "$release" -exec rm -rf {} +
    fi
}

# Makes a user, a configuration that only root and this user can read, and folders that only this user and its group
# can enter.
install_company() {
    local company=$1 folder=$2 user=payment-watcher-$1 file=$settings/$1.toml
    if ! id -u "$user" >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
    fi
    install -d "$settings" /var/lib/payment-watcher
    install -d -m 700 -o "$user" -g "$user" "/var/lib/payment-watcher/$company"
    if [ ! -e "$file" ]; then
        "$program/bin/payment-watcher" init "$folder" >/dev/null
        install -m 640 -g "$user" "$folder/payment-watcher.toml" "$file"
        rm "$folder/payment-watcher.toml"
        # Written out in full, so that `status` and `history` find the journal for every user.
        sed -i "s|^# url = .*|url = \"sqlite:////var/lib/payment-watcher/$company/journal.db\"|" "$file"
        # The setgid bit gives every dropped file the group, whoever drops it.
        chown "$user:$user" "$folder" "$folder"/{inbox,success,fail,archive,.work} &&
            chmod 2770 "$folder" "$folder"/{inbox,success,fail,archive} && chmod 700 "$folder/.work" ||
            printf '%s\n' "The file system of $folder stores no owners." \
                "Mount it with uid=$user,gid=$user,dir_mode=0770,file_mode=0660." >&2
    fi
    install -d "$units/payment-watcher@$company.service.d"
    "$program/bin/python" - "$file" >"$units/payment-watcher@$company.service.d/folders.conf" <<'PYTHON'
import os, sys, tomllib

folders = {"work": "", "archive": ""} | tomllib.load(open(sys.argv[1], "rb"))["folders"]
beside = os.path.dirname(folders["inbox"])
folders["work"] = folders["work"] or os.path.join(beside, ".work")
folders["archive"] = folders["archive"] or os.path.join(beside, "archive")
# systemd makes a mount of each path here, and no file can be renamed from one mount to another. So inbox and work
# are in one path.
together = os.path.commonpath([folders["inbox"], folders["work"]])
apart = [folder for folder in folders.values() if not folder.startswith(together + "/")]
print("# Made by systemd/install.sh from the [folders] of", sys.argv[1])
print("[Unit]")
print("# If the folders are on a share, systemd mounts the share first.")
print("RequiresMountsFor=" + " ".join(f'"{folder}"' for folder in [together, *apart]))
print("[Service]")
print("ReadWritePaths=" + " ".join(f'"-{folder}"' for folder in [together, *apart]))
PYTHON
    systemctl daemon-reload
    printf '%s\n' "The folders are in $folder, or where $file says." \
        "Next: put site, company and keys into $file, then:" \
        "  sudo -u $user payment-watcher check --config $file" \
        "  sudo systemctl enable --now payment-watcher@$company"
}

uninstall_company() {
    systemctl disable --now "payment-watcher@$1.service"
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
    rm -rf "$program" "$units/payment-watcher@.service"
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
    [ -z "${1:-}" ] || install_company "$1" "$(realpath --canonicalize-missing "${2:-/srv/payments/$1}")"
fi
