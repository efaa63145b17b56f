# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Reading checkpoints, and refusing those that do not fit."""

import numpy as np
import pytest
import torch

from mmskysense.utils.checkpoint import (
    check_checkpoint,
    name_a_few,
    read_checkpoint,
)


@pytest.mark.parametrize('count,text', [
    (0, ''), (1, ' (k0)'), (3, ' (k0, k1, k2)'),
    (5, ' (k0, k1, k2 and 2 more)')])
def test_a_few_of_many_are_named(count, text):
    assert name_a_few([f'k{i}' for i in range(count)]) == text


def test_check_checkpoint_loads_what_fits(tmp_path):
    source, target = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    # As DistributedDataParallel would have saved it.
    torch.save({
        'state_dict':
        {f'module.{k}': v
         for k, v in source.state_dict().items()}
    }, tmp_path / 'a.pth')
    check_checkpoint(target, str(tmp_path / 'a.pth'))
    torch.testing.assert_close(target.weight, source.weight)


def test_check_checkpoint_leaves_the_model_alone_on_another_size(tmp_path):
    target = torch.nn.Linear(2, 2)
    before = target.bias.detach().clone()
    state = torch.nn.Linear(3, 2).state_dict()
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='1 of another size'):
        check_checkpoint(target, str(tmp_path / 'a.pth'))
    torch.testing.assert_close(target.bias, before)


def test_check_checkpoint_respects_modules_that_rename(tmp_path):

    class Renaming(torch.nn.Linear):

        def _load_from_state_dict(self, state_dict, prefix, *args):
            if prefix + 'old_bias' in state_dict:
                state_dict[prefix + 'bias'] = state_dict.pop(prefix +
                                                             'old_bias')
            super()._load_from_state_dict(state_dict, prefix, *args)

    state = torch.nn.Linear(2, 2).state_dict()
    state['old_bias'] = state.pop('bias')
    torch.save(state, tmp_path / 'a.pth')
    model = Renaming(2, 2)
    check_checkpoint(model, str(tmp_path / 'a.pth'))
    torch.testing.assert_close(model.bias, state['old_bias'])


def test_check_checkpoint_refuses_what_is_no_dict(tmp_path):
    torch.save([1, 2], tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='found list'):
        check_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'a.pth'))


def test_scores_in_the_log_of_a_run_are_read_safely(tmp_path, monkeypatch):
    safe = []
    load = torch.load

    def watched(*args, **options):
        safe.append(options.get('weights_only'))
        return load(*args, **options)

    monkeypatch.setattr(torch, 'load', watched)
    torch.save(dict(message_hub=dict(mIoU=np.float32(67.4)), state_dict={}),
               tmp_path / 'a.pth')
    content = read_checkpoint(str(tmp_path / 'a.pth'))
    assert content['message_hub']['mIoU'] == np.float32(67.4)
    assert False not in safe  # never "unpickle anything"
