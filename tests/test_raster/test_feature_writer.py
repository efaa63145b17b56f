# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Maps of features."""

import numpy as np
import pytest
import rasterio

from mmskysense.raster.feature_writer import FeatureWriter


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_a_few_rows_at_a_time(tmp_path, dtype):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((5, 600, 40)).astype(np.float32)
    valid = rng.random((600, 40)) > 0.2
    path = tmp_path / 'features.tif'
    with FeatureWriter(path, 600, 40, list('abcde'), dtype) as writer:
        for row in range(0, 600, 7):
            writer.write_features(row, features[:, row:row + 7],
                                  valid[row:row + 7])
        # Rows are gathered until they fill a block of the temporary file.
        assert writer._dataset.block_shapes == [(16, 512)] * 5
        written = [entry[:4] for entry in writer._written]
        assert all(row % 16 == 0 and count % 16 == 0
                   for row, _, count, _ in written)
        with pytest.raises(ValueError, match='expected row 600 next'):
            writer.write_features(3, features[:, :2])
    with rasterio.open(path) as dataset:
        found = dataset.read()
        assert dataset.block_shapes[0] == (512, 512)
        assert dataset.tags()['PRECISION'] == dtype
    wanted = np.where(valid, features.astype(dtype), np.float32('nan'))
    np.testing.assert_array_equal(found, wanted)
