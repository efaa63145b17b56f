# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""An interactive page of a map: a folder that needs no server, no network."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from html import escape
from importlib.metadata import files as distribution_files
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from mmskysense.raster.inputs import InputImage
from mmskysense.utils import require

from .frame import PageFrame, frame_of
from .pictures import (
    NODATA,
    as_data_url,
    classes_of,
    picture_of_image,
    values_of,
)

_HERE = Path(__file__).parent
_GENERATOR = 'content="mmskysense map page"'
# Perceptually ordered, dark to bright; ours, in the manner of matplotlib's.
_UNCERTAINTY = ((12, 8, 38), (92, 26, 110), (190, 55, 84), (244, 125, 21),
                (252, 240, 165))
_PROBABILITY = ((68, 14, 86), (58, 82, 139), (32, 144, 141), (94, 201, 98),
                (250, 230, 40))


def save_map_page(folder: str | os.PathLike,
                  map_path: str | os.PathLike,
                  images: Sequence[InputImage] = (),
                  uncertainty: str | os.PathLike | None = None,
                  probabilities: str | os.PathLike | None = None,
                  shares: Sequence[float] | None = None,
                  max_side: int = 2048) -> Path:
    """Write a page that shows inputs, map and uncertainty over each other.

    Every layer has an opacity slider; the page has a legend, a scale bar,
    and names position, class and values under the pointer. Leaflet is copied
    out of an installed package. Large rasters are shown coarser, and the
    page says by how much.

    Args:
        folder: To write; an earlier page there is replaced, another folder
            must be empty. ``index.html`` in it is what to open.
        map_path: A map that :class:`MapWriter` wrote.
        images: What was mapped, one layer each.
        uncertainty: Raster of one band on the map's grid.
        probabilities: Raster with a band for each class.
        shares: Share (0 to 1) of each class; None counts the page's pixels.
        max_side: Longest side of the pictures in pixels.

    Returns:
        Path of ``index.html``.

    Raises:
        ImportError: The package with Leaflet is missing.
        FileExistsError: The folder holds something else.
        OSError: It cannot be written; nothing is left then.
    """
    require('js_lib_leaflet', 'the interactive page')
    target = Path(folder)
    check_page_folder(target)
    with rasterio.open(map_path) as dataset:
        frame = frame_of(dataset, max_side)
        names, colours = _classes(dataset)
    classes = classes_of(os.fspath(map_path), frame)
    if shares is None:
        counts = np.bincount(classes[classes != NODATA],
                             minlength=len(names))
        shares = counts / max(counts.sum(), 1)
    layers, files = _image_layers(images, frame)
    layers.append(dict(
        id='classes', kind='classes', name='map', on=True,
        opacity=0.6 if images else 1.0,
        bands=[dict(values=as_data_url(classes))]))
    if probabilities is not None:
        layers.append(_value_layer('probability', 'probability',
                                   os.fspath(probabilities), frame,
                                   _PROBABILITY))
    if uncertainty is not None:
        layers.append(_value_layer('uncertainty', 'uncertainty',
                                   os.fspath(uncertainty), frame,
                                   _UNCERTAINTY))
    data = dict(frame=frame.as_dict(), layers=layers, classes=[
        dict(name=name, colour=list(colour), share=float(share))
        for name, colour, share in zip(names, colours, shares, strict=True)
    ])
    files['layers.js'] = ('window.pageData = ' + json.dumps(data)
                          + ';\n').encode()
    files['index.html'] = _html(Path(map_path).name, frame).encode()
    for name in ('page.css', 'page.js'):
        files[name] = (_HERE / name).read_bytes()
    files.update(_leaflet())
    _write(target, files)
    return target / 'index.html'


def check_page_folder(folder: str | os.PathLike) -> None:
    """Refuse a folder that could not become the page at the end.

    Raises:
        FileExistsError: It is a file, or holds something but a page.
        FileNotFoundError: The folder it would lie in does not exist.
    """
    target = Path(folder)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f'{target}: expected its folder {target.parent} to exist, found '
            'none; create it with mkdir -p')
    if not target.exists():
        return
    page = target / 'index.html'
    if not target.is_dir() or (any(target.iterdir()) and not (
            page.is_file() and _GENERATOR in page.read_text('utf-8',
                                                            'replace'))):
        raise FileExistsError(
            f'{target}: expected a new folder or an earlier page, found '
            f'{"other files in it" if target.is_dir() else "a file"}; name '
            'another one')


def _classes(dataset: Any) -> tuple[list[str], list[tuple[int, ...]]]:
    tags, table = dataset.tags(), dataset.colormap(1)
    count = int(tags['NUM_CLASSES'])
    return ([tags[f'CLASS_{index}'] for index in range(count)],
            [table[index][:3] for index in range(count)])


def _image_layers(images: Sequence[InputImage], frame: PageFrame
                  ) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Layers of the inputs, the first day visible, and their pictures."""
    layers, files = [], {}
    for number, image in enumerate(images):
        name = f'input-{number}.webp'
        files[name] = picture_of_image(image, frame)
        parts = [image.sensor or 'input',
                 str(image.date) if image.date else '']
        layers.append(dict(
            id=f'input-{number}', kind='image', file=name,
            on=number == 0 or (image.date is not None and (
                image.sensor, image.date) == (images[0].sensor,
                                              images[0].date)),
            opacity=1.0, name=' '.join(part for part in parts if part)))
    return layers, files


def _value_layer(key: str, name: str, path: str, frame: PageFrame,
                 stops: Sequence[Sequence[int]]) -> dict[str, Any]:
    """A layer of numbers; off at first, since it hides the map."""
    with rasterio.open(path) as dataset:
        count = dataset.count
    bands = []
    for band in range(1, count + 1):
        values, meaning = values_of(path, band, frame)
        bands.append(dict(meaning, values=as_data_url(values)))
    return dict(id=key, kind='values', name=name, on=False, opacity=0.8,
                stops=[list(stop) for stop in stops], bands=bands)


def _html(title: str, frame: PageFrame) -> str:
    height, width = frame.raster_shape
    note = f'{width} x {height} pixels'
    if frame.metres is not None:
        note += f' of {frame.metres:.3g} m'
    if frame.factor > 1:
        note += (f', shown {frame.factor:.3g} times coarser: one pixel here '
                 f'stands for {frame.factor:.3g} x {frame.factor:.3g} of the '
                 'map')
    else:
        note += ', shown at full resolution'
    if not frame.is_mercator:
        note += '; on its own grid'
    page = (_HERE / 'page.html').read_text('utf-8')
    return page.replace('@TITLE@', escape(title)).replace(
        '@NOTE@', escape(note + '.'))


def _leaflet() -> dict[str, bytes]:
    """Leaflet's script and style with their licence (BSD-2-Clause)."""
    found = {
        entry.name: Path(str(entry.locate())).read_bytes()
        for entry in distribution_files('django-js-lib-leaflet') or ()
        if entry.name in ('leaflet.js', 'leaflet.css', 'LICENSE')
    }
    missing = {'leaflet.js', 'leaflet.css', 'LICENSE'} - found.keys()
    if missing:
        raise ImportError(
            'the package django-js-lib-leaflet is installed without '
            f'{", ".join(sorted(missing))}; install it again')
    found['LICENSE-leaflet.txt'] = found.pop('LICENSE')
    return found


def _write(target: Path, files: dict[str, bytes]) -> None:
    """Write a folder, whole or not at all."""
    aside = Path(tempfile.mkdtemp(prefix=f'.{target.name}.partial-',
                                  dir=target.parent))
    try:
        for name, content in files.items():
            (aside / name).write_bytes(content)
        aside.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f'.{target.name}.old-',
                                        dir=target.parent))
            os.replace(target, old / 'page')
            try:
                os.replace(aside, target)
            except OSError:
                os.replace(old / 'page', target)
                raise
            finally:
                shutil.rmtree(old)
        else:
            os.replace(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
