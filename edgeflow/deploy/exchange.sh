#!/bin/sh
# Puts the bundle at $NEW/$NAME to $HOME_/$NAME on the device; prints what it kept there, or what is in the way.
at=$HOME_/$NAME
record=$HOME_/$RECORDS/$NAME
sums() { find . -type f | while IFS= read -r f; do sha256sum "$f" 2>/dev/null || cksum "$f"; done; }
[ -e "$NEW/$NAME" ] || exit 0
mkdir -p "$HOME_/$RECORDS" || exit 1
# One at a time. A lock of a process that is gone, or from before the last start, counts for nothing.
lock=$HOME_/$RECORDS/$NAME.lock
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
tries=0
until mkdir "$lock" 2>/dev/null; do
    { read -r pid since < "$lock/pid"; } 2>/dev/null || pid=
    tries=$((tries + 1))
    if [ -n "$pid" ] && { [ "$since" != "$boot" ] || ! kill -0 "$pid" 2>/dev/null; }; then rm -rf "$lock"; continue; fi
    [ "$tries" -lt 30 ] || exit 6
    [ "$tries" -lt 10 ] || [ -n "$pid" ] || rm -rf "$lock"
    sleep 1
done
echo "$$ $boot" > "$lock/pid"
trap 'rm -rf "$lock"' EXIT
trap 'exit 1' HUP INT TERM
( cd "$NEW/$NAME" && sums ) > "$NEW/sums" || exit 1
if [ -e "$at" ] || [ -L "$at" ]; then
    [ -f "$at/$LISTING" ] && [ ! -L "$at" ] || exit 3
    cd "$at" || exit 1
    : > "$NEW/foreign"
    touch "$NEW/record" && { [ ! -f "$record" ] || cat "$record" > "$NEW/record"; }
    sums > "$NEW/there"
    # Whole lines of the one list that are in neither of the others; each is a sum and a name.
    grep -vxF -f "$NEW/sums" "$NEW/there" | { [ -s "$NEW/record" ] && grep -vxF -f "$NEW/record" || cat; } > "$NEW/others"
    sed 's/^[^ ]* *[0-9]* *[*]\{0,1\}\.\//.\//' "$NEW/others" > "$NEW/foreign"
    find . ! -type f ! -type d >> "$NEW/foreign"
    if [ -s "$NEW/foreign" ] && [ ! -s "$NEW/record" ]; then head -n 5 "$NEW/foreign"; exit 4; fi
    while IFS= read -r f; do
        to=$NEW/$NAME/$f
        while [ -e "$to" ] || [ -L "$to" ]; do to=$to.kept; done
        mkdir -p "${to%/*}" && { { [ ! -L "$f" ] && ln "$f" "$to" 2>/dev/null; } || cp -pP "$f" "$to"; } || exit 5
        case $f in ./cache/*) ;; *) echo "${to#"$NEW/$NAME/./"}" ;; esac
    done < "$NEW/foreign"
fi
# What is recorded holds for both bundles, until the new one is in its place. `sync`: a power cut must not find the names
# of files whose bytes are not there yet.
cat "$NEW/sums" "$NEW/record" > "$record.new" 2>/dev/null
mv -f "$record.new" "$record" || exit 1
sync
if [ -e "$at" ]; then mv "$at" "$NEW/old" || exit 1; fi
mv "$NEW/$NAME" "$at" || { [ ! -e "$NEW/old" ] || mv "$NEW/old" "$at"; exit 1; }
cat "$NEW/sums" > "$record.new" && mv -f "$record.new" "$record"
sync
exit 0
