"""`kuaixun-export inspect` and `verify`: a bundle and its engines as tables for a terminal.

What a manifest's maker wrote is shown as it stands, rich's markup and all, but for what would steer the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from kuaixun.export.whole_tables import quoted
from kuaixun.schemas.manifest import Manifest


def manifest_tables(manifest: Manifest) -> list[Table]:
    """What a bundle says of itself."""
    architecture = manifest.architecture
    about = Table.grid(padding=(0, 2))
    about.add_row("model id", quoted(manifest.model_id))
    about.add_row("created", quoted(manifest.created_at))
    about.add_row("labels", quoted(", ".join(manifest.labels)))
    about.add_row(
        "student",
        f"{architecture.vocabulary_size} characters × {architecture.embedding_size}, "
        f"{architecture.filters} filters of each width {', '.join(map(str, architecture.widths))}",
    )
    if architecture.ngrams:
        orders = ", ".join(map(str, architecture.ngrams.orders))
        about.add_row("n-grams", f"orders {orders} in 2^{architecture.ngrams.bucket_bits} buckets")
    about.add_row("reads", manifest.text.read)
    about.add_row("temperature", f"{manifest.temperature:.4g}")
    about.add_row("precision", f"{manifest.precision.default} by default, natively")
    about.add_row("made by", quoted(manifest.training.command))
    figures = Table(title="figures", title_justify="left")
    figures.add_column("rows")
    figures.add_column("figure")
    figures.add_column("value", justify="right")
    for role, values in manifest.metrics.items():
        for name, value in values.items():
            figures.add_row(quoted(role), quoted(name), f"{value:.4f}")
    costs = Table(title="precision, against fp32 on the dev rows", title_justify="left")
    costs.add_column("tables")
    for column in ("accuracy", "same label", "largest logit difference"):
        costs.add_column(column, justify="right")
    for precision, cost in manifest.precision.costs.by_name().items():
        costs.add_row(
            precision,
            f"{100 * cost.accuracy_difference:+.2f} points",
            f"{100 * cost.label_agreement:.2f} %",
            f"{cost.largest_logit_difference:.2g}",
        )
    files = Table(title="files", title_justify="left")
    files.add_column("file")
    files.add_column("bytes", justify="right")
    files.add_column("SHA-256")
    for name, entry in manifest.files.items():
        files.add_row(quoted(name), f"{entry.size_bytes:,}", f"{entry.sha256[:16]}…")
    total = sum(entry.size_bytes for entry in manifest.files.values())
    files.add_row("all", f"{total:,}", "")
    return [about, figures, costs, files]


def verification_table(differences: Mapping[str, float], remarks: Mapping[str, str], cases: int) -> Table:
    """Each engine's largest logit difference over the golden cases; a remark where there is none to tell."""
    table = Table(title=f"{cases} golden cases", title_justify="left")
    table.add_column("engine")
    table.add_column("largest logit difference", justify="right")
    for engine, difference in differences.items():
        table.add_row(engine, f"{difference:.2g}")
    for name, remark in remarks.items():
        table.add_row(quoted(name), quoted(remark))
    return table
