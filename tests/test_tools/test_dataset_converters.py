# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Every converter's command line, on a miniature of its download."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / 'test_datasets'))
import segmentation_miniatures as miniatures
import test_bigearthnet
import test_dior
import test_fair1m
import test_fmow_sentinel
import test_levir_cd
import test_oscd
import test_scene_datasets
import test_treesatai

TOOLS = Path(__file__).parents[2] / 'tools/dataset_converters'


def scenes(name):
    return lambda root: test_scene_datasets.write_download(
        root, test_scene_datasets.COLLECTIONS[name])


# Tool -> writer, options, does it compare counts, what its last lines say.
COMMANDS = {
    'aid': (scenes('aid'), ['--seed', '1'], True, "8 items.*'train_20': 2"),
    'resisc45': (scenes('resisc45'), [], True, '8 items.*lists'),
    'dior': (test_dior.write_download, ['--boxes', 'oriented'], True,
             r'3 sides cross: corners put in order.*changed_objects.txt\)'),
    'fair1m': (test_fair1m.write_download,
               ['--size', '64', '--overlap', '32'], False,
               'train 2 images in 4 tiles with 8 objects'),
    'bigearthnet': (test_bigearthnet.write_download,
                    ['--sensors', 's2_l2a', 's1_grd'], True,
                    'patches: 3 test, 3 train, 3 val'),
    'fmow_sentinel': (test_fmow_sentinel.write_download, [], True,
                      'train: 6 images of 3 places and 3 classes'),
    'levir_cd': (test_levir_cd.write_download, ['--size', '32'], True,
                 '14.65 % of the pixels changed'),
    'oscd': (test_oscd.write_download, ['--size', '32'], True,
             '% of the pixels changed\nband statistics'),
    'treesatai': (test_treesatai.write_download, ['--dates', '2'], True,
                  '2 test, 1 val, 3 train of the 50,381 sites'),
    # Their outputs are looked at in test_segmentation_converters.py.
    'isaid': (miniatures.write_isaid, ['--size', '64', '--overlap', '16'],
              True, '3 items'),
    'potsdam': (miniatures.write_potsdam, ['--size', '64', '--overlap', '8'],
                True, '4 items'),
    'fbp': (miniatures.write_fbp, ['--size', '64', '--overlap', '8'], True,
            r'2 items.*mean="\[([^,]*,){3}[^,]*\]"'),
    'sparcs': (miniatures.write_sparcs, ['--size', '64', '--overlap', '8'],
               True, r'6 items.*mean="\[([^,]*,){6}[^,]*\]"'),
    'air_polsar_seg': (miniatures.write_air_polsar_seg, [], True,
                       r'3 items.*mean="\[([^,]*,){3}[^,]*\]"'),
    'dynamicearthnet': (miniatures.write_dynamicearthnet,
                        ['--days', 'first'], True, '9 items'),
    'pastis': (miniatures.write_pastis, ['--sensors', 's2_l2a'], True,
               '5 items'),
}
#: Tools for files of any data set; they have tests of their own.
OTHERS = {'build_index', 'count_class_pixels', 'cut_archive',
          'make_fewshot_list'}


def test_every_tool_is_here():
    assert {path.stem for path in TOOLS.glob('*.py')} == \
        set(COMMANDS) | OTHERS


@pytest.mark.parametrize('name', COMMANDS)
def test_a_command_converts_and_says_what(name, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    write, options, counts, words = COMMANDS[name]
    root, out = tmp_path / 'in', tmp_path / 'out'
    root.mkdir()
    write(root)
    arguments = [str(root), '--out', str(out), '--workers', '1', *options]
    if counts:
        with pytest.raises(SystemExit, match=rf'{name}.py: error: .*partial'):
            tool.main(arguments)
        assert not out.exists()
    capsys.readouterr()
    tool.main([*arguments, '--partial'])
    printed = capsys.readouterr().out
    assert f'{out}: ' in printed and re.search(words, printed, re.S), printed
    with pytest.raises(SystemExit, match=rf'^{name}.py: error: '):
        tool.main([str(tmp_path / 'none'), *arguments[1:], '--partial'])
