# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import re
import sys

import pytest
from mmengine.registry import DefaultScope

from mmskysense.utils import (
    check_file,
    plain_refusal,
    register_all_modules,
    require,
)


@pytest.fixture(autouse=True)
def no_scope(fresh_default_scope):
    DefaultScope._instance_dict.clear()


def test_register_all_modules_makes_the_scope_current():
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmskysense'
    from mmskysense.registry import MODELS
    assert 'SkySenseV2' in MODELS.module_dict


def test_register_all_modules_leaves_the_scope_if_asked_to():
    DefaultScope.get_instance('host', scope_name='mmseg')
    register_all_modules(init_default_scope=False)
    assert DefaultScope.get_current_instance().scope_name == 'mmseg'


def test_register_all_modules_warns_when_it_replaces_a_scope():
    register_all_modules()
    DefaultScope.get_instance('host', scope_name='mmseg')
    with pytest.warns(UserWarning, match='"mmseg" is not "mmskysense"'):
        register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmskysense'


def test_require_returns_the_module():
    import math
    assert require('math', 'a test') is math


@pytest.mark.parametrize(('name', 'distribution'), [
    ('mmrotate_absent', 'mmrotate_absent'),
    ('mmseg', 'onedl-mmsegmentation'),
    ('sklearn.linear_model', 'scikit-learn'),
])
def test_require_names_the_distribution(monkeypatch, name, distribution):
    monkeypatch.delitem(sys.modules, name, raising=False)
    top = name.partition('.')[0]

    class Absent:

        def find_spec(self, fullname, path=None, target=None):
            if fullname.partition('.')[0] == top:
                raise ModuleNotFoundError(
                    f'No module named {top!r}', name=top)

    monkeypatch.setattr(sys, 'meta_path', [Absent(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, top, raising=False)
    with pytest.raises(ImportError) as caught:
        require(name, 'a test')
    assert f'pip install {distribution}' in str(caught.value)
    assert 'a test' in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(('inner', 'fix'), [
    ("No module named 'mmcv._ext'", 'make test'),
    ('something else', 'mmskysense.doctor'),
])
def test_require_tells_broken_from_missing(monkeypatch, tmp_path, inner, fix):
    (tmp_path / 'broken_library.py').write_text(
        f'raise ModuleNotFoundError({inner!r}, name="other")')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match='installed but fails') as caught:
        require('broken_library', 'a test')
    assert fix in str(caught.value)


@pytest.mark.parametrize(('error', 'text'), [
    (ValueError('two\n  lines'), 'two lines'),
    (KeyError('missing key'), 'error: missing key'),
    (FileNotFoundError(2, 'No such file or directory', 'a.tif'), 'a.tif'),
])
def test_plain_refusal_is_one_line(error, text):
    with pytest.raises(SystemExit) as caught, plain_refusal('tool.py'):
        raise error
    assert text in caught.value.code and '\n' not in caught.value.code
    assert caught.value.code.startswith('tool.py: error: ')


@pytest.mark.parametrize(('text', 'said'), [
    ("file, e.g. bands=['R', 'unused'], or bands=[1, 2, 3] (x)",
     'file, e.g. --bands R,unused, or --bands 1,2,3 (x)'),
    ('pass scale= (and offset=) that', 'pass --scale (and --offset) that'),
    ("scale='decibel' for power, scale=1.0 if; nodata=-9999",
     '--scale decibel for power, --scale 1.0 if; --nodata -9999'),
    ('/data/scale=10/a.tif: bands', '/data/scale=10/a.tif: bands'),
])
def test_plain_refusal_names_options_not_arguments(text, said):
    names = ('bands', 'scale', 'offset', 'nodata')
    with pytest.raises(SystemExit) as caught, plain_refusal('tool', names):
        raise ValueError(text)
    assert caught.value.code.startswith(f'tool: error: {said} (')


def test_plain_refusal_leaves_defects_alone():
    with pytest.raises(ZeroDivisionError), plain_refusal('tool.py'):
        _ = 1 / 0


def test_check_file(tmp_path):
    good, empty = tmp_path / 'good', tmp_path / 'empty'
    good.write_text('x')
    empty.touch()
    check_file(str(good), 'thing', 'do this')
    check_file('https://example.org/weights.pth', 'thing', 'do this')
    with pytest.raises(ValueError, match='empty; do this'):
        check_file(str(empty), 'thing', 'do this')
    missing = re.escape(str(tmp_path / 'missing'))
    with pytest.raises(FileNotFoundError, match=f'thing {missing}.*nothing'):
        check_file(str(tmp_path / 'missing'), 'thing', 'do this')
    with pytest.raises(FileNotFoundError, match='found a directory'):
        check_file(str(tmp_path), 'thing', 'do this')
