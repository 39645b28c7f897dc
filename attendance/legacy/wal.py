"""The write-ahead log beside an old database file: what lies there, and how much of it SQLite takes."""

import dataclasses
import sqlite3
import struct
from pathlib import Path

WAL_HEADER_BYTES = 32
WAL_FRAME_HEADER_BYTES = 24
WAL_MAGIC = (0x377F0682, 0x377F0683)


class SourceError(Exception):
    """The file cannot be read, or must not be trusted. The text tells an operator what to do."""


@dataclasses.dataclass(frozen=True)
class WriteAheadLog:
    """What was beside the main file, and how much of it SQLite took.

    `earlier` frames are left from before the last checkpoint, which is usual. `damaged` ones belong to
    the log's present round but follow its last whole transaction: it was cut short, or the last write
    never finished.
    """

    present: bool = False
    frames: int = 0
    read: int = 0
    earlier: int = 0
    damaged: int = 0
    torn: bool = False

    def __str__(self) -> str:
        if not self.present:
            return "no -wal file beside it"
        if not self.frames and not self.torn:
            return "the -wal file is empty"
        if not self.read:
            return "the whole -wal file was IGNORED: it is damaged, cut short or another database's"
        told = f"{self.read:,} of {self.frames:,} frames of the -wal file read"
        if self.earlier:
            told += f"; {self.earlier:,} left from before its last checkpoint"
        if self.damaged or self.torn:
            told += f"; {self.damaged:,} IGNORED after its last whole transaction"
            told += ", and it ends inside a frame" if self.torn else ""
            told += ": it was cut short, or the last write was never finished"
        return told


def wal_path(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log of a file."""
    return path.with_name(path.name + "-wal")


def _page_size(raw: int) -> int:
    return 65536 if raw == 1 else raw


def refuse_other_page_size(copy: Path) -> None:
    """The size of a page never changes in WAL mode, and SQLite does not look at it."""
    wal = wal_path(copy)
    if not wal.exists() or wal.stat().st_size < WAL_HEADER_BYTES:
        return
    with copy.open("rb") as main, wal.open("rb") as log:
        of_main = _page_size(struct.unpack(">16xH", main.read(18))[0])
        magic, _version, of_log = struct.unpack(">III", log.read(12))
    if magic in WAL_MAGIC and of_main != of_log:
        raise SourceError(
            f"the -wal file was left behind by another database: its pages have {of_log} bytes, those of the"
            f" main file {of_main}"
        )


@dataclasses.dataclass(frozen=True)
class LogFile:
    """The -wal file as it lies there: for each whole frame whether it is of the log's present round."""

    present: bool
    current: tuple[bool, ...] = ()
    torn: bool = False

    @classmethod
    def look(cls, copy: Path) -> "LogFile":
        """Read the headers of the frames. Knows nothing of checksums: SQLite does."""
        wal = wal_path(copy)
        if not wal.exists():
            return cls(present=False)
        size = wal.stat().st_size
        with wal.open("rb") as log:
            header = log.read(WAL_HEADER_BYTES)
            if len(header) < WAL_HEADER_BYTES or struct.unpack(">I", header[:4])[0] not in WAL_MAGIC:
                return cls(present=True, torn=size > 0)
            frame_bytes = struct.unpack(">I", header[8:12])[0] + WAL_FRAME_HEADER_BYTES
            frames, rest = divmod(size - WAL_HEADER_BYTES, frame_bytes)
            current = []
            for number in range(frames):
                log.seek(WAL_HEADER_BYTES + number * frame_bytes + 8)
                current.append(log.read(8) == header[16:24])
        return cls(present=True, current=tuple(current), torn=bool(rest))


def wal_state(log: LogFile, connection: sqlite3.Connection) -> WriteAheadLog:
    """Ask SQLite how many frames it took. The copy is checkpointed by that."""
    _busy, taken, _moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    read = max(0, taken)
    ignored = log.current[read:]
    return WriteAheadLog(
        present=log.present,
        frames=len(log.current),
        read=read,
        earlier=ignored.count(False),
        damaged=ignored.count(True),
        torn=log.torn,
    )
