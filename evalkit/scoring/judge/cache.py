"""Rulings on disk by what was asked of whom: a question is paid for once. Failures are never kept."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from evalkit.errors import EvalkitError, InfrastructureError, one_line
from evalkit.rulings import Ruling

_APPLICATION = 0x65766A31
"""What SQLite's header says of whose file it is."""
_WAIT_S = 30.0
_decode = msgspec.json.Decoder(Ruling).decode
T = TypeVar("T")


class JudgeCache:
    """One SQLite file; several processes may have it open at once (write-ahead log).

    It lives in a thread of its own, so that the event loop waits neither for a disk nor for another process's lock.
    """

    def __init__(self, file: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.file = file
        self._thread: ThreadPoolExecutor | None = None
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, made if it is not there.

        Raises:
            EvalkitError: it cannot be opened, or is no cache of a judge.
        """
        await self.close()
        self._thread = ThreadPoolExecutor(1, "evalkit-judge-cache")
        try:
            await self._do(self._open)
        except BaseException:
            await self.close()
            raise

    async def get(self, key: bytes) -> Ruling | None:
        """The ruling kept under `key`.

        Raises:
            InfrastructureError: the file cannot be read.
        """
        return await self._do(lambda: self._get(key))

    async def put(self, key: bytes, ruling: Ruling) -> None:
        """Keep a ruling; the first one under a key stays.

        Raises:
            InfrastructureError: the file cannot be written.
            ValueError: the ruling is a failure.
        """
        if ruling.said.failed:
            raise ValueError("failures are not kept")
        await self._do(lambda: self._put(key, msgspec.json.encode(ruling)))

    async def close(self) -> None:
        """Close the file; safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    async def _do(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise InfrastructureError(f"the judge's cache {self.file} is not open")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self._database = self._connect()
                return
            except (OSError, sqlite3.Error) as error:
                # of several processes that make the file at once, SQLite lets all but one fail
                if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY") and time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                why = one_line(getattr(error, "strerror", None) or error)
                raise EvalkitError(
                    f"cannot use the judge's cache {self.file}: {why}; name another file with --judge-cache"
                ) from None

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.file, timeout=_WAIT_S, isolation_level=None)
        try:
            (whose,) = database.execute("PRAGMA application_id").fetchone()
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if whose != _APPLICATION and (whose or tables):
                raise sqlite3.DatabaseError("it is another program's database")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute("CREATE TABLE IF NOT EXISTS rulings (key BLOB PRIMARY KEY, ruling BLOB) WITHOUT ROWID")
            columns = [name for _, name, *_ in database.execute("PRAGMA table_info(rulings)")]
            if columns != ["key", "ruling"]:
                raise sqlite3.DatabaseError("another version of evalkit made it")
        except BaseException:
            database.close()
            raise
        return database

    def _get(self, key: bytes) -> Ruling | None:
        assert self._database is not None
        try:
            row = self._database.execute("SELECT ruling FROM rulings WHERE key = ?", (key,)).fetchone()
            return None if row is None else _decode(row[0])
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise self._broken("read", error) from None

    def _put(self, key: bytes, ruling: bytes) -> None:
        assert self._database is not None
        try:
            self._database.execute("INSERT OR IGNORE INTO rulings VALUES (?, ?)", (key, ruling))
        except sqlite3.Error as error:
            raise self._broken("write", error) from None

    def _broken(self, what: str, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"cannot {what} the judge's cache {self.file}: {one_line(error)}; free space, or delete it and run again"
        )

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()
