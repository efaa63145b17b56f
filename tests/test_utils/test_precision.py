# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Whether a device has bfloat16, or emulates it."""

import pytest
import torch

from mmskysense.utils import precision


@pytest.mark.parametrize('supported', [True, False])
def test_a_cpu_says_what_its_library_says(monkeypatch, supported):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported',
                        lambda: supported, raising=False)
    assert precision.has_bfloat16() is supported
    assert precision.has_bfloat16('cuda:0') is True


def test_this_cpu_is_asked():
    assert isinstance(precision.has_bfloat16(torch.device('cpu')), bool)


@pytest.mark.parametrize('device, supported, warnings', [
    ('cpu', True, 0), ('cpu', False, 1), ('cuda', False, 0)])
def test_warns_only_where_it_costs(monkeypatch, device, supported, warnings):
    said = []
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported',
                        lambda: supported, raising=False)
    monkeypatch.setattr(precision, 'print_log',
                        lambda text, *args: said.append(text))
    precision.tell_emulated_bfloat16('--amp', device)
    assert len(said) == warnings
    assert all(text.startswith('--amp: ') and 'leave --amp out' in text
               for text in said)
