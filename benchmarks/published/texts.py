"""Texts as a language model of few words reads them: `python -m benchmarks.published.texts`.

Out of a folder of texts (`*.txt` or `*.txt.gz`, a sentence a line) it makes `text/train.txt` and
`text/valid.txt`, which language models learn from, `start.bin`, what they begin with, and
`vectors.bin`, vectors of all their words by word2vec. What `conll2000` reads is made by

    python -m benchmarks.published.texts TEXTS DATA
    MODEL="--data DATA/text --config benchmarks/published/texts.json --vectors DATA/start.bin"
    python -m rnn_jax train $MODEL --run DATA/ahead
    python -m rnn_jax train $MODEL --run DATA/behind --backward
"""

import argparse
import collections
import gzip
import random
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from rnn_jax.language.errors import InputError

RARE, NUMBER = "<unk>", "0"
_CLITIC = re.compile(r"(?<=[a-z])(n't|'(?:s|re|ve|ll|d|m))$")
_LETTERS = re.compile(r"[a-z']*[a-z][a-z']*")


def heard(word: str) -> str | None:
    """What is read of a word: lower-cased, the last part of a compound, 0 for any number.

    None for punctuation, which the texts do not have.

    >>> [heard(word) for word in ("Third-quarter", "1,000", "U.S.", ",")]
    ['quarter', '0', 's', None]
    """
    word = word.lower()
    if any(letter.isdigit() for letter in word):
        return NUMBER
    parts = _LETTERS.findall(word)
    return parts[-1] if parts else None


def spelled(word: str, known: Collection[str]) -> str:
    """A word that is known; of another one its ending, which tells a verb from a noun.

    >>> spelled("flossing", {"the"}), spelled("the", {"the"}), spelled("fox", {"the"})
    ('-ng', 'the', '<unk>')
    """
    if word in known:
        return word
    return f"-{word[-2:]}" if len(word) > 3 else RARE


def sentences(folder: Path) -> Iterator[list[str]]:
    """The words of each line of each text; don't is two, as in the Penn Treebank."""
    files = sorted([*folder.glob("*.txt"), *folder.glob("*.txt.gz")])
    if not files:
        raise InputError(f"{folder} has no text: no file *.txt or *.txt.gz")
    for file in files:
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                pieces = [piece for word in line.split() for piece in _split(word)]
                words = [word for word in map(heard, pieces) if word is not None]
                if words:
                    yield words


def _split(word: str) -> list[str]:
    return _CLITIC.sub(r" \1", word.lower()).split()


def write(folder: Path, out: Path, words: int, size: int, seed: int) -> None:
    """Shuffle the sentences, keep a 50th for validation, and learn word2vec from the others.

    Of the words the most frequent are kept. Word2vec reads all of them, for it pays for no word
    that it does not see.
    """
    from gensim.models import Word2Vec

    found = [*sentences(folder)]
    counts = collections.Counter(word for own in found for word in own)
    known = {word for word, _ in counts.most_common(words)}
    random.Random(seed).shuffle(found)
    cut = len(found) // 50
    (out / "text").mkdir(parents=True, exist_ok=True)
    for name, part in (("valid", found[:cut]), ("train", found[cut:])):
        with (out / "text" / f"{name}.txt").open("w", encoding="utf-8") as file:
            for own in part:
                print(*(spelled(word, known) for word in own), file=file)
    learned = found[cut:], [[spelled(word, known) for word in own] for own in found[cut:]]
    names = ("vectors.bin", 2, 10), ("start.bin", 1, 3)
    for text, (name, least, epochs) in zip(learned, names, strict=True):
        model = Word2Vec(
            text, vector_size=size, min_count=least, sg=1, epochs=epochs, seed=1, workers=1
        )
        model.wv.save_word2vec_format(out / name, binary=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published.texts")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--words", type=int, default=8000, help="how many are kept")
    parser.add_argument("--size", type=int, default=128, help="of a vector of word2vec")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.folder, options.out, options.words, options.size, options.seed)


if __name__ == "__main__":
    main()
