# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import re

import numpy as np
import pytest

from mmskysense.visualization import report


def test_page_needs_nothing_from_outside(tmp_path):
    page = report.Page('Title <&>', 'lead')
    picture = np.zeros((4, 6, 3), np.uint8)
    page.section('One', report.figure(picture, 'a "picture"'),
                 report.table(['a'], [['1']]))
    path = page.save(tmp_path / 'new' / 'page.html')
    html = path.read_text()
    assert 'Title &lt;&amp;&gt;' in html
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(s.startswith('data:image/') for s in sources)
    assert 'url(' not in html and '@import' not in html
    assert list(path.parent.iterdir()) == [path]


def test_class_maps_keep_their_colours_exactly():
    import base64
    import io

    from PIL import Image
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    url = report.picture_url(picture, lossless=True)
    data = base64.b64decode(url.partition(',')[2])
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(data))), picture)


@pytest.mark.parametrize('picture', [
    np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8),
    np.zeros(4, np.uint8)])
def test_other_arrays_are_refused(picture):
    with pytest.raises(ValueError, match='expected uint8'):
        report.picture_url(picture)
