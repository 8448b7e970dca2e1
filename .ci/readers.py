#!/usr/bin/env python3
"""The example readers of the state file, in every language, against the same cases: `readers.py COMMAND...`.

Each COMMAND is one reader, such as `examples/consumer.py` or `node examples/consumer.mjs`.
"""

import json
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path


def hours_from_now(hours):
    return (datetime.now(timezone.utc) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def entry(url, hours_left):
    return {
        "id": "brand/logo-0011aabb.png",
        "url": url,
        "scope": "5500012",
        "blake3": "00" * 32,
        "size": 12345,
        "content_type": "image/png",
        "cache_control": None,
        "uploaded_at": hours_from_now(hours_left - 48),
        "expires_at": hours_from_now(hours_left),
        "previous": [],
    }


ALIVE = "https://messaging.bandwidth.com/api/v2/users/5500012/media/brand/logo-0011aabb.png"
PROBLEM = {"kind": "unreachable", "detail": "no route", "since": hours_from_now(-3), "attempts": 3, "next_try": None}
STATE = {
    "format": 1,
    "writer": "mediakeep 0.1.0",
    "lineage": "0b8f6c1e-0000-4000-8000-000000000000",
    "serial": 42,
    "media": {
        "brand/logo.png": {"bandwidth": entry(ALIVE, 24), "plivo": entry(None, -1)},
        "photos/shop front \"löwe\".jpg": {"plivo": dict(entry("https://media.plivo.com/a", 2), problem=PROBLEM)},
        "never.png": {"plivo": {"problem": PROBLEM}},
        "nobody-renews.png": {"bandwidth": entry("https://messaging.bandwidth.com/dead", -1)},
    },
}
UNKNOWN_FIELD = dict(STATE, added_later={"by": "a newer writer"})

# what is in the file, which file, which provider, exit code, standard output
CASES = [
    (STATE, "brand/logo.png", "bandwidth", 0, ALIVE),
    (STATE, "photos/shop front \"löwe\".jpg", "plivo", 0, "https://media.plivo.com/a"),
    (UNKNOWN_FIELD, "brand/logo.png", "bandwidth", 0, ALIVE),
    (STATE, "brand/logo.png", "plivo", 4, ""),
    (STATE, "brand/logo.png", "no-such-provider", 4, ""),
    (STATE, "no/such/file.png", "bandwidth", 4, ""),
    (STATE, "toString", "constructor", 4, ""),
    (STATE, "never.png", "plivo", 4, ""),
    (STATE, "nobody-renews.png", "bandwidth", 4, ""),
    (dict(STATE, format=2), "brand/logo.png", "bandwidth", 1, ""),
    ("{", "brand/logo.png", "bandwidth", 1, ""),
    ("", "brand/logo.png", "bandwidth", 1, ""),
    (None, "brand/logo.png", "bandwidth", 1, ""),
]


def main(readers):
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (content, file, provider, status, output) in enumerate(CASES):
            state = Path(folder) / f"{number}.json"
            if content is not None:
                state.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
            for reader in readers:
                done = subprocess.run([*reader.split(), str(state), file, provider], capture_output=True, text=True, timeout=60)
                if (done.returncode, done.stdout.strip()) != (status, output):
                    wrong += 1
                    print(f"{reader}: {file} at {provider}: wanted exit {status} and {output!r}, got {done}")
    print(f"{len(readers)} readers, {len(CASES)} cases each, {wrong} wrong")
    return 1 if wrong or not readers else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
