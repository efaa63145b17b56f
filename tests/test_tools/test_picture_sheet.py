# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Sheets of pictures."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(
    0, str(Path(__file__).parents[2] / 'tools' / 'analysis_tools'))
import picture_sheet


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        Image.new('RGB', (20, 10), (50 * number, 0, 0)).save(
            tmp_path / f'{number}.png')
    return tmp_path


def test_pictures_are_spread_and_stand_in_rows(folder, capsys):
    out = folder / 'sheet.png'
    picture_sheet.main([str(folder), '--out', str(out), '--number', '3',
                        '--columns', '2', '--width', '86'])
    assert '3 pictures, 86 x 46' in capsys.readouterr().out
    pixels = np.asarray(Image.open(out))
    assert pixels[5, 5].tolist() == [0, 0, 0]
    assert pixels[5, 80].tolist() == [100, 0, 0]
    assert pixels[40, 5].tolist() == [200, 0, 0]
    assert pixels[40, 80].tolist() == [255, 255, 255]


def test_a_part_of_each_picture(folder):
    two = Image.new('RGB', (20, 10), (0, 0, 0))
    two.paste((0, 255, 0), (10, 0, 20, 10))
    two.save(folder / 'two.png')
    out = folder / 'part.png'
    picture_sheet.main([str(folder / 'two.png'), '--out', str(out), '--width',
                        '10', '--crop', '0.5', '1'])
    pixels = np.asarray(Image.open(out))
    assert pixels.shape == (10, 10, 3) and (pixels == [0, 255, 0]).all()


@pytest.mark.parametrize('arguments, words', [
    (['.', '--out', 'a.png', '--crop', '0.5', '0.5'], '--crop 0.5 0.5'),
    (['nowhere', '--out', 'a.png'], 'nowhere: expected a picture or'),
    (['.', '--out', 'a.gif'], 'a.gif: expected a name that ends'),
    (['.', '--out', 'a.png', '--number', '0'], '--number 0'),
    (['text.png', '--out', 'a.png'], 'text.png: expected a picture, found'),
    (['0.png', '--out', 'a.png', '--columns', '9', '--width', '30'],
     'too little for 9')])
def test_refusals(folder, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    (folder / 'text.png').write_text('no picture')
    with pytest.raises(SystemExit, match=words):
        picture_sheet.main(arguments)
    assert not (folder / 'a.png').exists()
