"""Tests of the cycle detection shared by the service and the runner."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from hypothesis import given
from hypothesis import strategies as st

from processing_context.wire.graph import Edge, Graph, Node
from processing_context.wire.graph_checks import cycles, unsorted_nodes

PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=12)


def graph(pairs: list[tuple[str, str]], ids: str = "abcdef") -> Graph:
    return Graph(
        nodes=[Node(id=node, type="t") for node in ids],
        edges=[Edge(source=s, sourceHandle="o", target=t, targetHandle="i") for s, t in pairs],
    )


def test_nodes_after_a_cycle_cannot_be_sorted_and_are_in_no_cycle() -> None:
    bad = graph([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("e", "e")])
    assert sorted(unsorted_nodes(bad)) == ["b", "c", "d", "e"]
    assert [sorted(found) for found in cycles(bad)] == [["b", "c"], ["e"]]


def test_edges_of_unknown_nodes_are_left_out() -> None:
    assert unsorted_nodes(graph([("a", "z"), ("z", "a")])) == []


@given(PAIRS)
def test_a_graph_has_a_cycle_where_it_cannot_be_sorted(pairs: list[tuple[str, str]]) -> None:
    sorter = TopologicalSorter({node: [s for s, t in pairs if t == node] for node in "abcdef"})
    try:
        sorter.prepare()
        has_cycle = False
    except CycleError:
        has_cycle = True
    found = cycles(graph(pairs))
    assert bool(found) is bool(unsorted_nodes(graph(pairs))) is has_cycle
    assert {node for cycle in found for node in cycle} == {
        node for node in "abcdef" if node in _reached(node, pairs)
    }


def _reached(start: str, pairs: list[tuple[str, str]]) -> set[str]:
    reached: set[str] = set()
    left = [start]
    while left:
        node = left.pop()
        new = {t for s, t in pairs if s == node} - reached
        reached |= new
        left += new
    return reached
