# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Kernels from wavelengths, shared by all optical sensors."""

import pytest
import torch
import torch.nn.functional as F

from mmskysense import SkySenseV2
from mmskysense.models.layers import WavelengthTokenizer
from mmskysense.utils.encoder_checkpoint import (
    load_checkpoint_strictly,
    package_backbone,
)

RGBN = dict(rgb=(660.0, 550.0, 480.0), rgbn=(660.0, 550.0, 480.0, 830.0))
ARCH = dict(embed_dims=16, depths=(1, 1, 1, 1), head_dims=8, window_size=4)
OPTICAL = ('hr_rgb', 's2_l2a')


def test_equals_a_convolution_with_the_generated_kernel():
    tokenizer = WavelengthTokenizer(RGBN, 24)
    torch.nn.init.normal_(tokenizer.norm.weight)
    conv = torch.nn.Conv2d(4, 24, 4, 4)
    with torch.no_grad():
        conv.weight.copy_(tokenizer.kernel('rgbn'))
        conv.bias.copy_(tokenizer.bias)
    image = torch.randn(2, 4, 10, 13)
    padded = F.pad(image, (0, 3, 0, 2))
    expected = tokenizer.norm(conv(padded).permute(0, 2, 3, 1))
    torch.testing.assert_close(tokenizer(image, 'rgbn'), expected)


def test_sensors_share_the_weights_band_by_band():
    tokenizer = WavelengthTokenizer(RGBN, 24)
    torch.testing.assert_close(tokenizer.kernel('rgbn')[:, :3],
                               tokenizer.kernel('rgb'))
    image = torch.randn(1, 3, 8, 8)
    # The tokenizer is a sum over bands: one of zeros changes nothing.
    more = torch.cat((image, torch.zeros(1, 1, 8, 8)), dim=1)
    torch.testing.assert_close(tokenizer(image, 'rgb'),
                               tokenizer(more, 'rgbn'))
    # Neither does their order, which is the table's.
    turned = WavelengthTokenizer(dict(bgr=RGBN['rgb'][::-1]), 24)
    turned.load_state_dict(tokenizer.state_dict(), strict=True)
    torch.testing.assert_close(tokenizer(image, 'rgb'),
                               turned(image.flip(1), 'bgr'))


def test_kernels_start_as_those_of_a_convolution():
    tokenizer = WavelengthTokenizer(
        dict(any=(480.0, 490.0, 660.0, 2200.0)), 96)
    kernels = tokenizer.kernel('any').transpose(0, 1).flatten(1)
    assert 0.01 < kernels.std() < 0.03
    distance = torch.cdist(kernels, kernels)
    assert distance[0, 1] < distance[0, 2] and distance[0, 1] > 0
    assert distance[0, 1] < distance[0, 3]


def test_every_parameter_gets_a_gradient():
    tokenizer = WavelengthTokenizer(RGBN, 24)
    weight = torch.randn(24)
    (tokenizer(torch.randn(2, 4, 8, 8), 'rgbn') * weight).sum().backward()
    for name, parameter in tokenizer.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('bands', [(None, None), (660.0, None), ()])
def test_bands_without_wavelengths_are_refused(bands):
    with pytest.raises(ValueError, match="sensor 'radar'.*expected one in nm"):
        WavelengthTokenizer(dict(radar=bands), 24)


def test_odd_encodings_are_refused():
    with pytest.raises(ValueError, match='encoding_dims=7'):
        WavelengthTokenizer(RGBN, 24, encoding_dims=7)


def encoder(*sensors, **options):
    model = SkySenseV2(ARCH, sensors=sensors, sensor=sensors[0],
                       tokenizer='wavelength', **options)
    model.init_weights()
    return model


def test_encoder_has_one_tokenizer_and_radar_its_own():
    model = encoder(*OPTICAL, 's1_grd')
    assert set(model.tokenizers) == {'wavelength', 's1_grd'}
    names = [n for n, _ in model.named_parameters() if 'wavelength' in n]
    assert names and all(
        SkySenseV2.sensor_of_parameter(n) is None
        and model.get_layer_depth(n)[0] == 0 for n in names)
    inputs = dict(hr_rgb=torch.randn(1, 1, 3, 16, 16),
                  s2_l2a=torch.randn(1, 2, 10, 8, 8),
                  s1_grd=torch.randn(1, 1, 2, 8, 8))
    for present in (OPTICAL, ('s1_grd', ), ('hr_rgb', )):
        model.zero_grad()
        maps = model({s: inputs[s] for s in present})
        sum(levels[-1].square().sum() for levels in maps.values()).backward()
        # DistributedDataParallel wants a gradient, zero or not, everywhere.
        without = [n for n, p in model.named_parameters()
                   if p.grad is None and not n.startswith('norms.')]
        assert not without


def test_weights_serve_a_sensor_they_never_saw(tmp_path):
    trained = encoder(*OPTICAL, num_prompts=0)
    path = tmp_path / 'wavelength.pth'
    torch.save(trained.state_dict(), path)
    other = encoder('landsat8', 'hr_rgb', num_prompts=0)
    load_checkpoint_strictly(other, path, allow_missing_sensors=False)
    assert set(other.state_dict()) == set(trained.state_dict())
    torch.testing.assert_close(
        other.tokenizers['wavelength'].kernel('hr_rgb'),
        trained.tokenizers['wavelength'].kernel('hr_rgb'))
    maps = other(torch.randn(1, 7, 16, 16))
    assert all(level.isfinite().all() for level in maps)


def test_the_two_kinds_of_tokenizers_are_not_mixed_up(tmp_path):
    path = tmp_path / 'conv.pth'
    torch.save(SkySenseV2(ARCH, sensors=OPTICAL).state_dict(), path)
    with pytest.raises(ValueError, match='missing.*tokenizers.wavelength'):
        load_checkpoint_strictly(encoder(*OPTICAL), path)
    with pytest.raises(ValueError, match="tokenizer='deep'"):
        SkySenseV2(ARCH, tokenizer='deep')


def test_packaging_keeps_the_shared_tokenizer(tmp_path):
    path, out = tmp_path / 'iter_1.pth', tmp_path / 'out.pth'
    state = encoder(*OPTICAL, 's1_grd').state_dict()
    torch.save(dict(state_dict={f'teacher.backbone.{k}': v
                                for k, v in state.items()}), path)
    package_backbone(path, out, sensors=['hr_rgb'])
    load_checkpoint_strictly(encoder('hr_rgb'), out,
                             allow_missing_sensors=False)
