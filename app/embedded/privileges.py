"""How a root process runs servers that refuse root: as whom, from where, over which files."""

import hashlib
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from app.embedded.binaries import Program
from app.embedded.errors import BinaryMissing, DataDirectoryUnusable
from app.embedded.process import Account, run_as

# Where root keeps what an unprivileged account must reach when the checkout is out of its reach.
STATE_ROOT = Path("/var/lib/smmos")
_ACCOUNTS = ("postgres", "nobody")
_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_NEVER_RUN = shutil.ignore_patterns("include", "*.a", "pgxs", "__pycache__")


def servers_account(data_dir: Path) -> Account | None:
    """The account that servers run as: None means as we are, which is any user but root.

    In another user's data folder root runs them as that user, whose files they work on.
    """
    if os.geteuid() != 0:
        return None
    stat = data_dir.stat()
    if stat.st_uid != 0:
        return Account(stat.st_uid, stat.st_gid)
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise BinaryMissing(
        "PostgreSQL refuses to run as root, and neither account `postgres` nor `nobody` exists."
        " Start as another user."
    )


def servers_home(data_dir: Path, account: Account | None, *, instance: str) -> Path:
    """Where the servers' own folders stand: in the data folder, else where `account` reaches.

    The data folder itself is opened for passage where need be. Its parents are never touched:
    opening a home folder behind its owner's back would be worse than storing the data elsewhere.
    """
    if account is None or _reaches(account, data_dir):
        return data_dir
    data_dir.chmod(data_dir.stat().st_mode | 0o001)
    if _reaches(account, data_dir):
        return data_dir
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    home = _passable(STATE_ROOT / "data" / name)
    _forget_another_instance(home, instance)
    return home


def reachable(program: Program, account: Account | None) -> Path:
    """The program's path, or that of a copy where `account` cannot run the original."""
    if account is None or _runs(account, program.path):
        return program.path
    if program.package is None:
        raise BinaryMissing(f"{program.path} cannot be run by uid {account.uid}.")
    copy = _copied(program.package, program.path)
    if not _runs(account, copy):
        raise BinaryMissing(f"{copy}, a copy of {program.path}, cannot be run.")
    return copy


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner of one file or folder."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _copied(package: Path, program: Path) -> Path:
    """Copy a wheel's folder, once per build of it, with the libraries that stand beside it."""
    stat = program.stat()
    identity = f"{package}:{stat.st_size}:{stat.st_mtime_ns}"
    target = STATE_ROOT / "bin" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    if not target.exists():
        _passable(target.parent)
        fresh = Path(tempfile.mkdtemp(dir=target.parent))
        fresh.chmod(0o755)
        # The programs look for their libraries by a relative path: both folders keep their names.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, fresh / folder.name, ignore=_NEVER_RUN)
        try:
            fresh.rename(target)
        except OSError:
            # Another start was first, which serves as well; anything else is a real failure.
            shutil.rmtree(fresh)
            if not target.exists():
                raise
    return target / program.relative_to(package.parent)


def _forget_another_instance(home: Path, instance: str) -> None:
    """Empty a home that served a data folder of the same name, deleted since."""
    label = home / "instance"
    if label.exists() and label.read_text() == instance:
        return
    shutil.rmtree(home)
    _passable(home)
    label.write_text(instance)


def _passable(folder: Path) -> Path:
    """Make a folder below the state root that everyone may pass through and only root may list."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in (STATE_ROOT, *(p for p in (folder.parent, folder) if p != STATE_ROOT)):
            part.chmod(0o711)
    except OSError as error:
        raise DataDirectoryUnusable(f"{folder} cannot be made: {error.strerror}.") from error
    return folder


def _reaches(account: Account, folder: Path) -> bool:
    return _succeeds(account, "test", "-x", str(folder))


def _runs(account: Account, program: Path) -> bool:
    # Really run, and not only looked at: its libraries must be within reach too.
    return _succeeds(account, str(program), "--version")


def _succeeds(account: Account, *argv: str) -> bool:
    try:
        return run_as(argv, account=account, env=_ENV, timeout_seconds=10).returncode == 0
    except PermissionError:
        return False
