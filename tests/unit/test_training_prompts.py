"""The order of prompts: all once before any comes again, and the same after a resumption."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalkit.records import Sample
from evalkit.training.batches import packed
from evalkit.training.prompts import Stream


def samples(count: int) -> list[Sample]:
    return [Sample(id=str(i), question="?") for i in range(count)]


@given(count=st.integers(1, 30), seed=st.integers(0, 5))
def test_each_round_has_every_item_once(count: int, seed: int) -> None:
    stream = Stream(samples(count), seed)
    rounds = [[stream.take(1)[0].id for _ in range(count)] for _ in range(3)]
    assert all(sorted(ids, key=int) == [str(i) for i in range(count)] for ids in rounds)


@given(count=st.integers(1, 30), sizes=st.lists(st.integers(1, 10), min_size=2, max_size=8), seed=st.integers(0, 5))
def test_a_resumed_stream_goes_on_where_it_was(count: int, sizes: list[int], seed: int) -> None:
    whole, first = Stream(samples(count), seed), Stream(samples(count), seed)
    expected = [[item.id for item in whole.take(size)] for size in sizes]
    half = len(sizes) // 2
    found = [[item.id for item in first.take(size)] for size in sizes[:half]]
    second = Stream(samples(count), seed, first.drawn)
    assert found + [[item.id for item in second.take(size)] for size in sizes[half:]] == expected


@given(count=st.integers(1, 20), want=st.integers(0, 25), without=st.sets(st.integers(0, 19)))
def test_no_item_is_taken_twice_nor_one_that_is_passed_over(count: int, want: int, without: set[int]) -> None:
    names = {str(i) for i in without}
    taken = [item.id for item in Stream(samples(count), 0).take(want, names)]
    assert len(set(taken)) == len(taken)
    assert names.isdisjoint(taken)
    assert len(taken) == min(want, count - len([i for i in without if i < count]))


def test_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(item.id for item in Stream(samples(20), seed).take(20)) for seed in range(5)}
    assert len(orders) == 5


@given(lengths=st.lists(st.integers(1, 100), max_size=40), most=st.integers(1, 300))
def test_packing_keeps_every_sequence_and_the_bound(lengths: list[int], most: int) -> None:
    batches = packed(lengths, most)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= most
