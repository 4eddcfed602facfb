#!/bin/bash
# The server is killed at random points of a mixed load, and upgraded under one: nothing that was answered is lost.
# KILL_LOAD: the load. HIF_KILLS, HIF_SEED: how often, and which run.
. "$(dirname "$0")/../lib.sh"

step 'set up'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$work/app"

step 'killed at random points under a mixed load'
mkdir "$work/app/load"
time "${KILL_LOAD:?}" --kills "${HIF_KILLS:-10}" --seed "${HIF_SEED:-1}" "$work/app/load" || fail 'something was lost'
grep -E "answers|back|cannot|warn|error" "$HOME/.local/state/hif/daemon.log" | tail -12
