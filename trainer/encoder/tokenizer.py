"""Cleaned texts to token ids for encoders trained here: one token a character, as a Hugging Face fast tokenizer.

It is saved beside the model as tokenizer.json, so that AutoTokenizer reads it like any other. Cleaning comes before
it, in kuaixun.trainer.data.cleaning, and is no part of it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kuaixun.export.batches import in_batches
from kuaixun.export.text.vocabulary import SPECIALS, count_vocabulary
from kuaixun.trainer.data.cleaning import clean, cleaning_sha256
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BATCH_LINES = 10_000
PAD, UNK, CLS, SEP, MASK = ENCODER_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def counted_tokens(cleaned_texts: Iterable[str], *, size: int, minimum_frequency: int) -> tuple[str, ...]:
    """The specials, then the commonest characters of cleaned texts: at most `size` in all."""
    room = size - len(ENCODER_SPECIALS) + len(SPECIALS)
    counted = count_vocabulary(cleaned_texts, max_size=room, min_frequency=minimum_frequency)
    return (*ENCODER_SPECIALS, *counted.characters)


def cached_counted_tokens(
    files: Sequence[TextLines], *, size: int, minimum_frequency: int, cache: Path | None
) -> tuple[str, ...]:
    """`counted_tokens` of all files, kept in the cache folder: counting 50 million characters takes half a minute."""
    path = None
    if cache is not None:
        parts = ("2", size, minimum_frequency, cleaning_sha256(), *(sha256_of_texts(lines.texts) for lines in files))
        key = hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
        path = cache / f"vocabulary-{key[:32]}.txt"
        if path.exists():
            return tokens_of_file(path)
    cleaned = (text for lines in files for batch in in_batches(lines.texts, BATCH_LINES) for text in clean(batch))
    tokens = counted_tokens(cleaned, size=size, minimum_frequency=minimum_frequency)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".vocabulary.") as unfinished:
            whole = Path(unfinished) / "whole"
            whole.write_text("\n".join(tokens) + "\n", encoding="utf-8")
            whole.rename(path)
    return tokens


def tokens_of_file(path: Path) -> tuple[str, ...]:
    """The tokens of a vocab.txt as BERT has them, one a line, the line's number being the id. Raises DataError.

    Tokens of several characters keep their ids, so that a model trained with them fits; nothing is cut into them.
    """
    try:
        tokens = tuple(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a vocabulary: {error}") from None
    missing = [token for token in ENCODER_SPECIALS if token not in tokens]
    if missing:
        raise DataError(f"{path}: no vocabulary of an encoder: {', '.join(missing)} not in it; write one token a line")
    if len(set(tokens)) != len(tokens):
        twice = next(token for index, token in enumerate(tokens) if token in tokens[:index])
        raise DataError(f"{path}: the token {twice!r} stands there twice")
    return tokens


def character_tokenizer(tokens: tuple[str, ...], max_tokens: int) -> PreTrainedTokenizerFast:
    """A tokenizer over `tokens`, ids in order, whose texts are `[CLS] characters [SEP]`.

    Spaces are characters where the vocabulary holds the space, and left out where it does not, as in BERT's.
    """
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Sequence as InTurn
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=UNK))
    spaces = [] if " " in ids else [Split(Regex(r"\s"), "removed")]
    tokenizer.pre_tokenizer = InTurn([*spaces, Split(Regex(r"[\s\S]"), "isolated")])
    tokenizer.post_processor = TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B {SEP}",
        special_tokens=[(CLS, ids[CLS]), (SEP, ids[SEP])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        cls_token=CLS,
        sep_token=SEP,
        mask_token=MASK,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
