"""Attacks on OAuth states: altered, re-signed, used again, another connector's, too old, raced for."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from gtmc_pipelines.connectors.oauth import STATE_LIFE, StateSigner
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.storage import oauth_states
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage

_RACERS = 4


@dataclass(frozen=True)
class _Memory:
    """The database's memory of states, for one connector."""

    database: Database
    tenant: str
    connector: str

    def remember(self, nonce_hash: bytes, expires_at: datetime) -> None:
        oauth_states.remember(self.database, nonce_hash, self.tenant, self.connector, expires_at)

    def consume(self, nonce_hash: bytes, now: datetime) -> bool:
        return oauth_states.consume(self.database, nonce_hash, self.tenant, self.connector, now)


class StateAttack:
    """Issues a state to one connector and tries to have it accepted where it must not be."""

    def __init__(self, database: Database, tenants: tuple[str, str]) -> None:
        mine, theirs = tenants
        self._places = [
            *((mine, add_connector(database, mine, kind).id) for kind in ("salesforce", "o365")),
            (theirs, add_connector(database, theirs, "salesforce").id),
        ]
        self._signers = {
            place: StateSigner(bytes(range(32)), _Memory(database, *place)) for place in self._places
        }  # one key for all, the attacker's best case: each login has a key of its own

    def attempt(self, dice: Random) -> Tried:
        """One state, sent back in a way it must not be accepted in."""
        forms = (self._altered, self._signed_by_another, self._replayed, self._foreign, self._expired, self._raced)
        chosen = dice.choices(forms, weights=(6, 2, 2, 4, 2, 1))[0]
        now = datetime.now(UTC) if dice.random() < 0.5 else datetime.now(UTC) - timedelta(minutes=1)
        place = dice.choice(self._places)
        came_through = chosen(dice, place, self._signers[place].issue(*place, now), now)
        return Tried(chosen.__name__.strip("_").replace("_", " "), came_through)

    def aftermath(self) -> list[str]:
        """None: accepted states are seen at once."""
        return []

    def _is_accepted(self, state: str, place: tuple[str, str], now: datetime) -> bool:
        try:
            self._signers[place].redeem(state, *place, now)
        except GtmcError:
            return False
        return True

    def _altered(self, dice: Random, place: tuple[str, str], state: str, now: datetime) -> str | None:
        payload, _, signature = state.partition(".")
        content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        content[dice.choice("ntce")] = dice.choice(("", 0, None, "acme", int(now.timestamp()) + 10**6, [], {"a": 1}))
        rewritten = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
        position = dice.randrange(len(state))
        another = self._signers[place].issue(*place, now)
        sent = dice.choice(
            (
                f"{rewritten}.{signature}",
                f"{rewritten}.",
                rewritten,
                f"{payload}.{signature}.{signature}",
                f"{payload}.{another.partition('.')[2]}",
                f"{payload} .{signature}",
                f"{payload}=.{signature}",
                f"{state}\n",
                state[:position] + dice.choice("AB_-. é\0") + state[position + 1 :],
                state[:position],
                state.swapcase(),
            )
        )
        if sent == state:
            sent += "A"
        return "an altered state was accepted" if self._is_accepted(sent, place, now) else None

    def _signed_by_another(self, dice: Random, place: tuple[str, str], state: str, now: datetime) -> str | None:
        stranger = StateSigner(dice.choice((dice.randbytes(32), b"\0" * 32, b"")), self._signers[place].memory)
        accepted = self._is_accepted(stranger.issue(*place, now), place, now)
        return "a state signed by another key was accepted" if accepted else None

    def _replayed(self, dice: Random, place: tuple[str, str], state: str, now: datetime) -> str | None:
        if not self._is_accepted(state, place, now):
            return "the genuine state was not accepted"  # else these attempts would prove nothing
        later = now + dice.choice((timedelta(0), timedelta(seconds=1), timedelta(minutes=9), -timedelta(minutes=9)))
        return "a used state was accepted again" if self._is_accepted(state, place, later) else None

    def _foreign(self, dice: Random, place: tuple[str, str], state: str, now: datetime) -> str | None:
        elsewhere = dice.choice([other for other in self._places if other != place])
        return "another connector's state was accepted" if self._is_accepted(state, elsewhere, now) else None

    def _expired(self, dice: Random, place: tuple[str, str], state: str, now: datetime) -> str | None:
        late = STATE_LIFE + timedelta(seconds=dice.choice((0, 1, 60, 86_400, 3 * 10**8)))
        return "an expired state was accepted" if self._is_accepted(state, place, now + late) else None

    def _raced(self, dice: Random, place: tuple[str, str], state: str, now: datetime) -> str | None:
        accepted: list[bool] = []
        start = threading.Barrier(_RACERS)

        def race() -> None:
            start.wait()
            accepted.append(self._is_accepted(state, place, now))

        racers = [threading.Thread(target=race, name=f"racer {number}") for number in range(_RACERS)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        return None if accepted.count(True) == 1 else f"{accepted.count(True)} of {_RACERS} at once were accepted"


@contextmanager
def _opened(stage: Stage) -> Iterator[StateAttack]:
    tenants = stage.new_tenant("states"), stage.new_tenant("states")
    yield StateAttack(stage.database, tenants)


KIND = Kind("states", "a state is accepted twice, altered, late or elsewhere", 1_000, 60, _opened)
