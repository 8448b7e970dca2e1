"""A throw-away machine with a real systemd: namespaces of this one, a root file system that is kept in memory, and no
network but loopback. Nothing of it is left when it ends, however it ends."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMESPACES = ["--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup"]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
CGROUPS = "mediakeep-test."
SYSTEMD = Path("/lib/systemd/systemd")


def why_not() -> str | None:
    """Why no machine can be made here, if so."""
    if os.geteuid() != 0:
        return "it takes root"
    if not SYSTEMD.exists():
        return "no systemd is installed (Debian package: systemd)"
    for tool in ["unshare", "nsenter", "setpriv", "ip", "runuser", "journalctl"]:
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    if hierarchy() is None:
        return "no cgroup2 is mounted below /sys/fs/cgroup"
    tried = subprocess.run(
        ["unshare", *NAMESPACES, "--fork", "--kill-child", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=20, check=False,
    )
    return f"namespaces cannot be made here: {tried.stderr.strip()}" if tried.returncode else None


def hierarchy() -> Path | None:
    """Where control groups of version 2 are."""
    places = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    return next((place for place in places if (place / "cgroup.procs").exists()), None)


class Machine:
    """The machine while it runs. To be used in `with`."""

    def __init__(self, scratch: Path, binary: Path):
        self.scratch, self.binary = scratch, binary
        self.group = hierarchy() / f"{CGROUPS}{os.getpid()}"
        self.unshare = None
        self.init = None

    def __enter__(self) -> "Machine":
        try:
            self._boot()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _boot(self):
        self.group.mkdir()
        join = lambda: (self.group / "cgroup.procs").write_text(str(os.getpid()))
        with open(self.scratch / "boot.log", "wb") as log:
            # If this process dies without a word, the machine dies with it.
            self.unshare = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES, "--fork", "--kill-child",
                 "--propagation=private", str(HERE / "boot"), str(self.scratch), str(self.binary)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=join,
            )
        self._until("its first process is there", self._find_init)
        self._until("systemd runs", lambda: self._comm() == "systemd")
        self._until("it is up", lambda: self.run("systemctl", "is-system-running", check=False).strip() in
                    ("running", "degraded"))

    def _find_init(self) -> bool:
        pid = self.unshare.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.init = int(children[0]) if children else None
        return bool(children)

    def _comm(self) -> str:
        return Path(f"/proc/{self.init}/comm").read_text().strip()

    def _until(self, what: str, holds):
        end = time.monotonic() + 30
        while True:
            if self.unshare.poll() is not None:
                raise RuntimeError(f"the machine did not come up:\n{(self.scratch / 'boot.log').read_text()}")
            if holds():
                return
            if time.monotonic() > end:
                raise RuntimeError(f"in vain it was waited until {what}")
            time.sleep(0.05)

    def _end(self):
        if self.unshare is not None and self.unshare.poll() is None:
            # The first process takes all others of its namespace with it.
            os.kill(self.init or self.unshare.pid, signal.SIGKILL)
            try:
                self.unshare.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.unshare.kill()
                self.unshare.wait()
        # And what a machine left that was killed together with its test.
        for group in self.group.parent.glob(f"{CGROUPS}*"):
            remove_group(group)

    def command(self, *arguments: str) -> list[str]:
        return ["nsenter", "-t", str(self.init), "-m", "-p", "-i", "-u", "-n", "-C", "--", *arguments]

    def run(self, *arguments: str, given: str = "", check: bool = True, timeout: float = 30, **more: str) -> str:
        """Runs a command in the machine, as root. What it says on both outputs."""
        done = subprocess.run(
            self.command(*arguments), input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout, check=False, env=ENVIRONMENT | more, errors="replace",
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command in the machine ends with 0."""
        done = subprocess.run(
            self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=30, check=False, env=ENVIRONMENT,
        )
        return done.returncode == 0

    def shell(self, script: str, **more) -> str:
        return self.run("bash", "-euc", script, **more)

    def write(self, path: str, text: str):
        """Writes a file in place, as an editor of the simple kind does."""
        self.run("tee", path, given=text)

    def as_nobody(self, *arguments: str) -> list[str]:
        return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *arguments]


def remove_group(group: Path):
    """Removes a control group and those below it, as soon as nothing is in them any more."""
    for _ in range(60):
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass
        if not group.exists():
            return
        # Another test's machine.
        if (group / "cgroup.events").exists() and group.name != f"{CGROUPS}{os.getpid()}":
            return
        time.sleep(0.05)
