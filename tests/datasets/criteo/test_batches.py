"""The split and the batches: every row once, in an order that its seed alone decides."""

from __future__ import annotations

import pytest
import torch

from datasets.core.errors import DataError
from datasets.criteo.load import CriteoData, batches

N_ROWS = 1003


def data(n_rows: int = N_ROWS) -> CriteoData:
    """Rows that carry their own number."""
    numbers = torch.arange(n_rows, dtype=torch.int32)
    return CriteoData(numbers.unsqueeze(1).expand(-1, 39).contiguous(), (numbers % 2).to(torch.uint8), (n_rows,) * 39)


def numbers(found) -> list[int]:
    """The rows that batches hold."""
    return [number for batch in found for number in batch.feature_ids[:, 7].tolist()]


def test_the_parts_of_a_split_are_disjoint_and_all_there_is() -> None:
    """A row in two parts would be tested on what it was trained with."""
    split = data().split(seed=0)
    assert [len(part) for part in split] == [802, 100, 101]
    assert all(part.dtype == torch.int64 and bool((part.diff() > 0).all()) for part in split)
    assert sorted(torch.cat(split).tolist()) == list(range(N_ROWS))
    for part in split:
        assert abs(part.double().mean() - N_ROWS / 2) < N_ROWS / 8  # from all over the file, which is in order of time


def test_a_split_depends_on_its_seed_alone() -> None:
    first = data().split(seed=3)
    torch.manual_seed(5)
    again, other = data().split(seed=3), data().split(seed=4)
    assert all(one.equal(two) for one, two in zip(first, again, strict=True))
    assert not first.test.equal(other.test)


def test_a_split_by_days_keeps_the_order_of_time() -> None:
    """The test is the last seventh, validation the one before: nothing of the future is learned from."""
    split = data().split_by_days()
    assert torch.equal(torch.cat(split), torch.arange(N_ROWS))
    assert [len(part) for part in split] == [716, 143, 144] and N_ROWS == 1003
    with pytest.raises(DataError, match="too few"):
        data(9).split_by_days()


def test_too_few_rows_cannot_be_split() -> None:
    assert [len(part) for part in data(10).split(0)] == [8, 1, 1]
    with pytest.raises(DataError, match="9 rows are too few"):
        data(9).split(0)


@pytest.mark.parametrize("order_seed", [None, 0])
def test_batches_hold_every_chosen_row_once(order_seed: int | None) -> None:
    """The last, short batch among them, and each row with its own label."""
    chosen = torch.tensor([1, 3, 4, *range(100, 200)])
    found = list(batches(data(), chosen, 25, order_seed=order_seed))
    assert [len(batch.labels) for batch in found] == [25, 25, 25, 25, 3]
    assert sorted(numbers(found)) == chosen.tolist()
    for batch in found:
        assert batch.feature_ids.dtype == torch.int32 and batch.feature_ids.shape == (len(batch.labels), 39)
        assert batch.labels.dtype == torch.float32 and batch.labels.equal((batch.feature_ids[:, 0] % 2).float())


def test_without_a_seed_the_order_is_kept() -> None:
    chosen = torch.tensor([5, 2, 9])
    assert numbers(batches(data(), chosen, 2, order_seed=None)) == [5, 2, 9]


def test_the_order_depends_on_its_seed_alone() -> None:
    """All methods see the same order, a resumed run the same as before, and every epoch another."""
    train = data().split(0).train
    first = numbers(batches(data(), train, 64, order_seed=1))
    torch.manual_seed(9)
    torch.rand(3)
    assert numbers(batches(data(), train, 64, order_seed=1)) == first
    assert numbers(batches(data(), train, 100, order_seed=1)) == first
    assert numbers(batches(data(), train, 64, order_seed=2)) != first != train.tolist()


def test_drawing_an_order_leaves_the_global_generator_alone() -> None:
    """Dropout of methods with and without feedback would differ by it."""
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(batches(data(), data().split(1).train, 64, order_seed=1))
    assert torch.rand(1).equal(expected)


@pytest.mark.parametrize("start", [0, 1, 4, 5, 6])
def test_batches_before_the_start_are_skipped(start: int) -> None:
    """A resumed epoch continues with the batch that was next, also when none was left."""
    chosen = torch.arange(103)
    everything = list(batches(data(), chosen, 25, order_seed=3))
    found = list(batches(data(), chosen, 25, order_seed=3, start=start))
    assert numbers(found) == numbers(everything[start:])


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"batch_size": 8, "start": -1}])
def test_impossible_batches_are_refused_at_once(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        batches(data(), torch.arange(3), order_seed=None, **arguments)
