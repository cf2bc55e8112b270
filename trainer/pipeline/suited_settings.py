"""Settings that suit the data, where the user chose none: from the analysis of the training texts, each with its why.

Found by trying (docs/experiments.md). Whatever the file of a run sets itself stands above them; a student whose
configuration is named is left as that says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kuaixun.trainer.data.analysis import Analysis, FileAnalysis
from kuaixun.trainer.pipeline.plan import Settings

# A script of so few characters writes words with many of them, and nearly always with spaces between.
ALPHABET_CHARACTERS = 400
SPACES = 0.08
# Among letters: Chinese is written with little else, Japanese with more kana than ideographs.
IDEOGRAPHS = 0.6
HIGHEST_MAX_TOKENS = 256
# Words of letters are several characters long, and detectors of words learn nothing by steps.
HIGHEST_MAX_TOKENS_OF_LETTERS = 1024
LEAST_MAX_TOKENS = 16
SMALL_TEXTS, LARGE_TEXTS = 20_000, 100_000
STEPS_OF_SMALL = 900
FEWEST_EPOCHS, MOST_EPOCHS = 8, 60


@dataclass(frozen=True, slots=True)
class Suited:
    """An option, its value as the command line has it, and why."""

    option: str
    value: str
    why: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the command is given."""
        return (f"--{self.option}={self.value}",) if self.value else (f"--{self.option}",)

    @property
    def note(self) -> str:
        """What the user is told."""
        return f"{self.option} {self.value}: {self.why}" if self.value else f"{self.option}: {self.why}"


def baseline_settings(analysis: Analysis, given: Settings) -> tuple[Suited, ...]:
    """What suits fastText: its tokens, and a search as long as the data is large.

    Nothing where the user's kinds are others, and no search where the user wants none.
    """
    kinds = given.get("kinds", "fasttext")
    if "fasttext" not in (kinds if isinstance(kinds, list) else str(kinds).split(",")):
        return ()
    train = _train(analysis)
    suited = []
    if _is_alphabetic(analysis):
        suited.append(Suited("tokens", "jieba", f"{_alphabet(analysis)}, so words say more than characters"))
    if train.texts < SMALL_TEXTS and given.get("search") != "none":
        suited.append(Suited("autotune-seconds", "60", f"{train.texts} texts are searched many times in a minute"))
    return tuple(suited)


def student_settings(analysis: Analysis, given: Settings) -> tuple[Suited, ...]:
    """What suits a student; nothing where the user names a configuration of one's own."""
    if "configuration" in given:
        return ()
    train = _train(analysis)
    if _is_of_letters(analysis) and not _shape_given(given):
        # A last layer alone has no course: see last_layer.py.
        return (*_lengths(train, HIGHEST_MAX_TOKENS_OF_LETTERS, marks=2), *_of_letters(analysis, given))
    of_few = train.texts < SMALL_TEXTS and not _shape_given(given)
    return (
        *_lengths(train, HIGHEST_MAX_TOKENS, marks=0),
        *(_of_few_texts(train, given) if of_few else ()),
        *_course(train),
    )


def _lengths(train: FileAnalysis, highest: int, *, marks: int) -> Iterator[Suited]:
    """Nearly all of a text counts, as far as it can be served at speed, and the marks at its ends."""
    longest = int(train.lengths.p99) + 1 + marks
    tokens = min(max(-(-longest // 8) * 8, LEAST_MAX_TOKENS), highest)
    if longest <= tokens:
        why = "99 % of the texts are no longer"
    else:
        lengths = ((50, train.lengths.p50), (25, train.lengths.p75), (5, train.lengths.p95), (1, train.lengths.p99))
        share, length = next(one for one in lengths if one[1] >= tokens)
        why = f"what stands beyond is not read; {share} % of the texts have more than {length:.0f}"
    yield Suited("max-tokens", str(tokens), why)


def _of_letters(analysis: Analysis, given: Settings) -> Iterator[Suited]:
    """Filters that know words, beside n-grams of letters; where there are no spaces, n-grams say what words would."""
    characters = _characters(analysis)
    yield Suited("keyword-filters", "", f"{_alphabet(analysis)}, so filters begin as detectors of words")
    if not _given(given, "prepend-cls"):
        yield Suited("prepend-cls", "", "a word is known by the space before it, and the first one has none")
    if not _given(given, "append-cls"):
        yield Suited("append-cls", "", "endings tell much, and the last word has no space behind it")
    yield Suited("widths", "10", "a space and nine letters tell most words apart")
    yield Suited("filters", "2048", "as many words; whether fewer do better is tried on dev")
    if not _given(given, "embeddings"):
        size = "64" if characters <= ALPHABET_CHARACTERS else "128"
        yield Suited("embedding-size", size, f"enough to tell {characters} characters apart")
    if not _given(given, "ngram-bits"):
        bits = "16" if characters <= ALPHABET_CHARACTERS else "17"
        yield Suited("ngram-bits", bits, "how loud n-grams are beside words is tried on dev")
        if not _given(given, "ngram-orders"):
            yield Suited("ngram-orders", "1,2,3", "single letters, too, tell languages and spellings apart")
    why = "a word may be sure, and is not always right; whether labels as they are do better is tried on dev"
    yield Suited("label-smoothing", "0.05", why)


def _of_few_texts(train: FileAnalysis, given: Settings) -> Iterator[Suited]:
    """Filters for what a few thousand texts can teach: single characters and pairs."""
    why = f"{train.texts} texts"
    yield Suited("widths", "1,2", f"{why} teach what characters and pairs mean; longer ones are left to n-grams")
    yield Suited("filters", "128", f"{why} fill no more")
    yield Suited("minimum-frequency", "1", f"of {why} no character is too rare to be known")
    yield Suited("learning-rate", "6e-3", f"{why} make few steps")
    if not _given(given, "ngram-bits"):
        yield Suited("ngram-learning-rate", "2e-3", f"{why} make few steps")
        yield Suited("branch-loss", "0.3", "neither branch by itself has much to go by")
    yield Suited("dropout", "0.5", "few texts are soon known by heart")


def _course(train: FileAnalysis) -> Iterator[Suited]:
    """Steps enough for few texts, and not too many for many."""
    if train.texts >= LARGE_TEXTS:
        return
    small = train.texts < SMALL_TEXTS
    batch = 32 if small else 128
    steps = -(-train.texts // batch)
    epochs = min(max(-(-STEPS_OF_SMALL // steps), FEWEST_EPOCHS), MOST_EPOCHS)
    yield Suited("batch-size", str(batch), f"{train.texts} texts")
    yield Suited("epochs", str(epochs), f"{epochs * steps} steps in all")
    yield Suited("evaluate-every-steps", str(max(steps // 2, 10)), "twice in an epoch")
    yield Suited("patience", "10", "five epochs without a lower loss")


def _shape_given(given: Settings) -> bool:
    return _given(given, "widths") or _given(given, "keyword-filters")


def _given(given: Settings, option: str) -> bool:
    """By either of its spellings."""
    return option in given or option.replace("-", "_") in given


def _train(analysis: Analysis) -> FileAnalysis:
    return next(file for file in analysis.files if file.role == "train")


def _characters(analysis: Analysis) -> int:
    return next(one.vocabulary_characters for one in analysis.coverage if one.vocabulary == "train")


def _is_alphabetic(analysis: Analysis) -> bool:
    """Whether words are written with letters, and spaces between them."""
    script = _train(analysis).script
    return _characters(analysis) <= ALPHABET_CHARACTERS and script.spaces >= SPACES and script.ideographs < IDEOGRAPHS


def _is_of_letters(analysis: Analysis) -> bool:
    """Whether what n-grams of letters say is most of what there is to say: always where words are few letters long and
    stand apart, and where texts are few unless they are written with ideographs, each of them a word.
    """
    train = _train(analysis)
    return _is_alphabetic(analysis) or (train.texts < SMALL_TEXTS and train.script.ideographs < IDEOGRAPHS)


def _alphabet(analysis: Analysis) -> str:
    return f"the texts are written with {_characters(analysis)} characters, few of them ideographs"
