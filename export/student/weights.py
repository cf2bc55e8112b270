"""The student's numbers as they are deployed: what every engine computes from, whatever form it brings them to.

Deploying folds the n-gram branch to class scores and rounds once: these scores and the embedding to int8, with a scale
for each class and for each character, all else to half precision. From there on all engines hold the same numbers, and
differ by the order of their additions and by the precision that they compute in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from kuaixun.export.student.int8_rows import BIAS_LIMIT_STEPS, widest_scales
from kuaixun.export.student.safetensors_header import check_header
from kuaixun.export.student.scaled_int8 import ScaledInt8
from kuaixun.export.student.table_rows import table_rows
from kuaixun.schemas.manifest import Architecture


@dataclass(frozen=True, slots=True, eq=False)
class NgramWeights:
    """The folded n-gram branch: `scores` (buckets, classes), scaled by class, and `owners` (buckets,) int16."""

    scores: ScaledInt8
    owners: NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class StudentWeights:
    """Two tables in int8, and float32 arrays whose values are all exact in float16, but for the convolutions' scales.

    embedding (vocabulary, size), scaled by character, its row 0 (PAD) zero; per width, a convolution (filters, size,
    width), its bias (filters,) and the scales that its folded rows have in int8 (filters,); linear (classes, widths *
    filters) and its bias (classes,).
    """

    embedding: ScaledInt8
    convolutions: tuple[NDArray[np.float32], ...]
    convolution_biases: tuple[NDArray[np.float32], ...]
    convolution_scales: tuple[NDArray[np.float32], ...]
    linear: NDArray[np.float32]
    linear_bias: NDArray[np.float32]
    ngrams: NgramWeights | None

    @classmethod
    def from_trained(cls, state: Mapping[str, NDArray[Any]], architecture: Architecture) -> StudentWeights:
        """Round and fold a trained TextCNN's state, keyed as its `state_dict`. Raises KeyError or ValueError.

        A convolution without `convolutions.N.scales` gets the widest, at which int8 cuts nothing off.
        """
        tensors = {"linear": state["linear.weight"], "linear_bias": state["linear.bias"]}
        for index, width in enumerate(architecture.widths):
            tensors[f"convolution_{width}"] = state[f"convolutions.{index}.weight"]
            tensors[f"convolution_{width}_bias"] = state[f"convolutions.{index}.bias"]
        with np.errstate(over="ignore"):  # what overflows is found, and named, by the check for finite numbers
            deployed: dict[str, NDArray[Any]] = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
        embedding = ScaledInt8.rounded(state["embedding.weight"], axis=1)
        deployed |= _table("embedding", embedding)
        if architecture.ngrams:
            scores = state["ngrams.table"][:-1] @ state["ngrams.linear.weight"].T  # (buckets, classes)
            deployed |= _table("ngram", ScaledInt8.rounded(scores, axis=0))
            deployed["ngram_owners"] = state["ngrams.owners"]
        for index, width in enumerate(architecture.widths):
            name = f"convolution_{width}"
            scales = state.get(f"convolutions.{index}.scales")
            if scales is None:
                rows = table_rows(embedding.numbers, deployed[name])
                scales = widest_scales(rows, deployed[f"{name}_bias"].astype(np.float32))
            deployed[f"{name}_scales"] = scales
        return cls._from_tensors(deployed, architecture, classes=len(state["linear.bias"]))

    def to_safetensors(self, architecture: Architecture) -> bytes:
        """The file `weights.safetensors`, by the names and in the types that `from_safetensors` reads."""
        tensors = {"linear": self.linear, "linear_bias": self.linear_bias}
        for width, weight, bias in zip(architecture.widths, self.convolutions, self.convolution_biases, strict=True):
            tensors[f"convolution_{width}"] = weight
            tensors[f"convolution_{width}_bias"] = bias
        files: dict[str, NDArray[Any]] = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
        for width, scales in zip(architecture.widths, self.convolution_scales, strict=True):
            files[f"convolution_{width}_scales"] = scales
        files |= _table("embedding", self.embedding)
        if self.ngrams is not None:
            files |= _table("ngram", self.ngrams.scores)
            files["ngram_owners"] = self.ngrams.owners
        return safetensors.numpy.save({name: np.ascontiguousarray(tensor) for name, tensor in files.items()})

    @classmethod
    def from_safetensors(cls, content: bytes, architecture: Architecture, classes: int) -> StudentWeights:
        """Read what `to_safetensors` wrote. Raises ValueError for a file, a shape or a number that does not fit."""
        check_header(content)
        try:
            tensors = safetensors.numpy.load(content)
        except safetensors.SafetensorError as error:
            raise ValueError(f"not a safetensors file: {error}") from error
        return cls._from_tensors(tensors, architecture, classes)

    @classmethod
    def _from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], architecture: Architecture, classes: int
    ) -> StudentWeights:
        """Check every shape and number against the architecture."""
        size, filters, widths = architecture.embedding_size, architecture.filters, architecture.widths
        shapes: dict[str, tuple[int, ...]] = {
            "embedding_steps": (architecture.vocabulary_size, size),
            "embedding_scales": (architecture.vocabulary_size, 1),
            "linear": (classes, len(widths) * filters),
            "linear_bias": (classes,),
        }
        for width in widths:
            shapes[f"convolution_{width}"] = (filters, size, width)
            shapes[f"convolution_{width}_bias"] = shapes[f"convolution_{width}_scales"] = (filters,)
        if architecture.ngrams:
            buckets = 1 << architecture.ngrams.bucket_bits
            shapes |= {"ngram_steps": (buckets, classes), "ngram_scales": (1, classes), "ngram_owners": (buckets,)}
        if tensors.keys() != shapes.keys():
            raise ValueError(f"the tensors are {sorted(tensors)}, the architecture wants {sorted(shapes)}")
        checked: dict[str, NDArray[Any]] = {}
        for name, shape in shapes.items():
            tensor = tensors[name]
            kind = _kind(name)
            if tensor.shape != shape or tensor.dtype != kind:
                raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, the architecture wants {kind} {shape}")
            if not np.isfinite(tensor).all():
                raise ValueError(f"{name} holds numbers that are not finite")
            if name.endswith("_scales") and (tensor <= 0).any():
                raise ValueError(f"{name} holds what is no positive number")
            checked[name] = tensor.astype(np.float32) if kind.kind == "f" else tensor
        for width in widths:
            _check_scales(f"convolution_{width}", checked)
        if checked["embedding_steps"][0].any():
            raise ValueError("the embedding of PAD is not zero")
        return cls(
            embedding=ScaledInt8(checked["embedding_steps"], checked["embedding_scales"]),
            convolutions=tuple(checked[f"convolution_{width}"] for width in widths),
            convolution_biases=tuple(checked[f"convolution_{width}_bias"] for width in widths),
            convolution_scales=tuple(checked[f"convolution_{width}_scales"] for width in widths),
            linear=checked["linear"],
            linear_bias=checked["linear_bias"],
            ngrams=NgramWeights(ScaledInt8(checked["ngram_steps"], checked["ngram_scales"]), checked["ngram_owners"])
            if architecture.ngrams
            else None,
        )


def _table(name: str, table: ScaledInt8) -> dict[str, NDArray[Any]]:
    """The two tensors of a table in the file."""
    return {f"{name}_steps": table.steps, f"{name}_scales": table.scales.astype(np.float16)}


def _kind(name: str) -> np.dtype[Any]:
    """The type that a tensor has in the file."""
    if name.endswith("_steps"):
        return np.dtype(np.int8)
    if name == "ngram_owners":
        return np.dtype(np.int16)
    # Scales of what is folded later are no product of half precision, and rounding them would undo their choice.
    return np.dtype(np.float32 if name.startswith("convolution") and name.endswith("_scales") else np.float16)


def _check_scales(name: str, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for scales that int8 rows cannot have."""
    scales = tensors[f"{name}_scales"]  # (filters,)
    # Of a smaller one the inverse, which rows are multiplied by, is no finite number.
    if (scales < np.finfo(np.float32).tiny).any():
        raise ValueError(f"{name}_scales holds what is no positive number")
    if (np.abs(tensors[f"{name}_bias"].astype(np.float64)) > BIAS_LIMIT_STEPS * scales.astype(np.float64)).any():
        raise ValueError(f"{name}_scales holds a scale that is too fine for the filter's bias")
