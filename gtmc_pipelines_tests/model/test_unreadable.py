"""What nobody can read of a record is marked, found again, and never changes what can be read."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model import unreadable
from gtmc_pipelines.model.unreadable import MOST_DEPTH, TOO_DEEP, fault_of, shallow

_documents = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _cut(value: object, most: int) -> object:
    if isinstance(value, list | dict) and most == 0:
        return TOO_DEEP
    if isinstance(value, dict):
        return {key: _cut(item, most - 1) for key, item in value.items()}
    return [_cut(item, most - 1) for item in value] if isinstance(value, list) else value


@given(_documents, st.integers(1, 6), st.booleans())
def test_only_what_is_too_deep_goes(document: object, most: int, is_ascii: bool) -> None:
    data = json.dumps(document, ensure_ascii=is_ascii).encode()
    cut = shallow(data, most)
    assert json.loads(cut) == _cut(document, most)
    assert (cut is data) == (_depth(document) <= most)


@given(st.binary(), st.integers(0, 3))
def test_anything_at_all_is_passed_over_in_one_go(data: bytes, most: int) -> None:
    shallow(data, most)
    shallow(b'"' + b'\\"' * 5_000 + data, most)
    fault_of(data)
    assert fault_of(unreadable.unmarked(data)) in (None, "too_deep")


def test_two_hundred_thousand_levels_take_a_moment() -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        data = f'{{"id":1,"x":{opening * 200_000}1{closing * 200_000},"y":[2]}}'.encode()
        assert fault_of(data) == "too_deep"
        kept = json.loads(shallow(data))
        assert (kept["id"], kept["y"]) == (1, [2])
        assert _depth(kept) == MOST_DEPTH
