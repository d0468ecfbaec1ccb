from __future__ import annotations

from pathlib import Path

import pytest
from tiny_shards import SIDE

from lumiere.errors import InputError
from lumiere.train.dataset import CLIPS, Pictures
from lumiere.train.sources.shards import matching


@pytest.fixture
def clips(shards: Path) -> Pictures:
    return Pictures((f"{shards}/train-clips-*.tar",), CLIPS, (SIDE, SIDE))


def test_clips_are_chosen_by_their_captions(clips: Pictures) -> None:
    assert matching(clips, "") == [0, 1, 2]
    chosen = matching(clips, "a (red|blue) .*moving")
    assert [clips.caption(i).split()[1] for i in chosen] == ["red", "blue"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("flying", "data.captions is 'flying'; none of the 3 captions matches it"),
        ("(red", r"data.captions is '\(red', no regular expression: missing \), unterminated"),
    ],
)
def test_a_pattern_that_chooses_nothing_is_refused(clips: Pictures, pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        matching(clips, pattern)
