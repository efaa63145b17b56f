# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Objects of XML label files and their lines."""

import pytest

from mmskysense.datasets.conversion import DataError
from mmskysense.datasets.conversion.xml_labels import read_xml_objects


def test_objects_know_their_lines(tmp_path):
    path = tmp_path / 'a.xml'
    path.write_text('<annotation>\n<objects>\n'
                    '<object><name>x</name></object>\n\n'
                    '<object>\n<name>y</name></object></objects>'
                    '</annotation>')
    assert [(number, line, entry.findtext('name'))
            for number, line, entry in read_xml_objects(path)] == [
                (1, 3, 'x'), (2, 5, 'y')]


def test_an_object_in_a_comment_shifts_no_line(tmp_path):
    path = tmp_path / 'a.xml'
    path.write_text('<annotation>\n<!-- <object> -->\n\n<object/>'
                    '</annotation>')
    assert [line for _, line, _ in read_xml_objects(path)] == [1]


@pytest.mark.parametrize('content, words', [
    (b'<annotation>\n<b></annotation>', 'a.xml, line 2: expected XML'),
    (b'<?xml version="1.0" encoding="nonsense"?><a/>', 'a.xml.*expected XML'),
    (None, 'a.xml: expected this file')])
def test_damage_is_named(tmp_path, content, words):
    path = tmp_path / 'a.xml'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        list(read_xml_objects(path))
