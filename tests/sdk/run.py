#!/usr/bin/env python3
"""Runs the official SDKs of Bandwidth and Plivo, unchanged, against a running emulator.

    tests/sdk/run.py http://127.0.0.1:8480 [PASSWORD]

The emulator is reset first, and its clock is moved. The SDKs are installed into a temporary folder; set
SDK_FOLDER to keep that folder and use it again. Exits with 1 if a check fails or an SDK cannot be installed.
Only where pip or npm is missing is that language skipped, and said to be.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON_PACKAGES = ["bandwidth-sdk==23.3.1", "plivo==4.63.0"]
NODE_PACKAGES = ["bandwidth-sdk@8.1.4", "plivo@4.79.0"]


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    base_url = sys.argv[1].rstrip("/")
    password = sys.argv[2] if len(sys.argv) == 3 else "demo"
    folder = os.environ.get("SDK_FOLDER")
    if folder:
        return run_all(Path(folder), base_url, password)
    with tempfile.TemporaryDirectory(prefix="sdk-") as folder:
        return run_all(Path(folder), base_url, password)


def run_all(folder: Path, base_url: str, password: str) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name, run in (("Python", run_python), ("Node", run_node)):
        reset(base_url)
        print(f"== {name} SDKs", flush=True)
        try:
            missing = run(folder, base_url, password)
        except subprocess.CalledProcessError as error:
            print(f"FAILED: {name}: exit {error.returncode}", flush=True)
            failed = True
            continue
        if missing:
            print(f"SKIPPED: {name}: {missing} IS MISSING, SO NOTHING WAS CHECKED", flush=True)
    print("FAILED" if failed else "done", flush=True)
    return 1 if failed else 0


def reset(base_url: str) -> None:
    request = urllib.request.Request(f"{base_url}/_emulator/reset", method="POST", data=b"")
    with urllib.request.urlopen(request, timeout=10) as response:
        json.load(response)


def run_python(folder: Path, base_url: str, password: str) -> str | None:
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
        return "pip"
    venv = folder / "venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(install + PYTHON_PACKAGES, check=True)
    subprocess.run([str(python), str(HERE / "check.py"), base_url, password], check=True, env=local_environment())
    return None


def run_node(folder: Path, base_url: str, password: str) -> str | None:
    if not (shutil.which("npm") and shutil.which("node")):
        return "npm"
    node = folder / "node"
    node.mkdir(exist_ok=True)
    (node / "package.json").write_text('{"private": true}\n')
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(install + NODE_PACKAGES, check=True, cwd=node)
    # Beside its node_modules, so that Node finds the packages.
    script = shutil.copy(HERE / "check.cjs", node)
    subprocess.run(["node", script, base_url, password], check=True, env=local_environment())
    return None


def local_environment() -> dict[str, str]:
    """The environment without proxies: the emulator is on loopback."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


if __name__ == "__main__":
    sys.exit(main())
