# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Configs and weights by the name of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class IndexedModel:
    """An entry of the model index.

    Args:
        name: Of the model.
        config: Its config file.
        weights: Its checkpoint, or None where there is none.
    """

    name: str
    config: Path
    weights: Path | None = None


def index_root() -> Path:
    """Folder of ``model-index.yml``: of a clone, or of an installed wheel.

    Raises:
        FileNotFoundError: Neither is there.
    """
    for folder in (_PACKAGE.parent, _PACKAGE / '.mim'):
        if (folder / 'model-index.yml').is_file():
            return folder
    raise FileNotFoundError(
        f'{_PACKAGE}: expected model-index.yml beside the package or in its '
        '.mim folder, found neither; install again, or give a config file')


def indexed_models() -> dict[str, IndexedModel]:
    """All models of the index, by name."""
    root = index_root()
    index = yaml.safe_load((root / 'model-index.yml').read_text())
    found = {}
    for metafile in index['Import']:
        content = yaml.safe_load((root / metafile).read_text())
        for entry in content['Models']:
            weights = entry.get('Weights')
            found[entry['Name']] = IndexedModel(
                entry['Name'], root / entry['Config'],
                None if weights is None else root / weights)
    return found


def find_model(name: str) -> IndexedModel:
    """A model by its name.

    Raises:
        ValueError: No model of that name; the message has similar ones.
    """
    models = indexed_models()
    if name not in models:
        from difflib import get_close_matches
        near = get_close_matches(name, models, 3, 0.5) or sorted(models)[:3]
        raise ValueError(f"model '{name}': expected a config file or a name "
                         f'of the model index such as {", ".join(near)}')
    return models[name]
