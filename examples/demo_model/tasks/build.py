"""Makes the documents of the demo model's tasks from the verses that it never saw: `python build.py`."""

from __future__ import annotations

import json
import random
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENTS, CHOICES, SEED = 200, 4, 1


def main() -> None:
    """Writes `verses.jsonl`: the first half of a verse, how it ends, and how three others end."""
    lines = (HERE.parent / "heldout.txt").read_text(encoding="utf-8").splitlines()
    verses = [line.split() for line in lines if 16 <= len(line.split()) <= 40]
    chance = random.Random(SEED)
    picked = chance.sample(verses, DOCUMENTS)
    with (HERE / "verses.jsonl").open("w", encoding="utf-8") as file:
        for number, words in enumerate(picked):
            middle = len(words) // 2
            others = [each for each in chance.sample(verses, CHOICES) if each is not words][: CHOICES - 1]
            endings = [words[middle:], *(each[len(each) // 2 :] for each in others)]
            place = chance.randrange(CHOICES)
            endings[0], endings[place] = endings[place], endings[0]
            texts = [" " + " ".join(each) for each in endings]
            document = {"id": number, "beginning": " ".join(words[:middle]), "endings": texts, "right": place}
            file.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
