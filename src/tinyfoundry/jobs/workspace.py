"""A job's output folder, which appears complete or not at all.

A job for ``out`` works in ``out.partial`` beside it: what a rerun can resume from lies there, and the build
is put together there. Only when everything has succeeded does the build take the name ``out``, replacing an
earlier build of that name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tinyfoundry.data.load import DIGITS
from tinyfoundry.errors import OptionError
from tinyfoundry.jobs.lock import Lock

REPORT = "report.json"
MANIFEST = "build.json"
"""Lists every entry of a build: a later build replaces these, and nothing that somebody put beside them."""
GOES_ON = "the same command goes on where this one was"
"""The note on an interrupt that left something to resume from."""
JOB, KEPT = "job.json", "kept"


class Workspace:
    """The folder beside ``target`` that a job works in; a context manager.

    key: everything the result depends on (options, fingerprint of the data, seed), None for a job so short
    that nothing of it is worth resuming. What an interrupted job left behind is kept when its key is the
    same, and thrown away otherwise. On an error the folder is removed unless ``keep`` was called, now or
    before the interrupt; it survives an interrupt (Ctrl-C) whenever there is a key. No two jobs for
    the same target are inside at once.
    """

    def __init__(self, target: str | Path, key: dict[str, Any] | None) -> None:
        self.target = Path(target)
        self.folder = self.target.with_name(self.target.name + ".partial")
        self._key = json.loads(json.dumps(key))
        self._worth_keeping = False
        self._lock = Lock(self.target.with_name(self.target.name + ".partial.lock"))

    def __enter__(self) -> Self:
        check_target(self.target)
        try:
            with suppress(FileExistsError):  # a file in a folder's place: the lock says so better
                self.target.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take(self.target)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            check_target(self.target)  # again: another job may have ended meanwhile
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None and not self._kept_after(kind):
                shutil.rmtree(self.folder, ignore_errors=True)
            elif isinstance(error, KeyboardInterrupt):
                error.add_note(GOES_ON)
        finally:
            self._lock.release()

    def _open(self) -> None:
        """The work folder: an earlier job's with the same key as it is, otherwise an empty one."""
        job = self.folder / JOB
        self.resumed = self._key is not None and job.is_file() and _read(job) == self._key
        try:
            if not self.resumed and self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(exist_ok=True)
            job.write_text(json.dumps(self._key, indent=1), encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from None
        self._worth_keeping = self.resumed and (self.folder / KEPT).exists()

    def _unwritable(self, error: OSError) -> OptionError:
        return OptionError(f"output '{self.target}': cannot write beside it ({error.strerror})")

    def _kept_after(self, kind: type[BaseException]) -> bool:
        return self._worth_keeping if issubclass(kind, Exception) else self._key is not None

    def keep(self) -> None:
        """From now on an error leaves the folder for a rerun: there is something in it that took time."""
        if not self._worth_keeping:
            (self.folder / KEPT).touch()
        self._worth_keeping = True

    def fresh(self) -> Path:
        """An empty folder to put the build together in."""
        build = self.folder / "build"
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir()
        return build

    def publish(self) -> Path:
        """Gives the finished build its name and removes what the job worked with; returns the target.

        Raises:
            OptionError: since the job began somebody has put files into the earlier build.
        """
        build, old = self.folder / "build", self.folder / "replaced"
        check_target(self.target)
        if self.target.exists():
            self.target.rename(old)
        try:
            (build / MANIFEST).write_text(json.dumps({"files": sorted(_entries(build))}, indent=1) + "\n")
            build.rename(self.target)
        except OSError:
            if old.exists():
                old.rename(self.target)
            raise
        shutil.rmtree(self.folder)
        return self.target


def replace_file(path: Path, text: str) -> None:
    """Writes a file whole or not at all: whoever reads it meanwhile sees what was there before.

    A file name in the text that is no text itself (Linux allows any bytes) is shown with its bytes escaped.
    """
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8", errors="backslashreplace")
    new.replace(path)


def adopt(build: Path, name: str) -> None:
    """Enters a file that a later job wrote into ``build`` into its manifest: it goes where the build goes."""
    manifest = _read(build / MANIFEST)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if isinstance(files, list) and name not in files:
        replace_file(
            build / MANIFEST, json.dumps({"files": sorted([*map(str, files), name])}, indent=1) + "\n"
        )


def check_target(target: Path, data: str | Path | None = None) -> None:
    """OptionError unless ``target`` is free, an empty folder, or an earlier build, which may be replaced, and
    the folder beside it that the job works in is free or of an earlier job.

    data: what the job reads; a build inside that folder would be data of the next job.
    """
    if not target.name or target.name == ".." or "\0" in str(target):
        raise OptionError(
            f"output '{target}': give a folder with a name of its own, for example -o out/model"
        )
    if data is not None and data != DIGITS and Path(data).is_dir():
        _check_apart(target, Path(data))
    try:
        _check_work_folder(target.with_name(target.name + ".partial"))
        _check_replaceable(target)
    except OSError as error:
        raise OptionError(
            f"output '{target}': cannot be used ({error.strerror}); give another folder"
        ) from None


def _check_apart(target: Path, data: Path) -> None:
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(data)):
        raise OptionError(
            f"output '{target}' is in the data folder '{data}', where the next job would read it as data; "
            "give a folder elsewhere"
        )


def _check_replaceable(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise OptionError(f"output '{target}' is a file; give a folder that does not exist yet")
    own = _own_entries(target)
    foreign = next((name for name in _entries(target) if name not in own), None)
    if foreign is not None:
        raise OptionError(
            f"output '{target}' holds '{foreign}', which is no part of an earlier build; move it away, or "
            "give a folder that is empty or new"
        )


def _entries(folder: Path) -> Iterator[str]:
    """Names of all files and folders in ``folder``, at any depth; links are not followed."""
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _own_entries(target: Path) -> set[str]:
    """What a job wrote into ``target`` as its manifest tells; nothing where there is no report of ours."""
    report, manifest = _read(target / REPORT), _read(target / MANIFEST)
    if not isinstance(report, dict) or not {"format", "tinyfoundry"} <= set(report):
        return set()
    files = manifest.get("files") if isinstance(manifest, dict) else None
    return {MANIFEST, *map(str, files)} if isinstance(files, list) else set()


def _check_work_folder(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / JOB).is_file()):
        raise OptionError(
            f"'{folder}' is in the way: the job would work there, and it is no earlier job's; move it, or "
            "give another output"
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
