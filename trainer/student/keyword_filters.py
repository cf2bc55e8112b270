"""Convolutions that begin as detectors of the words that tell classes apart, for texts of words with spaces between.

A few thousand texts are too few for filters to find whole words by themselves: trained from random weights they lose
several points to a bag of words. So the words are found by counting, as a bag of words does, and each of the best gets
a filter that fires where it stands: the vectors of its characters side by side, and a bias that all of them together
just overcome. A word longer than the filter is known by its beginning, which also stands for its other forms. Wide
filters are there for two neighbours, too, of words and of the ends of a text: where words are syllables, few say much
by themselves. The token that a text may begin and end with is a space to words, so that they find the first one too.
Such filters stay as they are in training; what they say of the classes is learnt (last_layer.py where there is nothing
else to learn). Where there are fewer words than filters, those that are left over are silent.

The measure of a word is the G statistic of its presence against the classes (information.py), halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kuaixun.export.student.textcnn import NgramScores, TextCNN
from kuaixun.export.text.vocabulary import CLS, SPECIALS, UNK
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.student.information import information

SPACE = " "
# In texts and patterns, the token that a text may begin and end with: no cleaned text holds a line's end.
END = "\n"
LEAST_TEXTS = 2
# What is narrower has room for most single words, and neighbours would take their place.
LEAST_WIDTH_OF_NEIGHBOURS = 12
# How loud a filter that fires is: the classifier over it then learns in a tenth of the steps.
GAIN = 10.0
# The space after a word counts a quarter: a word at the end of a text, and one with another ending, are three quarters
# as loud. With one letter more or less than that in common, no filter fires.
ENDING = 0.25


def detect_keywords(module: TextCNN, characters: Sequence[str], texts: Sequence[str], labels: LabelledTexts) -> int:
    """Write detectors into the widest convolution of `module`, in place, and keep embedding and convolutions from
    training; returns how many words there are. Of the filters of that width the others say nothing of any text.

    `texts` are cleaned, row by row those of `labels`, with END where a token begins or ends them; `characters` those of
    the vocabulary, in order.
    """
    convolution = cast(nn.Conv1d, module.convolutions[-1])
    bias = cast(Tensor, convolution.bias)  # (filters,)
    filters, _, width = convolution.weight.shape
    rows = {character: row for row, character in enumerate(characters, start=len(SPECIALS))}
    own = {**rows, END: CLS}
    patterns = [one for one in telling_patterns(texts, labels, width) if all(c in own for c in one)][:filters]
    with torch.no_grad():
        # Random ones would say little of words, and that little would ship.
        for parameter in (convolution.weight[len(patterns) :], bias[len(patterns) :]):
            parameter.zero_()
        module.linear.weight[:, module.linear.in_features - filters + len(patterns) :] = 0.0
        vectors_of = module.embedding.weight.clone()  # (characters, size)
        if SPACE in rows:
            # A space, and what is its own beside that: so words end at it as at a space, and patterns may ask for it.
            space = vectors_of[rows[SPACE]]
            vectors_of[CLS] -= (vectors_of[CLS] @ space) / space.square().sum() * space
            module.embedding.weight[CLS] = space + vectors_of[CLS]
        for number, pattern in enumerate(patterns):
            vectors = vectors_of[[own[character] for character in pattern]]  # (characters, size)
            weights = GAIN * vectors / vectors.square().sum(dim=1, keepdim=True)  # (characters, size)
            certain = len(pattern.rstrip(SPACE))
            weights[certain:] *= ENDING
            convolution.weight[number] = 0.0
            convolution.weight[number, :, : len(pattern)] = weights.T
            # What a rare word says by chance of the first weights, its few texts would never unlearn.
            module.linear.weight[:, -filters + number] = 0.0
            least = certain - 1.0 if certain == len(pattern) else certain - 1.0 + ENDING
            bias[number] = -GAIN * least
    for parameter in (*module.embedding.parameters(), *module.convolutions.parameters()):
        parameter.requires_grad_(False)
    return len(patterns)


def detecting_filters(module: TextCNN) -> int:
    """How many filters of the last layer's, from the first, may say something: what comes after them is silent."""
    convolution = cast(nn.Conv1d, module.convolutions[-1])
    loud = convolution.weight.flatten(1).any(dim=1) | cast(Tensor, convolution.bias).ne(0)  # (filters,)
    before = module.linear.in_features - len(loud)
    places = loud.nonzero()  # (loud, 1)
    return before + (int(places.max()) + 1 if len(places) else 0)


def score_classes(ngrams: NgramScores) -> None:
    """Make the rows of the table, whose size is the number of classes, class scores themselves, in place: zeros."""
    with torch.no_grad():
        ngrams.table.zero_()
        nn.init.eye_(ngrams.linear.weight)
    ngrams.linear.requires_grad_(False)


def tell_apart(embedding: nn.Embedding) -> None:
    """Make the characters' vectors orthogonal, in place: as many as their size are, and no letter looks like another,
    nor like what a text may begin with.

    An unknown one looks like nothing. Of more characters, the vectors are as nearly so as they can be on average.
    """
    with torch.no_grad():
        embedding.weight[UNK] = 0.0
        nn.init.orthogonal_(embedding.weight[CLS:])


def telling_patterns(texts: Sequence[str], labels: LabelledTexts, width: int) -> list[str]:
    """Words with the space before them and, where it fits, the one after, cut to `width`; from widths of 12 on also two
    neighbours that fit whole, of words and ends. The most telling first.

    >>> sorted(_patterns_of("a red car", 4))
    [' a ', ' car', ' red']
    >>> sorted(_patterns_of("a red carriage\\n", 12) - _patterns_of("a red carriage", 11))
    [' a red ', ' carriage\\n']
    """
    numbers: dict[str, int] = {}
    pairs = [
        (numbers.setdefault(pattern, len(numbers)), label_id)
        for text, label_id in zip(texts, labels.label_ids.tolist(), strict=True)
        for pattern in _patterns_of(text, width)
    ]
    counts = np.zeros((len(numbers), len(labels.labels)))  # (patterns, classes) texts with the word
    np.add.at(counts, tuple(np.array(pairs, dtype=np.int64).reshape(-1, 2).T), 1)
    shares = np.bincount(labels.label_ids, minlength=len(labels.labels)) / len(labels)  # (classes,)
    texts_with = counts.sum(axis=1)  # (patterns,)
    scores = texts_with * information(torch.from_numpy(counts), torch.from_numpy(shares)).numpy()
    scores[texts_with < LEAST_TEXTS] = -1.0
    names = list(numbers)
    return [names[place] for place in np.argsort(-scores, kind="stable").tolist() if scores[place] >= 0]


def _patterns_of(text: str, width: int) -> set[str]:
    words = [word for word in text.strip(END).split(SPACE) if word]
    patterns = {f" {word} "[:width] for word in words}
    if width < LEAST_WIDTH_OF_NEIGHBOURS or not words:
        return patterns
    neighbours = [f" {word} {following} " for word, following in pairwise(words)]
    neighbours += [f"{END}{words[0]} "] if text.startswith(END) else []
    neighbours += [f" {words[-1]}{END}"] if text.endswith(END) else []
    return patterns | {one for one in neighbours if len(one) <= width}
