"""How the student's parameters are moved: AdamW, and a sparse Adam for the n-gram table.

A batch touches a few thousand of the table's 2^17 rows. Dense gradients would zero and move all of it in every step,
a third of a step's time on a processor; the sparse optimiser visits the rows that were touched.
"""

from __future__ import annotations

from torch.optim import SparseAdam
from torch.optim.adamw import AdamW
from torch.optim.optimizer import Optimizer

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.trainer.fitting.settings import FitSettings


def build_optimizers(module: TextCNN, settings: FitSettings) -> tuple[Optimizer, ...]:
    """Optimizers that together hold every parameter once; the n-gram table's gradients become sparse."""
    dense = [parameter for name, parameter in module.named_parameters() if name != "ngrams.table"]
    optimizers: list[Optimizer] = [
        AdamW(dense, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    ]
    if module.ngrams is not None:
        module.ngrams.sparse_gradients = True
        optimizers.append(SparseAdam([module.ngrams.table], lr=settings.ngram_learning_rate))
    return tuple(optimizers)
