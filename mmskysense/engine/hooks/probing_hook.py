# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""How good the features are, while they are learned."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmskysense.evaluation.probing import (
    FeatureEncoder,
    ImageBatches,
    LabelledImages,
    ProbeOptions,
    bootstrap_interval,
    check_split,
    extract_features,
    judge_features,
    labelled_images,
    read_image_list,
    stratified_subset,
)
from mmskysense.registry import HOOKS
from mmskysense.sensors import get_sensor
from mmskysense.utils.precision import EMULATED, has_bfloat16


@HOOKS.register_module()
class ProbingHook(Hook):
    """Classifies labelled images by k-NN of the encoder's features.

    Every ``interval`` iterations, and after the last, it logs
    ``probe/knn_top1`` (0 to 1, to the log, the visualizer's backends and the
    message hub). The labels teach nothing: training is the same, number by
    number, with and without the hook. In a distributed run the first process
    probes and the others wait for it, unless parameters are sharded; then
    all of them probe.

    Args:
        data_root: Folder of the class folders, or of ``images/``.
        train_list: List file, lines ``Class/name.jpg``.
        test_list: Likewise; its images are classified.
        train: In place of these three, config of a classification data set;
            its pipeline is not used.
        test: Likewise.
        interval: Iterations between two probes.
        at_start: Probe before the first iteration too.
        branch: ``'teacher'`` or ``'student'``; of a model without branches
            its ``backbone`` is probed.
        features: ``'last'``, ``'stages'`` or ``'fused'``, see
            :class:`FeatureEncoder`.
        sensor: Sensor of the images; the encoder's own by default.
        k: Neighbours.
        temperature: Of their weights; None for plain votes.
        max_images: Of each list about so many are used, drawn by class,
            one of each class at least; None uses all.
        image_size: Side to which images are resized.
        batch_size: Images in a batch.
        bfloat16: Run the encoder in bfloat16; in float32, with a warning, on
            a CPU that would only emulate it.
        keep: Keep the images in memory, as float32; else they are read anew
            for each probe.
        pooling: ``'mean'`` or ``'mean_deviation'``, see
            :class:`FeatureEncoder`.
        standardise: Bring features to mean 0 and deviation 1 first.

    Raises:
        ValueError: Neither lists nor data sets, or interval below 1.
    """

    # After the teacher has moved, before checkpoints are written.
    priority = 'LOW'

    def __init__(self,
                 data_root: str | None = None,
                 train_list: str | None = None,
                 test_list: str | None = None,
                 train: Mapping[str, Any] | None = None,
                 test: Mapping[str, Any] | None = None,
                 interval: int = 500,
                 at_start: bool = True,
                 branch: str = 'teacher',
                 features: str = 'last',
                 sensor: str | None = None,
                 k: int = 20,
                 temperature: float | None = 0.07,
                 max_images: int | None = None,
                 image_size: int | None = None,
                 batch_size: int = 64,
                 bfloat16: bool = False,
                 keep: bool = True,
                 pooling: str = 'mean',
                 standardise: bool = False) -> None:
        lists = (data_root, train_list, test_list)
        if (None in lists) == (train is None or test is None):
            raise ValueError(
                'ProbingHook: expected either data_root, train_list and '
                'test_list, or train and test (configs of data sets)')
        if interval < 1 or (max_images is not None and max_images < 1):
            raise ValueError(
                f'ProbingHook: interval={interval}, max_images={max_images}: '
                'expected at least 1')
        if branch not in ('teacher', 'student'):
            raise ValueError(f"ProbingHook: branch='{branch}', expected "
                             "'teacher' or 'student'")
        self.lists, self.datasets = lists, (train, test)
        self.interval, self.at_start = interval, at_start
        self.branch, self.features, self.sensor = branch, features, sensor
        self.max_images, self.keep = max_images, keep
        self.options = ProbeOptions(
            'knn', k, temperature, image_size=image_size,
            batch_size=batch_size, bfloat16=bfloat16,
            standardise=standardise)
        self.pooling = pooling
        self._images: dict[str, LabelledImages] = {}
        self._batches: dict[str, ImageBatches] = {}

    def before_train(self, runner: Runner) -> None:
        """Look for the images now, not hours later; probe if asked to."""
        self._images = dict(zip(('training', 'test'), self._read(),
                                strict=True))
        self._batches = {}
        device = next(runner.model.parameters()).device
        if self.options.bfloat16 and not has_bfloat16(device):
            print_log(f'ProbingHook(bfloat16=True): {EMULATED}; probing in '
                      'float32 instead', 'current', logging.WARNING)
            self.options = replace(self.options, bfloat16=False)
        check_split(self._images['training'], self._images['test'])
        get_sensor(self._encoder(runner)[0].sensor)
        if self.at_start and runner.iter == 0:
            self._probe(runner, 0)

    def after_train_iter(self, runner: Runner, batch_idx: int,
                         data_batch: Any = None,
                         outputs: Mapping[str, Any] | None = None) -> None:
        """Probe every ``interval`` iterations and at the end."""
        last = runner.iter + 1 == runner.max_iters
        if last or self.every_n_train_iters(runner, self.interval):
            self._probe(runner, runner.iter + 1)

    def _read(self) -> list[LabelledImages]:
        root, *files = self.lists
        if root is not None:
            assert files[0] is not None and files[1] is not None
            train = read_image_list(root, files[0])
            found = [train, read_image_list(root, files[1], train.classes)]
        else:
            config = {
                f'{split}_dataloader': dict(dataset=dict(dataset or {}))
                for split, dataset in zip(('train', 'test'), self.datasets,
                                          strict=True)
            }
            found = [labelled_images(config, split)
                     for split in ('train', 'test')]
        if self.max_images is None:
            return found
        return [
            part.subset(stratified_subset(
                part.labels, min(self.max_images / len(part), 1.0)))
            for part in found
        ]

    def _encoder(self, runner: Runner) -> tuple[FeatureEncoder, Any]:
        """The encoder in its wrapper, and the model's preprocessor."""
        model: Any = runner.model
        model = model.module if is_model_wrapper(model) else model
        parts: Any = getattr(model, self.branch, None)
        parts = {'backbone': getattr(model, 'backbone', None)} \
            if parts is None else parts
        if parts['backbone'] is None:
            raise TypeError('ProbingHook needs a model with a backbone, or '
                            'with student and teacher, found '
                            f'{type(model).__name__}')
        backbone = parts['backbone']
        # A ModuleDict has no get().
        fusion = parts['fusion'] if 'fusion' in parts else None  # noqa: SIM401
        sensor = str(self.sensor or getattr(backbone, 'sensor', 'hr_rgb'))
        return FeatureEncoder(backbone, self.features, (), sensor, fusion,
                              self.pooling), model.data_preprocessor

    def _probe(self, runner: Runner, iteration: int) -> None:
        encoder, preprocessor = self._encoder(runner)
        parameter = next(encoder.parameters())
        sharded = hasattr(parameter, 'placements')
        if not (sharded or is_main_process()):
            return
        sensor = get_sensor(encoder.sensor)
        features = {}
        with _evaluating(encoder):
            for kind, part in self._images.items():
                if kind not in self._batches:
                    self._batches[kind] = ImageBatches(
                        part, preprocessor, self.options.image_size,
                        self.options.batch_size, self.keep, sensor=sensor)
                found = extract_features(
                    encoder, self._batches[kind], parameter.device,
                    self.options.bfloat16, inference_mode=False)
                features[kind] = torch.cat(list(found.values()), dim=1)
        train, test = self._images['training'], self._images['test']
        try:
            right, _ = judge_features(
                features['training'], train.labels, features['test'],
                test.labels, len(test.classes), self.options)
        except ValueError as error:
            raise FloatingPointError(
                f'probe at iteration {iteration}: {error}') from error
        low, high = bootstrap_interval(right)
        top1 = float(right.mean())
        if not is_main_process():
            return
        name = 'probe/knn_top1'
        runner.message_hub.update_scalar(name, top1)
        runner.visualizer.add_scalar(name, top1, step=iteration)
        runner.logger.info(
            f'Probe (iter {iteration}): {name}: {top1:.4f} (95 %: {low:.4f} '
            f'to {high:.4f}; {len(train)} training, {len(test)} test images '
            f'of {os.path.commonpath([*test.paths[:1], *test.paths[-1:]])})')


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and each part's own mode again afterwards."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode
