#!/bin/sh
# Prints the URL of a media that is alive at its provider. Needs jq.
#
#   consumer.sh STATE FILE PROVIDER
#   consumer.sh /var/lib/mediakeep/state.json brand/logo.png bandwidth
#
# The URL goes to standard output, its end of life to standard error. Exit 0: here is the URL. 4: there is no live one.
# 1: the state file can't be read. Ask again for each message instead of keeping the answer: URLs change.
set -eu

if [ "$#" -ne 3 ]; then
    echo "usage: $0 STATE FILE PROVIDER" >&2
    exit 2
fi

# `expires_at` is compared too: should nobody renew any more, the file still says what it said last.
answer=$(jq -r --arg file "$2" --arg provider "$3" '
    if .format != 1 then error("state format \(.format), written by \(.writer), is not known here") else . end
    | .media[$file][$provider]
    | if .url != null and (.expires_at | fromdate) > now then "\(.expires_at) \(.url)" else "dead" end' "$1") || exit 1

case $answer in
'')
    echo "$1 is empty" >&2
    exit 1
    ;;
dead)
    echo "no live URL for $2 at $3" >&2
    exit 4
    ;;
esac
echo "alive until ${answer%% *}" >&2
echo "${answer#* }"
