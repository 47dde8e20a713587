"""A bare Debian 12 in a folder, to install packages into."""

import hashlib
import os
import pathlib
import subprocess


def base(packages):
    """A tarball of Debian 12 with these packages, made once and kept for the next run."""
    name = hashlib.sha256(",".join(sorted(packages)).encode()).hexdigest()[:12]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    path = cache / "weir" / f"bookworm-{name}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tar")
        subprocess.run(
            ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet",
             "--dpkgopt=force-unsafe-io",  # a folder that a power failure may take
             f"--include={','.join(sorted(packages))}", "bookworm", partial],
            check=True, timeout=600)
        partial.rename(path)
    return path


class Chroot:
    """A folder with a Debian system of its own; the network is the machine's."""

    def __init__(self, folder, tarball):
        self.root = folder
        folder.mkdir()
        subprocess.run(
            ["tar", "--extract", "--file", tarball, "--directory", folder, "--numeric-owner"],
            check=True)

    def __truediv__(self, path):
        return self.root / str(path).lstrip("/")

    def command(self, *arguments):
        """Runs inside, with /proc: Swift reads its arguments there. The mount ends with it."""
        enter = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        return ["unshare", "--mount", "--propagation=private", "sh", "-c", enter, str(self.root),
                *map(str, arguments)]

    def run(self, *arguments, check=True):
        """Runs a command inside, as root."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def files(self):
        """Every file's path, without what dpkg itself writes."""
        skipped = ("var/lib/dpkg", "var/cache", "var/log", "etc/passwd", "etc/group", "etc/shadow",
                   "etc/gshadow", "etc/subuid", "etc/subgid", "dev", "proc", "sys")
        paths = (str(path.relative_to(self.root)) for path in self.root.rglob("*"))
        return {path for path in paths if not path.startswith(skipped)}
