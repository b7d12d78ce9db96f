"""The demo model's text: the King James Bible from Debian's package, cut into three parts.

A *chapter* is a list of verses; a *part* (train, validation, held-out) is a list of chapters. As text, a part
is one verse a line with a blank line between chapters, in training and in files alike.
"""

from __future__ import annotations

import itertools
import random
import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "bible-kjv-text"
DATA_FILE = Path("usr/lib/bible.data")

# Layout of bible.data, read off the file itself: a magic string, the number of blocks, their offsets and the
# file's end (big-endian). Each block is the output of Unix compress without its three-byte header.
MAGIC = b"EC02Compressed Data File"
BLOCK_COUNT_AT = 0x58
COMPRESS_HEADER = b"\x1f\x9d\x90"

# "1Sa17:4 And there went out ...": book, chapter, verse, text. The title on the first line does not match.
VERSE = re.compile(r"(?P<chapter>\d?[A-Za-z]+\d+):\d+ (?P<text>.+)")

CHAPTERS_PER_GROUP = 3
"""Chapters are held out in runs of this many: enough context in each, and still a spread over the books."""

HELD_OUT_BYTES = 90_000
"""Least size of the validation part and of the held-out part; together about 4.5 % of the text."""

Chapter = list[str]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Three disjoint parts. Only `train` is seen by the tokenizer, the gradients and the n-gram counts."""

    train: list[Chapter]
    validation: list[Chapter]
    held_out: list[Chapter]


def fetch_text(work: Path) -> str:
    """Download and unpack the Debian package below `work` unless it is there, and return its text."""
    unpacked = work / "package"
    if not (unpacked / DATA_FILE).exists():
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", PACKAGE], cwd=work, check=True)
        package = max(work.glob(f"{PACKAGE}_*.deb"))
        subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True)
    return decompress((unpacked / DATA_FILE).read_bytes())


def decompress(data: bytes) -> str:
    """Return the text inside the package's block-compressed data file."""
    if not data.startswith(MAGIC):
        raise ValueError(f"not a bible.data file: it starts with {data[:24]!r}, not {MAGIC!r}")
    (count,) = struct.unpack_from(">I", data, BLOCK_COUNT_AT)
    offsets = struct.unpack_from(f">{count + 1}I", data, BLOCK_COUNT_AT + 4)
    blocks = []
    for begin, end in itertools.pairwise(offsets):
        # Python has no decoder for Unix compress, but gzip reads it, and a system with dpkg has gzip.
        block = COMPRESS_HEADER + data[begin:end]
        blocks.append(subprocess.run(["gzip", "-dc"], input=block, capture_output=True, check=True).stdout)
    return b"".join(blocks).decode("ascii")


def parse_chapters(text: str) -> list[Chapter]:
    """Group the verses of `text` by chapter, in order, without their references."""
    verses = [match for line in text.splitlines() if (match := VERSE.fullmatch(line.strip()))]
    if not verses:
        raise ValueError("no line looks like a verse: expected lines such as 'Ge1:1 In the beginning ...'")
    by_chapter = itertools.groupby(verses, key=lambda verse: verse["chapter"])
    return [[" ".join(verse["text"].split()) for verse in chapter] for _, chapter in by_chapter]


def split(chapters: list[Chapter], seed: int) -> Corpus:
    """Set runs of neighbouring chapters aside by a seeded choice: first held-out, then validation."""
    groups = [chapters[at : at + CHAPTERS_PER_GROUP] for at in range(0, len(chapters), CHAPTERS_PER_GROUP)]
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)

    def take() -> set[int]:
        taken: set[int] = set()
        size_bytes = 0
        while size_bytes < HELD_OUT_BYTES:
            taken.add(order.pop())
            size_bytes = len(as_text([chapter for index in taken for chapter in groups[index]]).encode())
        return taken

    def chapters_of(indexes: set[int]) -> list[Chapter]:
        return [chapter for index in sorted(indexes) for chapter in groups[index]]

    held_out, validation = take(), take()
    return Corpus(train=chapters_of(set(order)), validation=chapters_of(validation), held_out=chapters_of(held_out))


def as_text(chapters: list[Chapter]) -> str:
    """One verse a line, a blank line between chapters, a newline at the end."""
    return "\n\n".join("\n".join(chapter) for chapter in chapters) + "\n"


def choose_prompts(chapters: list[Chapter], *, count: int, words: int, seed: int) -> list[str]:
    """The first `words` words of `count` verses, each of another chapter and at least twice as long."""
    chance = random.Random(seed)
    prompts = []
    for chapter in chance.sample(chapters, count):
        verse = chance.choice([verse for verse in chapter if len(verse.split()) >= 2 * words])
        prompts.append(" ".join(verse.split()[:words]))
    return prompts


def repeated_verses(corpus: Corpus) -> float:
    """Share of the held-out verses that stand word for word in the training part too."""
    seen = {verse for chapter in corpus.train for verse in chapter}
    verses = [verse for chapter in corpus.held_out for verse in chapter]
    return sum(verse in seen for verse in verses) / len(verses)
