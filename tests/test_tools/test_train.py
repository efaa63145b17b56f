# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""tools/train.py and tools/test.py."""

import importlib.util
import pickle
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trained(toy, call):
    """A checkpoint after one epoch."""
    assert call('train', 'toy_config.py', '--work-dir', 'out', '--cfg-options',
                'train_cfg.max_epochs=1') is None
    return toy / 'out' / 'epoch_1.pth'


def load(path):
    return torch.load(path, weights_only=False)


def refusal(result):
    """The one line with which a command refuses."""
    assert isinstance(result, str), result
    assert 'error: ' in result and '\n' not in result
    return result


def test_default_work_dir_and_learning(toy, call):
    assert call('train', 'toy_config.py') is None
    first, second = (
        load(toy / 'work_dirs/toy_config' / f'epoch_{n}.pth')['state_dict']
        for n in (1, 2))
    assert not torch.equal(first['line.weight'], second['line.weight'])


def test_resume_auto_continues_as_if_uninterrupted(toy, call, trained, capfd):
    assert call('train', 'toy_config.py', '--work-dir', 'whole') is None
    capfd.readouterr()
    assert call('train', 'toy_config.py', '--work-dir', 'out',
                '--resume') is None
    captured = capfd.readouterr()
    assert 'resumed epoch: 1' in captured.out + captured.err
    whole, resumed = (
        load(toy / name / 'epoch_2.pth') for name in ('whole', 'out'))
    torch.testing.assert_close(
        whole['state_dict'], resumed['state_dict'], rtol=0, atol=0)


def test_resume_from_path(call, trained, capfd):
    assert call('train', 'toy_config.py', '--work-dir', 'other', '--resume',
                trained) is None
    captured = capfd.readouterr()
    assert 'resumed epoch: 1' in captured.out + captured.err


def test_amp_on_a_cpu_computes_in_bfloat16(toy, call, monkeypatch):
    monkeypatch.setenv('TOY_DTYPE_FILE', str(toy / 'dtype'))
    # Also on a CPU that emulates it, where --amp would train in float32.
    monkeypatch.setattr('mmskysense.engine.launch.has_bfloat16', lambda: True)
    assert call('train', 'toy_config.py', '--amp') is None
    assert (toy / 'dtype').read_text() == 'torch.bfloat16'
    state = load(toy / 'work_dirs/toy_config/epoch_2.pth')['state_dict']
    assert state['line.weight'].dtype == torch.float32


def test_auto_scale_lr_follows_the_batch_size(toy, call):
    assert call('train', 'toy_config.py', '--auto-scale-lr') is None
    checkpoint = load(toy / 'work_dirs/toy_config/epoch_2.pth')
    # Batch 2 where the rate was chosen for 4.
    assert checkpoint['optimizer']['param_groups'][0]['lr'] == \
        pytest.approx(0.005)


def test_runner_type_picks_the_runner(toy, call, capfd):
    assert call('train', 'toy_config.py', '--cfg-options',
                'runner_type=ToyRunner') is None
    captured = capfd.readouterr()
    assert 'trained by the toy runner' in captured.out


def test_auto_scale_lr_without_base_batch_size(toy, call):
    config = toy / 'toy_config.py'
    config.write_text(config.read_text().replace(', base_batch_size=4', ''))
    line = refusal(call('train', 'toy_config.py', '--auto-scale-lr'))
    assert 'base_batch_size' in line


@pytest.mark.parametrize(('arguments', 'parts'), [
    (('absent.py', ), ('config absent.py', 'found nothing')),
    (('.', ), ('found a directory', )),
    (('toy_config.py', '--resume', 'absent.pth'),
     ('checkpoint to resume from absent.pth', )),
    (('toy_config.py', '--cfg-options', 'load_from=absent.pth'),
     ('load_from', 'absent.pth')),
    (('toy_config.py', '--cfg-options', 'model.type=NoSuchModel'),
     ('NoSuchModel', )),
    (('toy_config.py', '--cfg-options',
      'train_dataloader.dataset.must_exist=lost.tif'), ('lost.tif', )),
    (('toy_config.py', '--launcher', 'pytorch'), ('RANK', 'dist_train.sh')),
    (('toy_config.py', '--amp', '--cfg-options',
      'optim_wrapper.type=ApexOptimWrapper'), ('ApexOptimWrapper', )),
])
def test_bad_input_is_one_line(call, arguments, parts):
    line = refusal(call('train', *arguments))
    for part in parts:
        assert part in line


def test_as_a_command(run):
    ran = run(sys.executable, ROOT / 'tools/train.py', 'absent.py')
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith('train.py: error: config absent.py')


def test_traceback_on_request(call, monkeypatch):
    monkeypatch.setenv('MMSKYSENSE_TRACEBACK', '1')
    with pytest.raises(FileNotFoundError):
        call('train', 'absent.py')


def resave(path, change):
    checkpoint = load(path)
    change(checkpoint)
    torch.save(checkpoint, path)


@pytest.mark.parametrize('start', ['load_from', 'resume', 'auto'])
@pytest.mark.parametrize(('damage', 'part'), [
    (lambda p: p.write_bytes(p.read_bytes()[:800]), 'truncated'),
    (lambda p: torch.save(dict(foreign=torch.ones(1)), p), 'does not fit')])
def test_no_start_from_a_bad_checkpoint(toy, call, trained, start, damage,
                                        part):
    damage(trained)
    options = dict(
        load_from=('--cfg-options', f'load_from={trained}'),
        resume=('--resume', trained), auto=('--resume', ))[start]
    line = refusal(call('train', 'toy_config.py', '--work-dir', 'out',
                        *options))
    assert part in line and trained.name in line
    assert not (toy / 'out/epoch_2.pth').exists()


@pytest.mark.parametrize(('damage', 'part'), [
    (lambda p: p.unlink(), 'found nothing'),
    (lambda p: p.write_bytes(b''), 'empty'),
    (lambda p: p.write_bytes(p.read_bytes()[:800]), 'truncated'),
    (lambda p: torch.save(dict(foreign=torch.ones(1)), p), 'no SkySenseV2'),
    (lambda p: change_state(p, lambda s: s.pop('norms.3.weight')), None),
    (lambda p: change_state(p, lambda s: s.pop(
        'stages.3.blocks.0.attn.qkv.weight')), '1 keys missing'),
    (lambda p: change_state(p, lambda s: [
        s.update({k: torch.ones(3)}) for k in s]), 'another size')])
def test_no_start_from_a_bad_encoder_checkpoint(toy, call, damage, part):
    from toy_parts import ToyLineWithEncoder
    path = toy / 'encoder.pth'
    state = ToyLineWithEncoder('none').backbone.state_dict()
    torch.save(dict(state_dict=state), path)
    damage(path)
    end = call('train', 'toy_config.py', '--cfg-options',
               'model.type=ToyLineWithEncoder', f'model.checkpoint={path}',
               # The encoder is not used, so it gets no gradients.
               'train_cfg.max_epochs=1')
    if part is None:  # an output norm may start anew
        assert end is None
        return
    line = refusal(end)
    assert part in line and path.name in line
    assert not list(toy.glob('work_dirs/toy_config/epoch_*'))


def test_weights_alone_start_but_do_not_resume(call, trained):
    resave(trained, lambda content: content.pop('optimizer'))
    line = refusal(call('train', 'toy_config.py', '--resume', trained))
    assert 'no optimizer' in line and 'load_from' in line
    assert call('train', 'toy_config.py', '--cfg-options',
                f'load_from={trained}') is None


def test_test_reports_and_saves_predictions(toy, call, trained, capfd):
    assert call('test', 'toy_config.py', trained, '--out',
                'predictions.pkl') is None
    captured = capfd.readouterr()
    assert 'count: 4' in captured.out + captured.err
    predictions = pickle.loads((toy / 'predictions.pkl').read_bytes())
    assert len(predictions) == 4
    state = load(trained)['state_dict']
    expected = 3 * state['line.weight'][0] + state['line.bias']
    torch.testing.assert_close(predictions[3]['predicted'], expected)


def change_state(path, change):
    checkpoint = load(path)
    change(checkpoint['state_dict'])
    torch.save(checkpoint, path)


@pytest.mark.parametrize(('change', 'parts'), [
    (lambda s: s.pop('line.bias'), ('1 missing (line.bias)', )),
    (lambda s: s.update(extra=torch.ones(1)), ('1 unexpected (extra)', )),
    (lambda s: s.update({'line.weight': torch.ones(3, 1)}),
     ('another size', 'line.weight is (3, 1), the model has (1, 1)')),
    (lambda s: s.update({
        f'student.{n}': torch.ones(1)
        for n in range(9)
    }), ('9 unexpected', 'and 6 more')),
])
def test_checkpoint_that_does_not_fit(call, trained, change, parts):
    change_state(trained, change)
    line = refusal(call('test', 'toy_config.py', trained))
    for part in (*parts, str(trained), 'trained with'):
        assert part in line


@pytest.mark.parametrize(('change', 'part'), [
    (lambda content: b'', 'empty'),
    (lambda content: b'not a checkpoint at all', 'not a torch checkpoint'),
    (lambda content: content[:800], 'truncated'),
])
def test_checkpoint_that_cannot_be_read(call, trained, change, part):
    trained.write_bytes(change(trained.read_bytes()))
    line = refusal(call('test', 'toy_config.py', trained))
    assert part in line and str(trained) in line


@pytest.mark.parametrize(('arguments', 'part'), [
    (('toy_config.py', 'absent.pth'), 'checkpoint absent.pth'),
    (('absent.py', __file__), 'config absent.py'),
    (('toy_config.py', __file__, '--out', 'table.csv'), '.pkl'),
    (('toy_config.py', __file__, '--tta'), 'tta_model'),
    (('toy_config.py', __file__, '--show-dir', 'x'), 'visualization'),
])
def test_test_refuses(call, arguments, part):
    assert part in refusal(call('test', *arguments))


@pytest.mark.parametrize(('config', 'drawing'), [
    ('classification/skysense_v2_tiny_finetune_1xb32-2k_sample-world-64x64',
     dict(enable=True, interval=1)),
    ('segmentation/skysense_v2_tiny_upernet_1xb4-2k_sample-world-256x256',
     dict(draw=True))])
def test_show_dir_draws_with_every_host(config, drawing, monkeypatch):
    spec = importlib.util.spec_from_file_location(
        'tool', ROOT / 'tools/test.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', [
        'test.py', str(ROOT / f'configs/{config}.py'), __file__,
        '--show-dir', 'shown'])
    hook = tool.build_config(tool.parse_args()).default_hooks.visualization
    assert {key: hook[key] for key in drawing} == drawing


def test_training_refuses_channels_of_another_backbone(call, sample_world):
    pytest.importorskip('mmseg')
    config = ROOT / ('configs/segmentation/skysense_v2_tiny_upernet_1xb4-2k_'
                     'sample-world-256x256.py')
    line = refusal(call(
        'train', config, '--work-dir', 'out', '--cfg-options',
        f'data_root={sample_world}',
        'model.decode_head.in_channels=[96,192,384,768]'))
    assert 'model.decode_head.in_channels' in line and '[48, 96, ' in line
