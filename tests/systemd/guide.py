"""The guide in systemd/README.md, as commands."""

import re
import subprocess
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "systemd" / "README.md"


def blocks() -> dict[str, list[str]]:
    """The commands of each block that has a name, in the order of the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.findall(r"^<!-- run: (\w+) -->\n```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    named = {name: commands(script) for name, script in found}
    boxes = text.count("```sh\n")
    if len(named) != boxes:
        raise AssertionError(f"{boxes} boxes, {len(named)} of them with a name")
    return named


def commands(script: str) -> list[str]:
    """Cuts a script where a command is complete: what a shell understands without a warning."""
    found, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        parsed = subprocess.run(
            ["bash", "-n"], input=begun, capture_output=True, text=True, timeout=10, check=False
        )
        if parsed.returncode == 0 and not parsed.stderr:
            found.append(begun)
            begun = ""
    if begun:
        raise AssertionError(f"a command without an end: {begun}")
    return found
