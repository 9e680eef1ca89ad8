#!/bin/sh
# Runs the demo of this bundle on this device: run.sh --check replays the golden tensors, run.sh --prepare compiles for
# the NPU before the first user has to wait for that, run.sh ARGS runs it with ARGS.
# Links are followed by hand, one after the other: busybox and old systems have no readlink -f.
self=$0 links=0
while [ -L "$self" ]; do
    links=$((links + 1))
    [ "$links" -le 40 ] || { echo "run.sh: $0 is a link to itself" >&2; exit 1; }
    listed=$(ls -ld -- "$self") || exit 1
    next=${listed#*" $self -> "}
    case $next in /*) self=$next ;; *) self=$(dirname -- "$self")/$next ;; esac
done
here=$(CDPATH= cd -- "$(dirname -- "$self")" && pwd -P) || exit 1
LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
# Compiled NPU programs are kept here; the programs make a folder for each model in it.
cache="$here/cache"
if [ "$1" = --check ] || [ "$1" = --prepare ]; then
    [ $# -eq 1 ] || { echo "run.sh: $1 takes nothing else, and got $# arguments" >&2; exit 2; }
    cd "$here" || exit 1
    for shorter in length_*/contract.json; do
        [ ! -f "$shorter" ] || "$here/bin/@PROGRAM@" "$1" "$shorter" --cache-dir "$cache" || exit $?
    done
    exec "$here/bin/@PROGRAM@" "$1" contract.json --cache-dir "$cache"
fi
[ $# -gt 0 ] || [ @PROGRAM@ = classify_text ] || { echo "usage: run.sh --check | --prepare | @USAGE@" >&2; exit 2; }
exec "$here/bin/@PROGRAM@" @CONTRACT@ "$here/contract.json" --cache-dir "$cache" "$@"
