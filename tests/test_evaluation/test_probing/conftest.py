# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from PIL import Image

COLOURS = dict(Blue=(20, 40, 200), Green=(20, 190, 40), Red=(200, 30, 20))
# The smallest encoder.
ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4)
BACKBONE = dict(type='mmskysense.SkySenseV2', arch=ARCH, sensor='hr_rgb')


@pytest.fixture
def coloured(tmp_path):
    """Class folders of noisy one-colour images, and lists for a split."""
    random = np.random.default_rng(0)
    lists = dict(train=[], test=[])
    for name, colour in COLOURS.items():
        folder = tmp_path / 'data' / 'images' / name
        folder.mkdir(parents=True)
        for number in range(14):
            noise = random.normal(0, 25, (16, 16, 3)) + random.normal(0, 15)
            pixels = np.clip(np.array(colour) + noise, 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(
                folder / f'{name}_{number}.png')
            part = 'train' if number < 10 else 'test'
            lists[part].append(f'{name}/{name}_{number}.png')
    for part, lines in lists.items():
        (tmp_path / f'{part}.txt').write_text('\n'.join(lines) + '\n')
    return tmp_path
