#!/usr/bin/env python3
"""Looks at the page for people in a headless Chromium: accessibility by axe-core, screenshots, and what the browser says.

    tests/page/run.py PROGRAM       PROGRAM is mediakeep, such as target/debug/mediakeep

Starts the program's emulator and daemon on loopback, brings entries into every state that it can, and has check.mjs
look at them in light and dark, wide and narrow, with and without scripts. Screenshots are left in PAGE_FOLDER
(default target/page), into which axe-core and playwright-core are installed from npm. Exit 1 if a check fails, 77 if
there is no Chromium, no npm, or the two cannot be installed.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ["axe-core@4.14.1", "playwright-core@1.65.1"]
STATES = ["alive", "kept alive", "blocked", "failing", "lapsed"]
PASSWORD = "demo"
PATIENCE_S = 60


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    program = str(Path(sys.argv[1]).resolve())
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium or not shutil.which("npm") or not shutil.which("node"):
        print("no Chromium, no node or no npm: nothing was looked at", file=sys.stderr)
        return 77
    folder = Path(os.environ.get("PAGE_FOLDER", HERE.parents[1] / "target" / "page")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES]
    if subprocess.run(install, timeout=300).returncode != 0:
        print(f"npm cannot install {' and '.join(PACKAGES)}: nothing was looked at", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory(prefix="page-") as place:
        return look(program, chromium, folder, Path(place))


def look(program: str, chromium: str, folder: Path, place: Path) -> int:
    emulator = subprocess.Popen(
        [program, "emulate", "--listen", "127.0.0.1:0", "--password", PASSWORD, "--retention", "plivo=20s"],
        stdout=subprocess.PIPE, text=True,
    )
    daemon = None
    try:
        origin = emulator.stdout.readline().split()[2].rstrip(":")
        address = free_address()
        furnish(place, origin, address)
        environment = {"PATH": os.environ["PATH"], "SECRET": PASSWORD, "STATE_DIRECTORY": str(place / "state")}
        command = [program, "run", "-m", str(place / "media/media.toml"), "--config", str(place / "config.toml")]
        with open(place / "log", "w", encoding="utf-8") as log:
            daemon = subprocess.Popen(command, env=environment, stderr=log)
        page = f"http://{address}/"
        until("the first entries are published", lambda: words(page).count('class="state alive"') >= 4)
        # It was published; now its file is of no use, and it is kept alive.
        (place / "media/emptied.png").write_bytes(b"")
        until("every state is there", lambda: all(f">{state}<" in words(page) for state in STATES))
        check = ["node", str(HERE / "check.mjs"), str(folder), chromium, page]
        return subprocess.run(check, timeout=300).returncode
    except BaseException:
        log = place / "log"
        print(log.read_text(encoding="utf-8")[-4000:] if log.exists() else "", file=sys.stderr)
        raise
    finally:
        for process in filter(None, (daemon, emulator)):
            process.terminate()
            process.wait(timeout=20)


def furnish(place: Path, origin: str, address: str) -> None:
    media = place / "media"
    media.mkdir()
    for name in ("logo.png", "photo.png", "emptied.png", "refused.png", "mortal.png", "<img src=x onerror=alert(1)>.png"):
        (media / name).write_bytes(name.encode())
    (media / "media.toml").write_text(
        'version = 1\n[[media]]\nfiles = "*.png"\nexclude = ["mortal.png", "empt*"]\nto = "bandwidth"\n'
        '[[media]]\nfile = "emptied.png"\nto = "bandwidth"\n[[media]]\nfile = "empty.png"\nto = "bandwidth"\n'
        '[[media]]\nfile = "mortal.png"\nto = "plivo"\n',
        encoding="utf-8",
    )
    (media / "empty.png").write_bytes(b"")
    (place / "config.toml").write_text(
        f'version = 1\n[sync]\nroot = "media"\nsettle = "100ms"\n[serve]\nlisten = "{address}"\n'
        '[provider.bandwidth]\nkind = "bandwidth"\naccount_id = "5500012"\nusername = "demo"\n'
        f'password = {{ env = "SECRET" }}\nbase_url = "{origin}/api/v2"\n'
        f'[provider.plivo]\nkind = "plivo"\nauth_id = "MAEXAMPLEEXAMPLE0000"\nauth_token = {{ env = "SECRET" }}\n'
        f'base_url = "{origin}"\nretention = "20s"\n',
        encoding="utf-8",
    )
    down = {"reply": {"status": 503}}
    faults = [
        {"provider": "bandwidth", "path": "refused", "count": None, "action": down},
        # The first upload is good, no renewal is.
        {"provider": "plivo", "method": "POST", "skip": 1, "count": None, "action": down},
    ]
    body = json.dumps(faults).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{origin}/_emulator/faults", data=body, headers=headers, method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def free_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def words(page: str) -> str:
    try:
        with urllib.request.urlopen(page, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.URLError:
        return ""


def until(what: str, probe) -> None:
    end = time.monotonic() + PATIENCE_S
    while not probe():
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain until {what}")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
