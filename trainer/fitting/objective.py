"""What the student is fitted to: its labels, its teachers, or both.

    alpha · T² · KL(teacher_T ‖ student_T) + (1 − alpha) · CE(label, student)

Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, section 2. teacher_T and student_T are the
softmax of logits / T.

**Direction.** The divergence is Σ teacher · (log teacher − log student): the student is drawn wherever the teacher
sees something. Its gradient is that of a cross-entropy against the teacher's probabilities. torch computes it by
`kl_div(log student, teacher)`, and a formula that follows the order of these arguments reads KL(student_T ‖ teacher_T);
it means the same number.

**T².** The gradient of the divergence shrinks with 1 / T²; the factor keeps alpha's meaning at every temperature.

**Reduction.** Summed over classes, mean over the rows that a teacher scored ("batchmean"): that is the divergence
itself, and each row weighs as in the cross-entropy's mean. A mean over classes as well ("mean") would divide the
teacher's part by the number of classes: the same alpha would mean less of the teacher with more of them.

Label smoothing acts in the cross-entropy alone: the teacher's probabilities are as smooth as it is unsure.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

UNLABELLED = -100  # what torch's cross-entropy leaves out


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Texts of one step: `ids` (batch, tokens), and what is to be said of them.

    `label_ids` (batch,) holds UNLABELLED for transfer rows and is None where no row has a label; `teacher` (batch,
    classes) are tempered probabilities, zeros in rows that no teacher scored, None without a teacher. A batch has one
    of the two at least.
    """

    ids: Tensor
    label_ids: Tensor | None
    teacher: Tensor | None


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of logits; `temperature` must be the one that the batches' teacher probabilities are tempered by."""

    alpha: float
    temperature: float
    label_smoothing: float

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The batch's mean loss for logits (batch, classes).

        Each of the two parts is the mean over the rows that it concerns: the cross-entropy over those with a label,
        the divergence over those that a teacher scored. So alpha weighs the same with a transfer set as without.
        """
        logits = logits.float()
        if batch.teacher is None:
            return self._label_loss(logits, batch.label_ids)
        student = F.log_softmax(logits / self.temperature, dim=1)  # (batch, classes)
        scored = (batch.teacher.sum(dim=1) > 0).sum().clamp(min=1)
        divergence = F.kl_div(student, batch.teacher, reduction="sum") / scored
        taught = self.alpha * self.temperature**2 * divergence
        if batch.label_ids is None:
            return taught
        return taught + (1 - self.alpha) * self._label_loss(logits, batch.label_ids)

    def hears_labels(self, batch: Batch) -> bool:
        """Whether labels have a part in the loss of such a batch."""
        has_labels = batch.label_ids is not None and bool((batch.label_ids != UNLABELLED).any())
        return has_labels and (batch.teacher is None or self.alpha < 1)

    def _label_loss(self, logits: Tensor, label_ids: Tensor | None) -> Tensor:
        if label_ids is None:
            raise ValueError("a batch without labels and without a teacher has nothing to teach")
        return F.cross_entropy(logits, label_ids, ignore_index=UNLABELLED, label_smoothing=self.label_smoothing)
