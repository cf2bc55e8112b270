"""`kuaixun-trainer pretrain`: texts to an encoder that knows their language, as a Hugging Face folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, path_of
from kuaixun.trainer.commands.options import add_device, add_embeddings, add_texts, add_threads, choose_device
from kuaixun.trainer.commands.progress import plain_lines, watching
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.values import whole_number
from kuaixun.trainer.encoder.masked_language import EncoderShape
from kuaixun.trainer.encoder.pretraining_settings import PretrainSettings
from kuaixun.trainer.encoder.pretraining_state import state_file
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.output_folder import refuse_unwritable

if TYPE_CHECKING:
    from kuaixun.trainer.encoder.pretraining_job import PretrainingJob

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SHAPE = EncoderShape()
SETTINGS = PretrainSettings(steps=1)
BATCH_TOKENS = {"cpu": 4096, "cuda": 65_536}


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "pretrain",
        help="pre-train an encoder on texts without labels",
        description="Pre-train a BERT by masked characters, from nothing or from a checkpoint. Runs on one device.",
    )
    add_texts(parser, "met in each pass")
    parser.add_argument("--output", type=path_of, required=True, metavar="DIR", help="new folder for the encoder")
    parser.add_argument("--cache", type=path_of, metavar="DIR", help="keep tokenised texts here, for the next run")
    parser.add_argument("--prepare-only", action="store_true", help="fill the cache and end")
    parser.add_argument("--resume", action="store_true", help="go on where the training of this output was interrupted")
    _add_model(parser.add_argument_group("the encoder"))
    _add_training(parser.add_argument_group("the training"))
    parser.set_defaults(run=run, expect=expect)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Prepare the texts, train, write the folder. Raises TrainerError."""
    from kuaixun.trainer.encoder.pretraining_job import prepare, train

    say = plain_lines(console)
    expect(options)
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    job = _job(options, recorded_command(arguments, options, files=["--texts"], models=["--from"]))
    settings = _settings(options, device)
    refuse_unwritable(options.output)
    prepared = prepare(job, settings.seed, say)
    if options.prepare_only:
        return 0
    say(f"training on {device}, {settings.batch_tokens} tokens a step")
    with watching(console) as watcher:
        done = train(job, prepared, settings, device, watcher, resume=options.resume, say=say)
    progress = done.progress
    say(f"{progress.step} steps, {progress.tokens} tokens in {progress.elapsed_seconds:.0f} s of training")
    if done.interrupted:
        say(
            "interrupted: the state is kept; the same command with --resume goes on from it"
            if state_file(options.output).exists()
            else "interrupted before any state was kept"
        )
        return INTERRUPTED_EXIT_CODE
    if done.held_out_loss is not None:
        say(f"held-out: masked loss {done.held_out_loss:.4f}, {done.held_out_accuracy:.4f} guessed right")
    say(f"encoder: {options.output}")
    return 0


def expect(options: argparse.Namespace) -> None:
    """Raise SettingError for what no training would take, before any file is read."""
    if options.prepare_only and options.cache is None:
        raise SettingError("--prepare-only fills a cache; name its folder with --cache")
    _job(options, command="")
    _settings(options, choose_device(options.device))


def _job(options: argparse.Namespace, command: str) -> PretrainingJob:
    from kuaixun.trainer.encoder.pretraining_job import PretrainingJob

    return PretrainingJob(
        texts=tuple(options.texts),
        output=options.output,
        text_column=options.text_column,
        cache=options.cache,
        origin=options.origin,
        shape=EncoderShape(options.layers, options.hidden, options.heads, options.intermediate),
        vocabulary=options.vocabulary,
        vocabulary_size=options.vocabulary_size,
        minimum_frequency=options.minimum_frequency,
        new_vocabulary=options.new_vocabulary,
        embeddings=options.embeddings,
        embedding_vocabulary=options.embedding_vocabulary,
        max_tokens=options.max_tokens,
        held_out=options.held_out,
        compiled=options.compile,
        command=command,
    )


def _settings(options: argparse.Namespace, device: torch.device) -> PretrainSettings:
    return PretrainSettings(
        steps=options.steps,
        minutes=options.minutes,
        batch_tokens=options.batch_tokens or BATCH_TOKENS[device.type],
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        warm_up=options.warm_up,
        hidden_share=options.hidden_share,
        gradient_norm=options.gradient_norm,
        evaluate_every_steps=options.evaluate_every_steps,
        save_every_steps=options.save_every_steps,
        seed=options.seed,
        mixed_precision=options.mixed_precision or device.type == "cuda",
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    def number(flag: str, default: int, lowest: int, says: str) -> None:
        kind = whole_number(lowest, 1 << 20)
        group.add_argument(flag, type=kind, default=default, metavar="N", help=f"{says} (default: {default})")

    group.add_argument(
        "--from", dest="origin", metavar="DIR", help="begin with this Hugging Face folder, or name of the hub"
    )
    number("--layers", SHAPE.layers, 1, "layers of a new encoder")
    number("--hidden", SHAPE.hidden, 1, "its width")
    number("--heads", SHAPE.heads, 1, "its attention heads")
    number("--intermediate", SHAPE.intermediate, 1, "the width between its layers")
    number("--max-tokens", 64, 8, "tokens of a piece of text; longer lines are cut at the ends of sentences")
    group.add_argument("--vocabulary", type=path_of, metavar="FILE", help="vocab.txt to use; else characters counted")
    number("--vocabulary-size", 8000, 6, "characters counted at most, five specials included")
    number("--minimum-frequency", 10, 1, "rarer characters are unknown ones")
    group.add_argument(
        "--new-vocabulary", action="store_true", help="with --from: a vocabulary of the texts' characters in its place"
    )
    add_embeddings(group)


def _add_training(group: argparse._ArgumentGroup) -> None:
    def number(flag: str, kind: Any, says: str, default: Any = None) -> None:
        default = getattr(SETTINGS, flag.removeprefix("--").replace("-", "_")) if default is None else default
        group.add_argument(flag, type=kind, default=default, metavar="N", help=f"{says} (default: {default})")

    group.add_argument("--steps", type=whole_number(0), metavar="N", help="end after so many steps")
    group.add_argument("--minutes", type=float, metavar="N", help="or after so many minutes of training")
    group.add_argument(
        "--batch-tokens",
        type=whole_number(8),
        metavar="N",
        help="tokens in a step (default: "
        + ", ".join(f"{size} on {device}" for device, size in BATCH_TOKENS.items())
        + ")",
    )
    number("--learning-rate", float, "of AdamW, at its highest")
    number("--weight-decay", float, "of AdamW; biases and LayerNorm do not decay")
    number("--warm-up", float, "share of the training in which the learning rate rises")
    number("--hidden-share", float, "share of the characters to guess")
    number("--gradient-norm", float, "longer gradients are cut to this length")
    number(
        "--held-out",
        whole_number(0),
        "pieces of text to measure on, apart from the others, a tenth of each file at most",
        2000,
    )
    number("--evaluate-every-steps", whole_number(1), "steps between looks at the held-out pieces")
    number("--save-every-steps", whole_number(1), "steps between states kept for --resume")
    number("--seed", whole_number(0, (1 << 31) - 1), "of every random choice")
    group.add_argument("--mixed-precision", action="store_true", help="compute in bfloat16; always so on a GPU")
    group.add_argument("--compile", action="store_true", help="compile the model: a minute, then faster on a GPU")
    add_device(group)
    add_threads(group)
