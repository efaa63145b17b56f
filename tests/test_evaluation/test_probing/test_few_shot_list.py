# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import pytest

from mmskysense.evaluation.probing import (
    read_image_list,
    stratified_subset,
    write_few_shot_list,
)


def test_the_same_images_as_the_probe_draws(coloured):
    out = coloured / 'few' / 'list.txt'
    counts = write_few_shot_list(coloured / 'train.txt', out, 0.3, seed=2)
    assert counts == dict(Blue=3, Green=3, Red=3)
    whole = read_image_list(coloured / 'data', coloured / 'train.txt')
    drawn = whole.subset(stratified_subset(whole.labels, 0.3, 2))
    assert read_image_list(coloured / 'data', out).paths == drawn.paths


def test_names_without_folders(tmp_path):
    (tmp_path / 'a.txt').write_text('Sea_Lake_1.jpg\n\nRiver_1.jpg\n')
    assert write_few_shot_list(tmp_path / 'a.txt', tmp_path / 'b.txt',
                               0.01) == dict(River=1, Sea_Lake=1)


@pytest.mark.parametrize('text, fraction, out, match', [
    ('', 0.5, 'b.txt', 'empty'), ('A/1.png\nnoclass.png\n', 0.5, 'b.txt',
                                  'noclass'),
    ('A/1.png\n', 0.0, 'b.txt', 'fraction'),
    ('A/1.png\n', 0.5, 'a.txt', 'overwrite')])
def test_refusals(tmp_path, text, fraction, out, match):
    source = tmp_path / 'a.txt'
    source.write_text(text)
    with pytest.raises(ValueError, match=match):
        write_few_shot_list(source, tmp_path / out, fraction)
    assert [p.name for p in tmp_path.iterdir()] == ['a.txt']
    assert source.read_text() == text
    with pytest.raises(FileNotFoundError, match='c.txt'):
        write_few_shot_list(tmp_path / 'c.txt', tmp_path / 'd.txt', 0.5)
