"""Files that commands write, whole or not at all."""

from pathlib import Path


def write_new(path: Path, text: str) -> None:
    """Write a file in UTF-8, with its folder. FileExistsError if it is there; OSError leaves none of it."""
    if path.exists():
        raise FileExistsError(f"{path} is there already.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
