# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""MGCL, the object level: clusters of places agree."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmskysense.registry import MODELS

from .shared_places import SharedPlaces
from .sinkhorn import sinkhorn_knopp
from .source_contrast import SourceContrast

_TINY = 1e-6
# Cosine of a cluster that does not exist: no place is assigned to it.
_NEVER = -1e4


@MODELS.register_module()
class ObjectContrast(SourceContrast):
    """The object-level term of MGCL: cluster centres of two views agree.

    The paper names Sinkhorn cluster centres of the pixel features as its
    objects (SkySense V2, spec section 3) and says no more. Ours, for a pair
    of views (student, teacher) of a tile, on the ground that they share:

    1. Seeds: ``num_clusters`` of the teacher's places, evenly spread over
       the list of shared places.
    2. ``cluster_rounds`` rounds of Sinkhorn k-means on the teacher's
       features (cosines, after subtracting the mean of the shared places):
       every cluster gets the same share of the ground.
    3. The student's own features are assigned to the teacher's clusters,
       with Sinkhorn as well. So cluster j means the same thing in both
       views, and centres are matched by index. Assignments have no gradient,
       centres do.
    4. Centres, of features as they were, pass the projection head; CL and
       Sinkhorn over the centres of the whole batch, as everywhere.

    A pair with fewer shared places than clusters has only so many clusters.

    Args:
        sources: Source -> channels of its features.
        num_clusters: Clusters of a pair of views.
        cluster_temperature: Of the assignment of places to clusters.
        cluster_rounds: Rounds of k-means.
        **options: See :class:`SourceContrast`.
    """

    def __init__(self,
                 sources: Mapping[str, int],
                 num_clusters: int = 8,
                 cluster_temperature: float = 0.05,
                 cluster_rounds: int = 3,
                 **options: int | float | dict | None) -> None:
        super().__init__(sources, **options)  # type: ignore[arg-type]
        if num_clusters < 2:
            raise ValueError(f'num_clusters={num_clusters}: expected at '
                             'least 2')
        if cluster_temperature <= 0 or cluster_rounds < 1:
            raise ValueError(
                f'cluster_temperature={cluster_temperature}, cluster_rounds='
                f'{cluster_rounds}: expected above 0 and at least 1')
        self.num_clusters = num_clusters
        self.cluster_temperature = cluster_temperature
        self.cluster_rounds = cluster_rounds

    def loss(self, teacher_head: 'ObjectContrast',
             places: Mapping[str, Sequence[SharedPlaces]],
             teacher_temperature: float) -> Tensor:
        """Agreement of cluster centres.

        Args:
            teacher_head: The teacher's copy of this head.
            places: Source -> shared places of each kind of view.
            teacher_temperature: Divides the teacher's logits.

        Returns:
            Scalar, at least 0; 0 where no two views share ground.
        """
        student, teacher, exists = {}, {}, {}
        for source in self.heads:
            if source not in places:
                continue
            centres = [self.centres(part) for part in places[source]]
            student[source], teacher[source], exists[source] = (
                torch.cat([part.flatten(0, 1) for part in parts])
                for parts in zip(*centres, strict=True))
        logits = self(student, exists)
        with torch.no_grad():
            target = teacher_head(teacher, exists)
        return self.matched_loss(logits, target, teacher_temperature, exists)

    def centres(self, places: SharedPlaces) -> tuple[Tensor, Tensor, Tensor]:
        """Cluster centres of pairs of views.

        Args:
            places: Of B pairs.

        Returns:
            The student's centres (B, M, C), with gradient, the teacher's
            (B, M, C) and bool (B, M), False for clusters that do not exist.
        """
        # Cosines of places that look alike need more than bfloat16.
        with torch.autocast(places.student.device.type, enabled=False):
            return self._centres(places)

    def _centres(self, places: SharedPlaces
                 ) -> tuple[Tensor, Tensor, Tensor]:
        weight = places.shared.float()
        with torch.no_grad():
            unit = _centred(places.teacher.float(), weight)
            seed, exists = self._seeds(places.shared)
            centre = unit.gather(1, seed[..., None].expand(
                -1, -1, unit.shape[2]))
            for _ in range(self.cluster_rounds):
                share = self._assign(unit, centre, weight, exists)
                centre = F.normalize(_means(share, unit), dim=-1, eps=_TINY)
            share = self._assign(unit, centre, weight, exists)
            teacher = _means(share, places.teacher)
            own = self._assign(
                _centred(places.student.detach().float(), weight), centre,
                weight, exists)
        return _means(own, places.student), teacher, exists

    def _seeds(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of seeds (B, M), and whether there is one, bool (B, M)."""
        rank = shared.cumsum(1)
        count = rank[:, -1:]
        cluster = torch.arange(self.num_clusters, device=shared.device)
        exists = cluster < count
        wanted = torch.where(count >= self.num_clusters,
                             cluster * count // self.num_clusters,
                             cluster.expand(len(shared), -1))
        # The first place at which so many shared ones have been counted.
        seed = torch.searchsorted(rank, wanted + 1)
        return seed.clamp(max=shared.shape[1] - 1), exists

    def _assign(self, unit: Tensor, centre: Tensor, weight: Tensor,
                exists: Tensor) -> Tensor:
        """Shares (B, P, M) of places in clusters."""
        cosine = torch.einsum('bpc,bmc->bpm', unit, centre)
        cosine = cosine.masked_fill(~exists[:, None], _NEVER)
        # Within a tile: other processes have other tiles.
        return sinkhorn_knopp(cosine, self.cluster_temperature,
                              self.sinkhorn_iterations, weight, joined=False)


def _centred(features: Tensor, weight: Tensor) -> Tensor:
    """Unit features (B, P, C) after subtracting their mean over places.

    What all places have in common says nothing about which are alike.
    """
    mean = torch.einsum('bp,bpc->bc', weight, features)
    mean = mean / weight.sum(1, keepdim=True).clamp(min=1)
    return F.normalize(features - mean[:, None], dim=-1, eps=_TINY)


def _means(share: Tensor, features: Tensor) -> Tensor:
    """Means (B, M, C) of features (B, P, C), weighted (B, P, M)."""
    features = features.to(torch.promote_types(features.dtype,
                                               torch.float32))
    share = share.to(features)
    total = share.sum(1).clamp(min=_TINY)[..., None]
    return torch.einsum('bpm,bpc->bmc', share, features) / total
