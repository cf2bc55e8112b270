"""Settings that suit the data, where the user chose none: from the analysis of the training texts, each with its why.

Found by trying (docs/experiments.md). Whatever the file of a run sets itself stands above them; a student whose
configuration is named is left as that says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from kuaixun.export.text.vocabulary import SPECIALS
from kuaixun.schemas.manifest import Architecture, NgramBranch
from kuaixun.trainer.data.analysis import Analysis, FileAnalysis
from kuaixun.trainer.pipeline.plan import Settings

# A script of so few characters writes words with many of them, and nearly always with spaces between.
ALPHABET_CHARACTERS = 400
SPACES = 0.08
# Of all letters: in Chinese headlines names of companies and products may be two thirds of them.
IDEOGRAPH_SHARE = 0.3
# Japanese headlines have a fifth of them and more, Chinese ones none but in quotations.
KANA_SHARE = 0.05
HIGHEST_MAX_TOKENS = 256
# Words of letters are several characters long, and detectors of words learn nothing by steps.
HIGHEST_MAX_TOKENS_OF_LETTERS = 1024
LEAST_MAX_TOKENS = 16
SMALL_TEXTS, LARGE_TEXTS = 20_000, 100_000
STEPS_OF_SMALL = 900
FEWEST_EPOCHS, MOST_EPOCHS = 8, 60
# Detectors of words: what the last layer tries is 512, and all; of pairs all.
FILTERS_OF_WORDS, FILTERS_OF_PHRASES = (2048, 1024, 512), (512,)
WIDTH_OF_WORDS = 10
# Where more than this of a text are spaces, words are syllables or hardly longer: in pinyin 0.24, in Vietnamese 0.20,
# in everyday English 0.187. There are few such words, and many pairs of them.
SPACES_OF_SHORT_WORDS = 0.19
FILTERS_OF_PAIRS = (4096, *FILTERS_OF_WORDS)
WIDTH_OF_PAIRS = 12
ORDERS_OF_LETTERS = (1, 2, 3)
FEWEST_NGRAM_BITS = 10


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
        suited.append(Suited("tokens", "jieba", f"{_spelling(analysis)}, so words say more than characters"))
    if train.texts < SMALL_TEXTS and given.get("search") != "none":
        suited.append(Suited("autotune-seconds", "60", f"{train.texts} texts are searched many times in a minute"))
    return tuple(suited)


def student_settings(analysis: Analysis, given: Settings) -> tuple[Suited, ...]:
    """What suits a student; nothing where the user names a configuration of one's own."""
    if "configuration" in given:
        return ()
    train = _train(analysis)
    asked = _value(given, "keyword-filters")
    if not _is_given(given, "widths") and (_is_of_letters(analysis) if asked is None else asked):
        # A last layer alone has no course: see last_layer.py.
        return (*_lengths(train, HIGHEST_MAX_TOKENS_OF_LETTERS, marks=2), *_of_letters(analysis, given))
    of_few = train.texts < SMALL_TEXTS and not _is_given(given, "widths")
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
        share, length = next(one for one in lengths if int(one[1]) + 1 + marks > tokens)
        why = f"what stands beyond is not read; {share} % of the texts have more than {length:.0f}"
    yield Suited("max-tokens", str(tokens), why)


def _of_letters(analysis: Analysis, given: Settings) -> Iterator[Suited]:
    """Filters that know words, beside n-grams of letters; where there are no spaces, n-grams say what words would."""
    characters, has_words = _characters(analysis), _has_spaces(_train(analysis))
    size = 64 if characters <= ALPHABET_CHARACTERS else 128
    has_pairs = _is_alphabetic(analysis) and _train(analysis).script.spaces >= SPACES_OF_SHORT_WORDS
    width = WIDTH_OF_PAIRS if has_pairs else WIDTH_OF_WORDS
    # Of many texts what so many filters say would not fit memory_plan.py's limit.
    has_most = has_pairs and _train(analysis).texts < LARGE_TEXTS
    most = FILTERS_OF_PAIRS if has_most else FILTERS_OF_WORDS if has_words else FILTERS_OF_PHRASES
    filters, bits = _servable(analysis, width, most, size)
    if not _is_given(given, "keyword-filters"):
        why = "filters begin as detectors of words" if has_words else "n-grams of letters say what words would"
        yield Suited("keyword-filters", "", f"{_spelling(analysis)}, so {why}")
    if not _is_given(given, "prepend-cls"):
        why = "a word is known by the space before it, and the first one has none"
        yield Suited("prepend-cls", "", why if has_words else "what a text begins with tells much")
    if not _is_given(given, "append-cls"):
        why = "endings tell much, and the last word has no space behind it"
        yield Suited("append-cls", "", why if has_words else "what a text ends with tells much")
    why = (
        "words are short, and two of them have room" if has_pairs else "a space and nine letters tell most words apart"
    )
    yield Suited("widths", str(width), why)
    why = "as many words; whether fewer do better is tried on dev"
    why = "as many words and pairs of them" if has_pairs else why
    yield Suited("filters", str(filters), why if has_words else "as much as stands between spaces, where there are any")
    if not _is_given(given, "embeddings"):
        yield Suited("embedding-size", str(size), f"enough to tell {characters} characters apart")
    if not _is_given(given, "ngram-bits"):
        why = f"room for n-grams of {characters} characters; how loud they are beside words is tried on dev"
        yield Suited("ngram-bits", str(bits), why)
    if _value(given, "ngram-bits") != "none" and not _is_given(given, "ngram-orders"):
        orders = ",".join(map(str, ORDERS_OF_LETTERS))
        yield Suited("ngram-orders", orders, "single letters, too, tell languages and spellings apart")
    why = "a word may be sure, and is not always right; whether labels as they are do better is tried on dev"
    yield Suited("label-smoothing", "0.05", why)


def _servable(analysis: Analysis, width: int, filters: tuple[int, ...], embedding_size: int) -> tuple[int, int]:
    """Filters and bits of n-grams: the most that can be served with so many characters and classes."""
    characters, classes = _characters(analysis), len(analysis.labels)
    most_bits = 16 if characters <= ALPHABET_CHARACTERS else 17
    for bits in range(most_bits, FEWEST_NGRAM_BITS, -1):
        for some in filters:
            with suppress(ValueError):
                Architecture(
                    vocabulary_size=characters + len(SPECIALS),
                    embedding_size=embedding_size,
                    widths=(width,),
                    filters=some,
                    ngrams=NgramBranch(size=classes, bucket_bits=bits, orders=ORDERS_OF_LETTERS),
                ).expect_servable(classes)
                return some, bits
    return filters[-1], FEWEST_NGRAM_BITS


def _of_few_texts(train: FileAnalysis, given: Settings) -> Iterator[Suited]:
    """Filters for what a few thousand texts can teach: single characters and pairs."""
    why = f"{train.texts} texts"
    yield Suited("widths", "1,2", f"{why} teach what characters and pairs mean; longer ones are left to n-grams")
    yield Suited("filters", "128", f"{why} fill no more")
    yield Suited("minimum-frequency", "1", f"of {why} no character is too rare to be known")
    yield Suited("learning-rate", "6e-3", f"{why} make few steps")
    if not _is_given(given, "ngram-bits"):
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


def _is_given(given: Settings, option: str) -> bool:
    return _value(given, option) is not None


def _value(given: Settings, option: str) -> object | None:
    """By either of its spellings; None where the user left it."""
    return given.get(option, given.get(option.replace("-", "_")))


def _train(analysis: Analysis) -> FileAnalysis:
    return next(file for file in analysis.files if file.role == "train")


def _characters(analysis: Analysis) -> int:
    return next(one.vocabulary_characters for one in analysis.coverage if one.vocabulary == "train")


def _is_alphabetic(analysis: Analysis) -> bool:
    """Whether words are written with letters, and spaces between them."""
    train = _train(analysis)
    return _has_spaces(train) and not _is_chinese(train) and _characters(analysis) <= ALPHABET_CHARACTERS


def _is_of_letters(analysis: Analysis) -> bool:
    """Whether what n-grams of letters say is most of what there is to say: always where words are few letters long and
    stand apart, and where texts are few unless they are Chinese, each ideograph a word.
    """
    train = _train(analysis)
    return _is_alphabetic(analysis) or (train.texts < SMALL_TEXTS and not _is_chinese(train))


def _has_spaces(train: FileAnalysis) -> bool:
    return train.script.spaces >= SPACES


def _is_chinese(train: FileAnalysis) -> bool:
    return train.script.ideographs >= IDEOGRAPH_SHARE and train.script.kana < KANA_SHARE


def _spelling(analysis: Analysis) -> str:
    between = "spaces between words" if _has_spaces(_train(analysis)) else "hardly a space"
    return f"the texts are written with {_characters(analysis)} characters and {between}"
