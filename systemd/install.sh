#!/usr/bin/env bash
# Installs payment-watcher as a systemd service. Every step can be repeated; nothing a person has changed is undone.
#
#   systemd/install.sh COMPANY [FOLDER]     the program, and the service for one company with its folders in FOLDER
#                                           (/srv/payments/COMPANY). Again after [folders] has been changed by hand.
#   systemd/install.sh                      the program alone: an upgrade; services that run are restarted with it
#   systemd/install.sh --uninstall COMPANY  the service of one company
#   systemd/install.sh --uninstall          all services and the program
#
# Uninstalling leaves folders, journals, configuration and users: they are the records of money that was moved.
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

# What is installed is known by its content, so that a second company costs no second installation.
fingerprint() {
    {
        "$python" -VV
        find watcher pyproject.toml requirements.lock -type f ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort
    } | sha256sum | cut --characters=-12
}

# A new environment for each version, put in place by one rename: an installation that fails in the middle changes
# nothing, and a daemon never loads half of one version and half of another.
install_program() {
    local release
    release=$program/release-$(fingerprint)
    if [ "$(readlink "$program/bin" || true)" != "$release/bin" ]; then
        rm -rf "$release"
        install -d "$program"
        "$python" -m venv "$release" || stop 'Python 3.11 or later with its venv module (package python3-venv) is needed.'
        "$release/bin/pip" install --quiet --require-hashes --requirement requirements.lock
        "$release/bin/pip" install --quiet --no-deps --no-build-isolation .
        "$release/bin/payment-watcher" --version >/dev/null || stop "This version does not start; nothing was changed."
        # A Python in somebody's home can be run by root and by nobody else.
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

# A user, a configuration that only root and that user read, and folders that only that user and its group enter.
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
        # Said outright, so that `status` and `history` find the journal whoever asks.
        sed -i "s|^# url = .*|url = \"sqlite:////var/lib/payment-watcher/$company/journal.db\"|" "$file"
        # Files that accounting drops keep the group, whoever drops them.
        chown "$user:$user" "$folder" "$folder"/{inbox,success,fail,archive,.work} &&
            chmod 2770 "$folder" "$folder"/{inbox,success,fail,archive} && chmod 700 "$folder/.work" ||
            printf '%s\n' "$folder takes no owners: mount it with uid=$user,gid=$user,dir_mode=0770,file_mode=0660." >&2
    fi
    install -d "$units/payment-watcher@$company.service.d"
    "$program/bin/python" - "$file" >"$units/payment-watcher@$company.service.d/folders.conf" <<'PYTHON'
import os, sys, tomllib

folders = {"work": "", "archive": ""} | tomllib.load(open(sys.argv[1], "rb"))["folders"]
beside = os.path.dirname(folders["inbox"])
folders["work"] = folders["work"] or os.path.join(beside, ".work")
folders["archive"] = folders["archive"] or os.path.join(beside, "archive")
# Each of these paths becomes a mount of its own, and no file can be renamed from one mount to another.
together = os.path.commonpath([folders["inbox"], folders["work"]])
apart = [folder for folder in folders.values() if not folder.startswith(together + "/")]
print("# Made by systemd/install.sh from the [folders] of", sys.argv[1])
print("[Unit]")
print("# If the folders are on a share, it is mounted first.")
print("RequiresMountsFor=" + " ".join(f'"{folder}"' for folder in [together, *apart]))
print("[Service]")
print("ReadWritePaths=" + " ".join(f'"-{folder}"' for folder in [together, *apart]))
PYTHON
    systemctl daemon-reload
    printf '%s\n' "The folders are in $folder, or where $file says." \
        "Next: put site, company and keys into $file," \
        "  sudo -u $user payment-watcher check --config $file" \
        "  sudo systemctl enable --now payment-watcher@$company"
}

uninstall_company() {
    systemctl disable --now "payment-watcher@$1.service"
    rm -rf "$units/payment-watcher@$1.service.d"
    systemctl daemon-reload
    printf '%s\n' "Left in place: $settings/$1.toml, /var/lib and /var/log/payment-watcher/$1, its folders, the user payment-watcher-$1."
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
    # The user is payment-watcher-COMPANY, and the name of a user has at most 32 characters (useradd(8)).
    [[ $1 =~ ^[a-z][a-z0-9-]{0,15}$ ]] || stop "$1: name the company in 1 to 16 small letters, digits and hyphens." 2
}

case ${1:-} in
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit ;;
    --uninstall) [ $# -le 2 ] && [ -z "${2:-}" ] || check_company "$2" ;;
    -*) stop "$1 is not known; see $0 --help" 2 ;;
    ?*) check_company "$1"; [ $# -le 2 ] || stop "see $0 --help" 2 ;;
esac
[ "$(id -u)" -eq 0 ] || stop 'This needs root: use sudo.'
command -v systemctl >/dev/null || stop 'This installs a systemd service, and there is no systemctl here.'

if [ "${1:-}" = --uninstall ]; then
    if [ -n "${2:-}" ]; then uninstall_company "$2"; else uninstall_program; fi
else
    install_program
    [ -z "${1:-}" ] || install_company "$1" "$(realpath --canonicalize-missing "${2:-/srv/payments/$1}")"
fi
