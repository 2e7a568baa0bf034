"""Coalescing: small vendor pages become batches worth a transaction, and a batch never outgrows memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gtmc_pipelines.model.records import Page


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full: numbers of records, bytes of payload, seconds since its first page.

    A single page above a limit is a batch of its own: a page is never split, since only its end
    has a checkpoint.
    """

    records: int = 2_000
    size: int = 8 * 1024 * 1024
    seconds: float = 1.0


def coalesce(
    pages: Iterator[Page], limits: BatchLimits | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Page]:
    """Merge pages up to the limits; each result carries the last page's checkpoint and watermark.

    When `pages` raises, what was read before is given first: it is committed, and the checkpoint
    with it. Then the exception goes on.
    """
    limits = limits or BatchLimits()
    held: list[Page] = []
    since = 0.0
    try:
        for page in pages:
            if held and _is_over(held, page, limits):
                yield _merge(held)
                held = []
            if not held:
                since = clock()
            held.append(page)
            if page.is_last or clock() - since >= limits.seconds:
                yield _merge(held)
                held = []
    except GeneratorExit:
        raise
    except Exception:
        if held:
            yield _merge(held)
        raise
    if held:
        yield _merge(held)


def _is_over(held: list[Page], page: Page, limits: BatchLimits) -> bool:
    if held[-1].fields != page.fields:
        return True
    records = sum(len(each.records) for each in held) + len(page.records)
    return records > limits.records or sum(each.size for each in held) + page.size > limits.size


def _merge(pages: list[Page]) -> Page:
    if len(pages) == 1:
        return pages[0]
    return Page(
        records=[record for page in pages for record in page.records],
        checkpoint=pages[-1].checkpoint,
        watermark=pages[-1].watermark,
        rejects=[reject for page in pages for reject in page.rejects],
        skipped=sum(page.skipped for page in pages),
        fields=pages[-1].fields,
        covers=pages[-1].covers,
    )
