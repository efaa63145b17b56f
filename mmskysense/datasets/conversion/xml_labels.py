# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Objects in XML label files, each with the line it begins in."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from .errors import DataError


def read_xml_objects(path: Path, within: str | None = None
                     ) -> Iterator[tuple[int, int, ET.Element]]:
    """The ``object`` elements of a label file, in their order.

    Args:
        path: Label file, whose root is ``annotation``.
        within: Element that holds the objects, and is there without one too.

    Yields:
        Number from 1, line from 1, element.

    Raises:
        DataError: No such file, no XML (with the line), or another document
            than a label file: it would pass for an image without objects.
    """
    try:
        content = path.read_bytes()
        root = ET.fromstring(content)
    except FileNotFoundError:
        raise DataError(path, 'expected this file, found none',
                        'complete the download') from None
    except ET.ParseError as error:
        raise DataError(path, f'expected XML, found {error}',
                        'download it again', error.position[0]) from None
    except (ValueError, LookupError) as error:  # an encoding expat lacks
        raise DataError(path, f'expected XML, found {error}',
                        'save it as UTF-8') from None
    wanted = ['annotation', *([within] if within else [])]
    found = [root.tag] + [child.tag for child in root]
    if root.tag != 'annotation' or (within and within not in found[1:]):
        raise DataError(path, f"expected {' with '.join(wanted)}, found "
                        f'{" with ".join(found[:4])}', 'this is no label file '
                        'of this dataset', 1)
    # ElementTree does not keep lines. Where comments hold objects as well,
    # the tags found are more than the elements: line 1 is said then.
    elements = list(root.iter('object'))
    places = [match.start()
              for match in re.finditer(rb'<object[\s/>]', content)]
    exact = len(places) == len(elements)
    for number, element in enumerate(elements, 1):
        line = 1 + content.count(b'\n', 0, places[number - 1]) if exact else 1
        yield number, line, element
