# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Scene classification from class folders, with the published split lists."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from mmskysense.registry import DATASETS


@DATASETS.register_module()
class SceneDataset(BaseDataset):
    """Images in one folder for each class, all of them or those of a list.

    AID, RESISC-45 and EuroSAT are published like this, and their splits as
    lists of file names without labels, which mmpretrain's ``CustomDataset``
    does not read; it also refuses a split in which a class is missing.
    A sample has ``img_path`` and ``gt_label``, as mmpretrain expects.

    Args:
        ann_file: Text file with one image per line, ``class/name.jpg`` or
            ``name.jpg`` where the class is what stands before the last
            underscore. Empty: all images of the class folders.
        data_prefix: The folder of the class folders.
        metainfo: Must have ``classes``, names of folders in order of ids; a
            space in a name may be an underscore in the folder's.
        extensions: Of image files, lower case.
        with_label: Only True; the folders are the labels.
        **kwargs: Of mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: The folder, the list or a listed image is missing.
        ValueError: No classes given, an unknown class, or no image found.
    """

    def __init__(self,
                 ann_file: str = '',
                 data_prefix: str | Mapping[str, str] = '',
                 metainfo: Mapping[str, Any] | None = None,
                 extensions: Sequence[str] = ('.tif', '.tiff', '.jpg',
                                              '.jpeg', '.png'),
                 with_label: bool = True,
                 **kwargs: Any) -> None:
        if not metainfo or 'classes' not in metainfo:
            raise ValueError(
                'SceneDataset: expected metainfo=dict(classes=(...)), found '
                f'{metainfo}; name the class folders in order of their ids')
        if not with_label:
            raise ValueError('SceneDataset: with_label=False; use '
                             "mmpretrain's CustomDataset for images without "
                             'classes')
        self.extensions = tuple(extensions)
        if isinstance(data_prefix, str):
            data_prefix = dict(img_path=data_prefix)
        super().__init__(ann_file=ann_file, data_prefix=dict(data_prefix),
                         metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images and their labels."""
        folder = self.data_prefix['img_path']
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f'{folder}: expected a folder with one sub-folder for each '
                'class, found none; correct data_root or data_prefix')
        classes = list(self.metainfo['classes'])
        folders = [name.replace(' ', '_') for name in classes]
        names = self._listed() if self.ann_file else self._found(folder)
        samples = []
        for name in names:
            label = _class_of(name)
            if label.replace(' ', '_') not in folders:
                raise ValueError(
                    f"{self.ann_file or folder}: '{name}' is of class "
                    f"'{label}', expected one of {classes}; correct "
                    'metainfo.classes')
            path = os.path.join(
                folder, name if '/' in name else f'{label}/{name}')
            if self.ann_file and not os.path.isfile(path):
                raise FileNotFoundError(
                    f'{path}: named in {self.ann_file}, found no such file; '
                    'correct data_root or data_prefix')
            number = folders.index(label.replace(' ', '_'))
            samples.append(dict(img_path=path, gt_label=number))
        if not samples:
            raise ValueError(
                f'{self.ann_file or folder}: expected images '
                f'({", ".join(self.extensions)}) of {classes}, found none')
        return samples

    def get_cat_ids(self, idx: int) -> list[int]:
        """Class of a sample, for mmengine's ``ClassBalancedDataset``."""
        return [int(self.get_data_info(idx)['gt_label'])]

    def _listed(self) -> list[str]:
        if not os.path.isfile(self.ann_file):
            raise FileNotFoundError(
                f'{self.ann_file}: expected a list of images, one per line, '
                'found no such file; correct ann_file')
        with open(self.ann_file, encoding='utf-8') as file:
            return [line.strip() for line in file if line.strip()]

    def _found(self, folder: str) -> list[str]:
        return [
            f'{label}/{name}' for label in sorted(os.listdir(folder))
            if os.path.isdir(os.path.join(folder, label))
            for name in sorted(os.listdir(os.path.join(folder, label)))
            if name.lower().endswith(self.extensions)
        ]


def _class_of(name: str) -> str:
    if '/' in name:
        return name.split('/')[-2]
    return name.rpartition('_')[0]
