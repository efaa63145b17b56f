# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from PIL import Image

from mmskysense.evaluation.probing import (
    ImageBatches,
    check_split,
    read_image_list,
)
from mmskysense.models.data_preprocessors import MultiSensorDataPreprocessor


@pytest.mark.parametrize('below', ['', 'images'])
def test_lists_in_class_folders(coloured, below):
    found = read_image_list(coloured / 'data' / below,
                            coloured / 'test.txt')
    assert found.classes == ('Blue', 'Green', 'Red')
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.paths[4].endswith('images/Green/Green_10.png')
    part = found.subset(np.array([1, 8]))
    assert len(part) == 2 and part.labels.tolist() == [0, 2]


def test_pixels_are_normalised_and_resized(coloured):
    found = read_image_list(coloured / 'data', coloured / 'test.txt')
    preprocessor = MultiSensorDataPreprocessor(sensor='hr_rgb')
    batches = list(ImageBatches(found, preprocessor, batch_size=5))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    pixels = np.asarray(Image.open(found.paths[0]), np.float32)
    mean, std = (np.array(x) for x in ((123.675, 116.28, 103.53),
                                       (58.395, 57.12, 57.375)))
    np.testing.assert_allclose(batches[0][0].permute(1, 2, 0),
                               (pixels - mean) / std, atol=1e-5)
    small = next(iter(ImageBatches(found, preprocessor, image_size=8)))
    assert small.shape == (12, 3, 8, 8)
    torch.testing.assert_close(small[0].mean((1, 2)),
                               batches[0][0].mean((1, 2)), atol=0.05, rtol=0)


def test_kept_pixels_are_not_read_again(coloured):
    found = read_image_list(coloured / 'data', coloured / 'test.txt')
    batches = ImageBatches(found, MultiSensorDataPreprocessor(), keep=True,
                           batch_size=5)
    first = list(batches)
    for path in (coloured / 'data' / 'images' / 'Blue').iterdir():
        path.unlink()
    assert all(a is b for a, b in zip(first, batches, strict=True))


def test_refusals(coloured):
    root, listed = coloured / 'data', coloured / 'test.txt'
    lines = listed.read_text()

    def refused(text, error, match, data=root):
        (coloured / 'bad.txt').write_text(text)
        with pytest.raises(error, match=match) as caught:
            read_image_list(data, coloured / 'bad.txt')
        assert '\n' not in str(caught.value)

    refused('Blue/none.png\n', FileNotFoundError, 'Blue/none.png')
    refused('Pink/x.png\n', ValueError, "'Pink', expected one of")
    refused('', ValueError, 'found none')
    refused(lines + lines, ValueError, 'more than once')
    refused(lines, FileNotFoundError, '--data-root', coloured / 'nowhere')
    with pytest.raises(FileNotFoundError, match='nolist'):
        read_image_list(root, coloured / 'nolist.txt')

    test = read_image_list(root, listed)
    with pytest.raises(ValueError, match='12 images are in the training'):
        check_split(test, test)
    train = read_image_list(root, coloured / 'train.txt')
    with pytest.raises(ValueError, match=r"classes \['Red'\]"):
        check_split(train.subset(np.arange(20)), test)
    check_split(train, test)


def test_sizes_that_differ_need_an_image_size(coloured):
    found = read_image_list(coloured / 'data', coloured / 'test.txt')
    Image.new('RGB', (20, 16)).save(found.paths[3])
    preprocessor = MultiSensorDataPreprocessor()
    with pytest.raises(ValueError, match='Blue_13.*--image-size'):
        list(ImageBatches(found, preprocessor))
    assert len(next(iter(ImageBatches(found, preprocessor, 16)))) == 12
