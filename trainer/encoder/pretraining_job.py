"""From text files to an encoder's folder: the body of `kuaixun-trainer pretrain`.

read → vocabulary → tokenise, once → hold some out → train, resumable → write, whole or not
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from kuaixun.export.new_folder import new_folder
from kuaixun.schemas.manifest import DataFile, Training
from kuaixun.trainer.advance import LINE_EVERY_SECONDS
from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings, read_embeddings
from kuaixun.trainer.data.cleaning import cleaning_sha256
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.text_lines import TextFile, TextLines, read_text_lines
from kuaixun.trainer.encoder.masked_batches import Corpus, hold_out
from kuaixun.trainer.encoder.masked_language import EncoderShape, continued_model, new_model, special_ids
from kuaixun.trainer.encoder.new_vocabulary import give_vocabulary
from kuaixun.trainer.encoder.pretrained_folders import open_tokenizer, quieten
from kuaixun.trainer.encoder.pretraining import Pretrained, Pretraining
from kuaixun.trainer.encoder.pretraining_settings import PretrainSettings
from kuaixun.trainer.encoder.pretraining_state import load_state, state_file
from kuaixun.trainer.encoder.token_array import cached_tokens
from kuaixun.trainer.encoder.tokenizer import cached_counted_tokens, character_tokenizer, tokens_of_file
from kuaixun.trainer.errors import DataError, SettingError
from kuaixun.trainer.fitting.watching import Watcher
from kuaixun.trainer.number_ranges import flag_of
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.versions import library_versions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

RECORD_FILE = "pretraining.json"
SPECIALS_OF_A_PIECE = 2
ROUNDED = 0.99  # of the pieces asked for: as good as all
STATE_COPIES = 3  # the weights, and the two moments of AdamW


@dataclass(frozen=True, slots=True)
class PretrainingJob:
    """What to pre-train on what; how is `PretrainSettings`. Raises SettingError for a combination without a sense.

    `origin` is a folder or hub name to begin with, None for a new model of `shape`. `vocabulary` is a vocab.txt, None
    for one that is counted. `max_tokens` counts the two specials of a piece.
    """

    texts: tuple[TextFile, ...]
    output: Path
    text_column: str
    cache: Path | None
    origin: str | None
    shape: EncoderShape
    vocabulary: Path | None
    vocabulary_size: int
    minimum_frequency: int
    new_vocabulary: bool
    embeddings: Path | None
    embedding_vocabulary: Path | None
    max_tokens: int
    held_out: int
    compiled: bool
    command: str

    def __post_init__(self) -> None:
        if self.new_vocabulary and self.origin is None:
            raise SettingError("--new-vocabulary goes with --from; a new encoder has no other vocabulary to replace")
        keeps = self.origin is not None and not self.new_vocabulary
        if keeps and (self.vocabulary is not None or self.embeddings is not None):
            raise SettingError("--from keeps its vocabulary; to give it another or embeddings, pass --new-vocabulary")
        if (self.embeddings is None) != (self.embedding_vocabulary is None):
            raise SettingError("--embeddings and --embedding-vocabulary need each other; pass both or neither")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise SettingError("pretrain runs in one process on one device; start it without torchrun")


class PretrainingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is written beside the encoder: how it was made and what came out. Time is time of training.

    `held_out_pieces` counts those measured on, which may be fewer than were asked for; older records lack it.
    """

    training: Training
    steps: int
    tokens: int
    elapsed_seconds: float
    held_out_loss: float | None
    held_out_accuracy: float | None
    held_out_pieces: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Texts ready to train on."""

    files: tuple[TextLines, ...]
    tokenizer: PreTrainedTokenizerFast
    learnt: list[Corpus]
    held_out: list[Corpus]

    @property
    def held_out_pieces(self) -> int:
        """How many pieces are measured on."""
        return sum(len(corpus.tokens) for corpus in self.held_out)


def prepare(job: PretrainingJob, seed: int, say: Callable[[str], None]) -> Prepared:
    """Read and tokenise, or take from the cache. Raises TrainerError."""
    quieten()
    files = tuple(read_text_lines(file.path, job.text_column) for file in job.texts)
    tokenizer = _tokenizer(job, files)
    corpora = []
    for lines, file in zip(files, job.texts, strict=True):
        told = _telling(lines, say)
        tokens = cached_tokens(lines, tokenizer, job.max_tokens - SPECIALS_OF_A_PIECE, job.cache, told)
        say(f"{lines.source}: {len(lines)} lines, {len(tokens)} pieces, {len(tokens.ids)} tokens")
        corpora.append(Corpus(tokens, file.share))
    learnt, held_out = hold_out(corpora, job.held_out, seed)
    if not sum(round(len(corpus.tokens) * corpus.share) for corpus in learnt):
        raise DataError(
            "--texts: nothing is left to learn from after cleaning; give texts of four characters or more, of which "
            "the vocabulary knows one, or let it know more: --new-vocabulary after --from, a lower --minimum-frequency"
        )
    prepared = Prepared(files, tokenizer, learnt, held_out)
    say(_told_held_out(prepared.held_out_pieces, job.held_out))
    return prepared


def _told_held_out(pieces: int, wanted: int) -> str:
    """How many pieces are measured on; shares of files are rounded, so that a few less are as many as were asked for.

    >>> _told_held_out(47, 5000)
    '47 pieces are held out to measure on, and not 5000: a tenth of each file at most'
    """
    told = f"{pieces} pieces are held out to measure on"
    return f"{told}, and not {wanted}: a tenth of each file at most" if pieces < ROUNDED * wanted else told


def train(
    job: PretrainingJob,
    prepared: Prepared,
    settings: PretrainSettings,
    device: torch.device,
    watcher: Watcher,
    *,
    resume: bool,
    say: Callable[[str], None],
) -> Pretrained:
    """Train and write the new folder `job.output`; an interruption leaves the state beside it instead.

    Raises TrainerError.
    """
    unfinished = state_file(job.output)
    if unfinished.exists() and not resume:
        raise SettingError(f"{unfinished} holds an interrupted training; pass --resume to go on, or remove it")
    special = special_ids(prepared.tokenizer)
    torch.manual_seed(settings.seed)
    model = _model(job, prepared.tokenizer, settings.seed, say)
    size_bytes = sum(parameter.nbytes for parameter in model.parameters())
    refuse_unwritable(job.output, size_bytes * (1 + 2 * STATE_COPIES))  # the state is replaced, so it is there twice
    made_from = _made_from(job, prepared, settings, model)
    if resume:
        progress, weights, moments = load_state(unfinished, made_from)
        model.load_state_dict(weights)
    training = Pretraining(model.to(device), prepared.learnt, prepared.held_out, special, settings)  # type: ignore[arg-type]  # its decorator hides the type
    if resume:
        training.optimizer.load_state_dict(moments)
        training.progress = progress
        say(f"going on from step {progress.step}")
    if job.compiled:
        getattr(model, "bert", model).compile(dynamic=True)
    done = training.run(unfinished, made_from, watcher)
    if not done.interrupted:
        _write(job, prepared, settings, model, done)
        unfinished.unlink(missing_ok=True)
    return done


def _telling(
    lines: TextLines, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Callable[[int], None]:
    """Says now and then how many lines are tokenised."""
    last_seconds = clock()

    def tell(lines_done: int) -> None:
        nonlocal last_seconds
        if clock() - last_seconds >= LINE_EVERY_SECONDS:
            last_seconds = clock()
            say(f"{lines.source}: {lines_done}/{len(lines)} lines tokenised")

    return tell


def _tokenizer(job: PretrainingJob, files: tuple[TextLines, ...]) -> PreTrainedTokenizerFast:
    if job.origin is not None and not job.new_vocabulary:
        return open_tokenizer(job.origin, "--from")
    if job.vocabulary is not None:
        return character_tokenizer(tokens_of_file(job.vocabulary), job.max_tokens)
    tokens = cached_counted_tokens(
        files, size=job.vocabulary_size, minimum_frequency=job.minimum_frequency, cache=job.cache
    )
    return character_tokenizer(tokens, job.max_tokens)


def _model(
    job: PretrainingJob, tokenizer: PreTrainedTokenizerFast, seed: int, say: Callable[[str], None]
) -> PreTrainedModel:
    pretrained: CharacterEmbeddings | None = None
    if job.embeddings is not None and job.embedding_vocabulary is not None:
        pretrained = read_embeddings(job.embeddings, job.embedding_vocabulary)
    if job.origin is None:
        model, kept = new_model(job.shape, tokenizer, job.max_tokens), {}
    else:
        model = continued_model(job.origin, job.max_tokens)
        if not job.new_vocabulary:
            return model
        kept = open_tokenizer(job.origin, "--from").get_vocab()
    found = give_vocabulary(model, tokenizer, kept=kept, pretrained=pretrained, seed=seed)
    if kept:
        shared = len(kept.keys() & tokenizer.get_vocab().keys())
        say(f"{shared} of {len(tokenizer)} tokens keep the vectors that {job.origin} has for them")
    if pretrained is not None:
        say(f"{found} of {len(tokenizer)} tokens start from pretrained embeddings")
    return model


def _made_from(
    job: PretrainingJob, prepared: Prepared, settings: PretrainSettings, model: PreTrainedModel
) -> dict[str, str]:
    """All that a resumed training must share with the one that was interrupted: contents by hash, options by value."""
    texts = [(sha256_of_texts(lines.texts), file.share) for lines, file in zip(prepared.files, job.texts, strict=True)]
    contents = {
        "texts": repr(texts),
        "cleaning of texts": cleaning_sha256(),
        "vocabulary": prepared.tokenizer.backend_tokenizer.to_str(),
        "shape": model.config.to_json_string(),
    }
    options = {name: value for name, value in asdict(settings).items() if name not in ("steps", "minutes")}
    options |= {"max_tokens": job.max_tokens, "held_out": job.held_out, "from": job.origin}
    return {
        **{name: hashlib.sha256(content.encode()).hexdigest() for name, content in contents.items()},
        **{flag_of(name): str(value) for name, value in options.items()},
    }


def _write(
    job: PretrainingJob, prepared: Prepared, settings: PretrainSettings, model: PreTrainedModel, done: Pretrained
) -> None:
    """The encoder, its tokenizer and its record as a new folder. Raises OSError."""
    record = PretrainingRecord(
        training=Training(
            command=job.command,
            seed=settings.seed,
            versions=library_versions("torch", "transformers", "tokenizers", "numpy"),
            data=tuple(
                DataFile(role="pretraining", name=lines.source.name, rows=len(lines), sha256=lines.sha256)
                for lines in prepared.files
            ),
        ),
        steps=done.progress.step,
        tokens=done.progress.tokens,
        elapsed_seconds=round(done.progress.elapsed_seconds, 1),
        held_out_loss=done.held_out_loss,
        held_out_accuracy=done.held_out_accuracy,
        held_out_pieces=prepared.held_out_pieces,
    )
    with new_folder(job.output) as folder:
        model.save_pretrained(folder)
        prepared.tokenizer.save_pretrained(folder)
        (folder / RECORD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
