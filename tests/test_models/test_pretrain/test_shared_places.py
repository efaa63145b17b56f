# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""Which places meet: maps that know their own ground and date."""

import pytest
import torch

from mmskysense.models.pretrain.encoded_views import EncodedViews, SourceMaps
from mmskysense.models.pretrain.shared_places import partners, shared_places


def random_views(views, tiles, dates, size, days):
    """Views whose features are (ground x, ground y, day) of each place."""
    span = 0.4 + 0.6 * torch.rand(views, tiles, 2)
    first = (1 - span) * torch.rand(views, tiles, 2)
    boxes = torch.cat((first, first + span), -1)
    flips = torch.rand(views, tiles, 2) < 0.5
    day = days[torch.rand(views, tiles, len(days)).topk(dates).indices]
    maps = torch.zeros(views, tiles, dates, 3, *size)
    for v in range(views):
        for n in range(tiles):
            for row in range(size[0]):
                for column in range(size[1]):
                    x = (column + 0.5) / size[1]
                    y = (row + 0.5) / size[0]
                    x = 1 - x if flips[v, n, 0] else x
                    y = 1 - y if flips[v, n, 1] else y
                    x0, y0, x1, y1 = boxes[v, n].tolist()
                    maps[v, n, :, 0, row, column] = x0 + x * (x1 - x0)
                    maps[v, n, :, 1, row, column] = y0 + y * (y1 - y0)
            maps[v, n, :, 2] = day[v, n, :, None, None].float()
    measured = torch.ones(views, tiles, dates, *size, dtype=torch.bool)
    source = SourceMaps(maps, measured, day)
    return EncodedViews(dict(s2=source), {}, {}, boxes, flips)


def of(views, **changes):
    """The same views with another field of their source."""
    source = views.sources['s2']
    fields = {**vars(source), **changes}
    return EncodedViews(dict(s2=SourceMaps(**fields)), {}, {}, views.boxes,
                        views.flips)


DAYS = torch.tensor([10, 50, 90, 200])


@pytest.mark.parametrize('max_places', [1000, 40])
def test_the_same_ground_at_the_same_date(max_places):
    student = random_views(3, 2, 2, (5, 4), DAYS)
    teacher = random_views(2, 2, 3, (40, 48), DAYS)
    found = shared_places(student, teacher, 's2', (1, 0, 1), max_places)
    places = min(max_places, 2 * 5 * 4)
    assert found.student.shape == (6, places, 3)
    assert found.shared.any() and not found.shared.all()
    own, other = (x[found.shared] for x in (found.student, found.teacher))
    # A teacher's place is a fortieth of its view: half of one at the border.
    torch.testing.assert_close(own[:, :2], other[:, :2], rtol=0, atol=0.013)
    torch.testing.assert_close(own[:, 2], other[:, 2], rtol=1e-4, atol=0)

    # Each place that could be shared is, and none else.
    ground, day = found.student[..., :2], found.student[..., 2]
    for pair in range(6):
        view, tile = divmod(pair, 2)
        partner = (1, 0, 1)[view]
        box = teacher.boxes[partner, tile]
        inside = ((ground[pair] > box[:2]) & (ground[pair] < box[2:])).all(1)
        dates = teacher.sources['s2'].dates[partner, tile]
        there = (day[pair][:, None] == dates).any(1)
        assert torch.equal(found.shared[pair], inside & there)


def test_the_draw_prefers_what_is_shared_and_differs():
    student = random_views(2, 3, 2, (6, 6), DAYS[:2])
    teacher = random_views(2, 3, 2, (6, 6), DAYS[:2])
    everything = shared_places(student, teacher, 's2', (0, 1), 72)
    few = shared_places(student, teacher, 's2', (0, 1), 9)
    again = shared_places(student, teacher, 's2', (0, 1), 9)
    assert torch.equal(few.shared.sum(1),
                       everything.shared.sum(1).clamp(max=9))
    assert not torch.equal(few.student, again.student)
    for pair in range(6):
        rows = {tuple(row) for row in few.student[pair].tolist()}
        assert len(rows) == 9
        assert rows <= {tuple(row)
                        for row in everything.student[pair].tolist()}


def test_unmeasured_places_are_no_places():
    student = random_views(1, 1, 1, (4, 4), DAYS[:1])
    whole = torch.tensor([[[0.0, 0, 1, 1]]])
    straight = torch.zeros(1, 1, 2, dtype=torch.bool)
    student = EncodedViews(student.sources, {}, {}, whole, straight)
    hole = torch.ones(1, 1, 1, 4, 4, dtype=torch.bool)
    hole[..., 0, 1] = False
    lost = of(student, measured=hole)
    for one, two in ((lost, student), (student, lost)):
        found = shared_places(one, two, 's2', (0, ), 16)
        expected = torch.ones(16, dtype=torch.bool)
        expected[1] = False
        assert torch.equal(found.shared[0], expected)
    # Half of each sample is in the hole's column: measured neighbours give
    # the value, and what lies in the hole leaves no trace.
    poisoned = lost.sources['s2'].maps.clone()
    poisoned[..., 0, 1] = 1e6
    shifted = EncodedViews(of(lost, maps=poisoned).sources, {}, {},
                           whole + torch.tensor([0.1, 0, 0.1, 0]), straight)
    found = shared_places(student, shifted, 's2', (0, ), 16)
    assert found.shared.any()
    assert found.teacher[found.shared].max() < 1e3


def test_unknown_dates():
    student = random_views(1, 2, 1, (3, 3), torch.tensor([0]))
    teacher = random_views(1, 2, 1, (3, 3), torch.tensor([0]))
    assert shared_places(student, teacher, 's2', (0, ), 9).shared.any()
    # In a series nobody knows which unknown date is which.
    student = random_views(1, 2, 2, (3, 3), torch.tensor([0, 0]))
    teacher = random_views(1, 2, 2, (3, 3), torch.tensor([0, 0]))
    assert not shared_places(student, teacher, 's2', (0, ), 18).shared.any()


def test_gradients_reach_the_student_alone():
    student = random_views(2, 1, 1, (4, 4), DAYS[:1])
    maps = student.sources['s2'].maps.requires_grad_()
    other = random_views(2, 1, 1, (4, 4), DAYS[:1])
    other.sources['s2'].maps.requires_grad_()
    found = shared_places(student, other, 's2', (1, 0), 5)
    found.student.sum().backward()
    assert maps.grad.any() and not found.teacher.requires_grad


@pytest.mark.parametrize('views, teachers, same, expected', [
    (2, 2, True, (1, 0)), (3, 3, True, (1, 2, 0)), (1, 1, True, ()),
    (4, 2, False, (0, 1, 0, 1)), (3, 1, False, (0, 0, 0))])
def test_partners(views, teachers, same, expected):
    assert partners(views, teachers, same) == expected
