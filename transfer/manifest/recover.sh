#!/bin/sh
# Gives the files of this backup back without Sekisho.
# このバックアップのファイルを、Sekisho なしで取り出します。
#
#   sh recover.sh KEYFILE DIRECTORY
#
# KEYFILE    the recovery key, a line that begins with AGE-SECRET-KEY-PQ-1
# DIRECTORY  a new or empty folder that takes the files
#
# Needs: age 1.3 or newer (set AGE to its path if it is not found), GNU tar,
# sha256sum. It stops at the first error; what lies in DIRECTORY is then not the
# whole backup. It ends with "recovered" only when every file was checked.
set -eu
umask 077
LC_ALL=C
export LC_ALL
AGE=${AGE:-age}

die() { echo "recover.sh: $*" >&2; exit 1; }

[ $# -eq 2 ] || die "usage: sh recover.sh KEYFILE DIRECTORY"
[ -r "$1" ] || die "cannot read the key $1"
key=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$2" || die "cannot make $2"
out=$(cd "$2" && pwd)
[ -z "$(ls -A "$out")" ] || die "$out is not empty"
for tool in "$AGE" tar sha256sum; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done
case $AGE in # the folder is changed below
*/*) AGE=$(cd "$(dirname "$AGE")" && pwd)/$(basename "$AGE") ;;
esac
# Older versions know neither the key nor how to say so.
"$AGE" --encrypt -i "$key" </dev/null >/dev/null 2>&1 ||
    die "either $AGE is older than 1.3 (it says $("$AGE" --version 2>/dev/null || echo nothing)) or $1 holds no recovery key"
bag=$(cd "$(dirname "$0")" && pwd)
cd "$bag"

# The decrypted part needs the room that only $out surely has; the pipe needs a
# filesystem that knows pipes, which a removable drive may not.
work=$(mktemp -d "$out/.recover.XXXXXX")
pipe=$(mktemp -d)
trap 'rm -rf "$work" "$pipe"' EXIT
trap 'exit 1' HUP INT TERM

echo "checking the parts"
sha256sum --strict --quiet -c tagmanifest-sha256.txt || die "a file of the bag was altered or is missing"
sha256sum --strict --quiet -c manifest-sha256.txt || die "a part was altered or is missing"

"$AGE" -d -i "$key" -o "$work/sums" files.sha256.age || die "this key does not open this backup"

# Each part is decrypted whole to a file before a byte of it goes on: a pipe
# from age would hand on what a later error takes back.
echo "decrypting and extracting"
mkfifo "$pipe/tar"
tar --extract --preserve-permissions --no-same-owner --delay-directory-restore \
    --directory "$out" --file - <"$pipe/tar" &
tar=$!
exec 3>"$pipe/tar"
for part in data/*.age; do
    if ! "$AGE" -d -i "$key" -o "$work/part" "$part"; then
        exec 3>&-
        kill "$tar" 2>/dev/null || :
        die "$part cannot be decrypted"
    fi
    cat "$work/part" >&3 || die "tar stopped; is $out full?"
    rm "$work/part"
done
exec 3>&-
wait "$tar" || die "tar could not extract everything"

echo "checking the files"
cd "$out"
if [ -s "$work/sums" ]; then
    sha256sum --strict --quiet -c "$work/sums" || die "a recovered file differs from the list"
fi
listed=$(wc -l <"$work/sums")
rm -rf "$work"
found=$(find . -type f -printf 'x\n' | wc -l)
[ "$listed" -eq "$found" ] || die "$listed files are listed and $found were recovered"
echo "recovered $found files into $out"
