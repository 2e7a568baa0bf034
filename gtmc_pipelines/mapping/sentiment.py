"""Sentiment of a transcript, by VADER: a compound score from -1 to 1, for the meeting and for each speaker.

An utterance is scored as a whole, a long one in pieces of at most 60 words (VADER is made for sentences,
and its cost grows with the square of their length). A mean weighs utterances by their characters. The
lexicon is English: other languages come out near zero.
"""

from __future__ import annotations

import string
import threading
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from math import fsum
from typing import Any, Protocol

from gtmc_pipelines.mapping.meetings import utterances

METHOD = "vaderSentiment"
PIECE_WORDS = 60
_SHORT = 40  # characters: "Yes, exactly." is said a thousand times, and scored once
_DIGITS = 4
_latest = threading.local()
_Weighed = tuple[float, int]


class _Analyzer(Protocol):
    lexicon: dict[str, float]

    def polarity_scores(self, text: str) -> dict[str, float]: ...


@cache
def method_version() -> str:
    """Version of the library: part of each result, and of what a stored row depends on."""
    return version(METHOD)


def sentiment(transcript: Any) -> dict[str, Any] | None:
    """`{method, version, score, speakers: [{speaker, score, characters}]}`; null when nobody said anything.

    Speakers come in the order in which they first spoke; one without a name is "". The latest result of
    each thread is kept: two columns of a row ask for it.
    """
    if not transcript:
        return None
    if getattr(_latest, "transcript", None) is not transcript:
        _latest.result = _scored(transcript)
        _latest.transcript = transcript  # held, so that no other list can take its place in memory
    result: dict[str, Any] | None = _latest.result
    return result


def sentiment_score(transcript: Any) -> float | None:
    """The score of `sentiment` alone."""
    found = sentiment(transcript)
    return None if found is None else float(found["score"])


def _scored(transcript: Any) -> dict[str, Any] | None:
    said = utterances(transcript)
    if not said:
        return None
    by_speaker: dict[str, list[_Weighed]] = {}
    for name, text in said:
        by_speaker.setdefault(name, []).append((compound(text), len(text)))
    speakers = [
        {"speaker": name, "score": _mean(weighed), "characters": sum(length for _, length in weighed)}
        for name, weighed in by_speaker.items()
    ]
    score = _mean([one for weighed in by_speaker.values() for one in weighed])
    return {"method": METHOD, "version": method_version(), "score": score, "speakers": speakers}


def _mean(weighed: Sequence[_Weighed]) -> float:
    """Mean of (score, characters). Exactly summed, so that it doesn't depend on who spoke first."""
    return round(fsum(score * length for score, length in weighed) / sum(length for _, length in weighed), _DIGITS)


def compound(text: str) -> float:
    """VADER's compound score of one utterance; pieces of a long one are weighed by their characters."""
    if len(text) <= _SHORT:
        return _short_compound(text)
    words = text.split()
    if len(words) <= PIECE_WORDS:
        return _compound(text)
    pieces = [" ".join(words[start : start + PIECE_WORDS]) for start in range(0, len(words), PIECE_WORDS)]
    return sum(_compound(piece) * len(piece) for piece in pieces) / sum(map(len, pieces))


@lru_cache(maxsize=4096)
def _short_compound(text: str) -> float:
    return _compound(text)


def _compound(text: str) -> float:
    analyzer = _analyzer()
    if text.isascii() and not _has_mood(text.split(), analyzer.lexicon):
        return 0.0  # what the analyzer would say, too, after ten times the work
    return float(analyzer.polarity_scores(text)["compound"])


def _has_mood(words: Iterable[str], lexicon: dict[str, float]) -> bool:
    """Whether any word is in the lexicon, bare or with its punctuation (emoticons)."""
    return any(word in lexicon or word.strip(string.punctuation) in lexicon for word in (raw.lower() for raw in words))


@cache
def _analyzer() -> _Analyzer:
    """The analyzer with its lexicon, read once from the installed package (a tenth of a second)."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer: _Analyzer = SentimentIntensityAnalyzer()
    return analyzer
