#!/usr/bin/env bash
# fetch_asterisk.sh FOLDER [SUITE]: a real Asterisk from Debian's packages into FOLDER, for the tests and `./ms.sh pbx-demo`.
#
# Needs neither root nor a chroot, installs nothing, and leaves the system's apt alone: the packages and all they need are
# unpacked into FOLDER/root, and FOLDER/asterisk starts them with their own loader and libraries.
# SUITE: bullseye (Asterisk 16) or sid (the newest); Debian 12 and 13 have none.
set -euo pipefail

folder=$1 suite=${2:-bullseye}
say() { printf 'asterisk: %s\n' "$*" >&2; }
fail() { say "$1"; exit 1; }
trap 'say "line $LINENO of fetch_asterisk.sh failed"' ERR

[ -x "$folder/asterisk" ] && exit 0
for program in apt-get dpkg-deb tar flock; do
    command -v "$program" >/dev/null 2>&1 || fail "$program is missing: a real Asterisk can be fetched on Debian or Ubuntu only"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring (as root)"

mkdir -p "${folder%/*}"
folder=$(cd "${folder%/*}" && pwd)/${folder##*/}
exec 9>"$folder.lock"
flock -n 9 || { say "another process is fetching it; waiting"; flock 9; }
[ -x "$folder/asterisk" ] && exit 0

work=$folder.unfinished
rm -rf "$work"
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/root"
: >"$work/apt/status"
# The Debian mirror this machine already uses; Debian's own where it uses none.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -v security | grep -m 1 debian || true)
echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian/} $suite main" >"$work/apt/sources.list"
apt() {
    apt-get -q -o Dir::State="$work/apt" -o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" \
        -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Cache="$work/apt/cache" \
        -o Debug::NoLocking=1 -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::http::Timeout=20 -o Acquire::Retries=2 "$@"
}
log=$work/fetch.log
reason() { grep -m 1 '^[EW]:' "$log" || tail -n 1 "$log"; }
say "reading what $suite has"
apt update >"$log" 2>&1 || fail "Debian's list of packages cannot be read ($(reason)): is this machine online?"
! grep -q '^W: Failed to fetch' "$log" || fail "Debian's list of packages cannot be read ($(reason)): is this machine online?"
say "fetching it and all it needs (some 80 MB, once)"
apt -y --download-only install asterisk >"$log" 2>&1 || fail "the packages cannot be fetched ($(reason))"
say "unpacking"
for package in "$work"/apt/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --no-same-owner --keep-directory-symlink \
        --exclude=./dev --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale
done
rm -rf "$work/apt"

modules=$(find "$work/root/usr/lib" -name app_dial.so -printf '%h\n' -quit)
[ -n "$modules" ] || fail "the packages hold no Asterisk that can be used"
loader=$(find "$work/root" -path '*-linux-gnu/ld-linux-*.so.*' -print -quit)
[ -n "$loader" ] || fail "the packages hold no loader"
triplet=$(find "$work/root/usr/lib" -maxdepth 1 -name '*-linux-gnu' -printf '%f\n' -quit)
printf '%s\n' "${modules#"$work/"}" >"$work/modules"
cat >"$work/asterisk" <<TEXT
#!/bin/sh
# Asterisk with its own loader and libraries, whatever this machine has.
here=\$(cd "\$(dirname "\$0")" && pwd) r=\$here/root
exec "\$here/${loader#"$work/"}" --library-path "\$r/lib/$triplet:\$r/usr/lib/$triplet:\$r/lib:\$r/usr/lib" "\$r/usr/sbin/asterisk" "\$@"
TEXT
chmod +x "$work/asterisk"
version=$("$work/asterisk" -V) || fail "what was unpacked does not start on this machine"
printf '%s\n' "$version" >"$work/version"
rm -rf "$folder"
mv "$work" "$folder"
say "$version is in $folder"
