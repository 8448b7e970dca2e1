#!/usr/bin/env python3
"""Prints the URL of a media that is alive at its provider; shows how an application reads mediakeep's state file.

    consumer.py STATE FILE PROVIDER
    consumer.py /var/lib/mediakeep/state.json brand/logo.png bandwidth

The URL goes to standard output, its end of life to standard error. Exit 0: here is the URL. 4: there is no live one.
1: the state file can't be read. Needs Python 3.8 and nothing else.
"""

import json
import os
import sys
from datetime import datetime, timezone


class Media:
    """The live URLs of a state file. The file is read again whenever it has been replaced, so keep one of these."""

    def __init__(self, state_path):
        self.path = state_path
        self.seen = None
        self.media = {}

    def find(self, file, provider):
        """The entry with its url, expires_at, blake3 and so on; None where nothing is alive."""
        self._read_again_if_replaced()
        entry = self.media.get(file, {}).get(provider)
        if entry is None or entry.get("url") is None:
            return None
        # Compared here too: should nobody renew any more, the file still says what it said last.
        expires_at = datetime.strptime(entry["expires_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return entry if datetime.now(timezone.utc) < expires_at else None

    def _read_again_if_replaced(self):
        with open(self.path, encoding="utf-8") as file:
            # Of the open file, not of the name: that may have been replaced in between. What is open stays whole.
            stat = os.fstat(file.fileno())
            version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if version == self.seen:
                return
            state = json.load(file)
        if state.get("format") != 1:
            raise ValueError(f"state format {state.get('format')}, written by {state.get('writer')}, is not known here")
        self.media, self.seen = state["media"], version


def main(arguments):
    if len(arguments) != 3:
        print(f"usage: {sys.argv[0]} STATE FILE PROVIDER", file=sys.stderr)
        return 2
    state_path, file, provider = arguments
    try:
        entry = Media(state_path).find(file, provider)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if entry is None:
        print(f"no live URL for {file} at {provider}", file=sys.stderr)
        return 4
    print(f"alive until {entry['expires_at']}", file=sys.stderr)
    print(entry["url"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
