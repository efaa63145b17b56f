# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Running a conversion: in order, in parallel, resumed, with bad items."""

import functools

import pytest

from mmskysense.datasets.conversion import (
    BAD_LIST,
    ConversionItem,
    DataError,
    ItemResult,
    run_conversion,
    write_text,
)


def shout(item, out_dir):
    """Upper-case copy; a file that says 'bad' is refused."""
    text = item.source.read_text()
    if text == 'bad':
        raise DataError(item.source, 'expected a word, found bad',
                        'write another', line=1)
    write_text(out_dir / f'{item.key}.txt', text.upper())
    return ItemResult((f'{item.key}.txt', ), dict(length=len(text)))


def count_calls(item, out_dir, calls):
    with open(calls, 'a') as file:
        file.write(f'{item.key}\n')
    return shout(item, out_dir)


@pytest.fixture
def items(tmp_path):
    (tmp_path / 'in').mkdir()
    made = []
    for name in ('b', 'a', 'c'):
        path = tmp_path / 'in' / f'{name}.txt'
        path.write_text(f'field {name}')
        made.append(ConversionItem(name, path))
    return made


@pytest.mark.parametrize('workers', [1, 2])
def test_every_item_in_the_order_given(items, tmp_path, workers):
    report = run_conversion(items, shout, tmp_path / 'out', workers)
    assert list(report.results) == ['b', 'a', 'c']
    assert report.results['a'].record == dict(length=7)
    assert (tmp_path / 'out/c.txt').read_text() == 'FIELD C'
    assert report.outputs == 3 and not report.bad


@pytest.mark.parametrize('workers', [1, 2])
def test_a_bad_item_stops_the_run_and_is_named(items, tmp_path, workers):
    items[1].source.write_text('bad')
    with pytest.raises(DataError, match=r'in/a.txt, line 1: expected a word, '
                       r"found bad \(of item 'a'\); write another; or .*"
                       '--skip-bad'):
        run_conversion(items, shout, tmp_path / 'out', workers)


def test_skip_bad_lists_and_goes_on(items, tmp_path):
    items[0].source.write_text('bad')
    report = run_conversion(items, shout, tmp_path / 'out', skip_bad=True)
    assert list(report.results) == ['a', 'c'] and list(report.bad) == ['b']
    line, = (tmp_path / 'out' / BAD_LIST).read_text().splitlines()
    assert line.startswith('b\t') and 'line 1' in line
    # Repaired: the list goes away, and only that item is converted.
    items[0].source.write_text('good')
    report = run_conversion(items, shout, tmp_path / 'out', skip_bad=True)
    assert list(report.results) == ['b', 'a', 'c'] and report.resumed == 2
    assert not (tmp_path / 'out' / BAD_LIST).exists()


def test_resumes_and_redoes_what_changed(items, tmp_path):
    out, calls = tmp_path / 'out', tmp_path / 'calls'
    convert = functools.partial(count_calls, calls=calls)
    items[2].source.write_text('bad')
    with pytest.raises(DataError):
        run_conversion(items, convert, out)
    # A kill may leave half a line; it must not hide what follows it.
    with open(out / '.conversion.jsonl', 'a') as file:
        file.write('{"key": "x", "sou')
    (out / '.partial-1-c.txt').write_text('FIE')
    items[2].source.write_text('field c')
    calls.unlink()
    report = run_conversion(items, convert, out)
    assert calls.read_text().split() == ['c'] and report.resumed == 2
    assert report.results['b'].record == dict(length=7)
    assert not list(out.glob('.partial-*'))
    calls.unlink()
    (out / 'a.txt').write_text('cut')  # another size than was written
    items[0].source.write_text('a longer field')
    run_conversion(items, convert, out)
    assert calls.read_text().split() == ['b', 'a']
    assert (out / 'a.txt').read_text() == 'FIELD A'
    calls.unlink()
    assert run_conversion(items, convert, out).resumed == 3
    assert not calls.exists()


def make_with_label(item, out_dir):
    text = item.payload['label'].read_text()
    name = f'{item.split}/{item.key}.txt'
    write_text(out_dir / name, text)
    return ItemResult((name, ), dict(split=item.split))


def test_labels_and_splits_that_changed_are_noticed(tmp_path):
    label = tmp_path / 'label.txt'
    label.write_text('field')
    (tmp_path / 'a.txt').write_text('image')
    out = tmp_path / 'out'

    def run(split='train', **payload):
        item = ConversionItem('a', tmp_path / 'a.txt', split,
                              dict(label=label) | payload)
        return run_conversion([item], make_with_label, out)

    run()
    assert run().resumed == 1
    label.write_text('water')
    assert run().resumed == 0
    assert (out / 'train/a.txt').read_text() == 'water'
    report = run('val')
    assert report.removed == 1 and '1 files of an earlier' in str(report)
    assert not (out / 'train').exists() and (out / 'val/a.txt').is_file()
    assert report.results['a'].record == dict(split='val')
    assert run('val', classes=[1]).resumed == 0
    # A folder counts by the files below it.
    folder = tmp_path / 'bands/rect'
    folder.mkdir(parents=True)
    run('val', bands=tmp_path / 'bands')
    assert run('val', bands=tmp_path / 'bands').resumed == 1
    (folder / 'B02.txt').write_text('1')
    assert run('val', bands=tmp_path / 'bands').resumed == 0


def test_files_of_items_that_are_gone_or_bad_are_removed(items, tmp_path):
    out = tmp_path / 'out'
    run_conversion(items, shout, out)
    (out / 'mine.txt').write_text('not of a converter')
    items[0].source.write_text('bad')
    report = run_conversion(items[:2], shout, out, skip_bad=True)
    assert sorted(path.name for path in out.glob('[abcm]*.txt')) == [
        'a.txt', BAD_LIST, 'mine.txt']
    assert report.removed == 2 and list(report.bad) == ['b']
    # Twice removed, and back again.
    items[0].source.write_text('good')
    assert run_conversion(items, shout, out).removed == 0
    assert (out / 'b.txt').read_text() == 'GOOD'


def test_other_options_are_refused(items, tmp_path):
    run_conversion(items, shout, tmp_path / 'out', options=dict(size=8))
    with pytest.raises(DataError, match=r"converted with {'size': 8}, expec"):
        run_conversion(items, shout, tmp_path / 'out', options=dict(size=9))


def test_refuses_nothing_doubles_and_all_bad(items, tmp_path):
    with pytest.raises(DataError, match='found nothing'):
        run_conversion([], shout, tmp_path / 'out')
    with pytest.raises(DataError, match="item 'b' is there twice"):
        run_conversion([items[0], items[0]], shout, tmp_path / 'out')
    with pytest.raises(ValueError, match='workers=0'):
        run_conversion(items, shout, tmp_path / 'out', 0)
    for item in items:
        item.source.write_text('bad')
    with pytest.raises(DataError, match='all 3 items are bad; the first:'):
        run_conversion(items, shout, tmp_path / 'out', skip_bad=True)


def test_a_defect_of_the_converter_is_no_bad_file(items, tmp_path):
    def defective(item, out_dir):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_conversion(items, defective, tmp_path / 'out', skip_bad=True)


def test_nothing_half_written(tmp_path):
    from mmskysense.datasets.conversion import atomic_path
    with pytest.raises(OSError), atomic_path(tmp_path / 'a.txt') as partial:
        partial.write_text('half')
        raise OSError('disk full')
    assert list(tmp_path.iterdir()) == []
