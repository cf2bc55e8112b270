"""The model card: what a person should know before trusting the labels, written from the manifest."""

from __future__ import annotations

from kuaixun.export.further.outputs import FURTHER_OUTPUTS
from kuaixun.schemas.manifest import Manifest

_CARD = """\
# Model card

A TextCNN over characters that sorts short texts into {classes} classes: {labels}.

- Shape: {characters} characters × {size}, {filters} filters of each width {widths}{ngrams}. At most {tokens}
  characters of a text are read.
- Size: {megabytes:.1f} MB, weights in int8 and half precision, once as TorchScript and once for other engines. Whoever
  loads `student.pt` alone calls `.float()` on it first.
- Confidences are calibrated with temperature {temperature:.4g}, fitted on the dev rows.
- Made: {created_at}.
{further}{origin}
## Figures

Of the weights in this bundle, served in fp32.

| rows | figure | value |
|---|---|---|
{figures}

## Precision

The native engine holds its tables in {precision} unless told otherwise. Against fp32, on the dev rows:

| tables | accuracy | same label | largest logit difference |
|---|---|---|---|
{costs}

## How it was made

```
{command}
```

Seed {seed}; {versions}.

| data | file | rows | SHA-256 |
|---|---|---|---|
{data}

## Limits

It knows the classes above and nothing else: a text of another kind gets one of them all the same, often with a low
confidence, which is what the worker's abstention threshold is for. Texts unlike the training rows in register, script
or language were not measured. A label is the model's guess, not a fact about the news.
"""


_ORIGIN = "- Origin: "


def origin_of(card: str) -> str:
    """What a card says of where the data comes from; nothing where it says nothing."""
    return next((line.removeprefix(_ORIGIN) for line in card.splitlines() if line.startswith(_ORIGIN)), "")


def model_card(manifest: Manifest, origin: str) -> str:
    """The card as Markdown. Every figure in it stands in the manifest too; `origin` says where the data comes from."""
    architecture, training, ngrams = manifest.architecture, manifest.training, manifest.architecture.ngrams
    further = {output.file for output in FURTHER_OUTPUTS.values()}
    return _CARD.format(
        classes=len(manifest.labels),
        labels=", ".join(manifest.labels),
        characters=architecture.vocabulary_size,
        size=architecture.embedding_size,
        filters=architecture.filters,
        widths=", ".join(map(str, architecture.widths)),
        ngrams=f"; hashed {' and '.join(f'{order}-grams' for order in ngrams.orders)} in 2^{ngrams.bucket_bits} buckets"
        if ngrams
        else "",
        tokens=manifest.text.characters,
        megabytes=sum(entry.size_bytes for name, entry in manifest.files.items() if name not in further) / 1e6,
        temperature=manifest.temperature,
        created_at=manifest.created_at,
        further="".join(
            f"- Beside that, in single precision for other runtimes: `{name}`, {entry.size_bytes / 1e6:.1f} MB.\n"
            for name, entry in manifest.files.items()
            if name in further
        ),
        origin=f"{_ORIGIN}{origin}\n" if origin else "",
        figures="\n".join(
            f"| {role} | {name} | {value:.4f} |"
            for role, figures in manifest.metrics.items()
            for name, value in figures.items()
        ),
        precision=manifest.precision.default,
        costs="\n".join(
            f"| {name} | {100 * cost.accuracy_difference:+.2f} points | {100 * cost.label_agreement:.2f} % "
            f"| {cost.largest_logit_difference:.2g} |"
            for name, cost in manifest.precision.costs.by_name().items()
        ),
        command=training.command,
        seed=training.seed,
        versions=", ".join(f"{name} {version}" for name, version in training.versions.items()),
        data="\n".join(f"| {data.role} | {data.name} | {data.rows} | `{data.sha256}` |" for data in training.data),
    )
