"""When a cloud's answer is given up, and what the device does then. Pure: moments in, a decision out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchharness.records import CloudEnd

RESTART, CONTINUE = "restart", "continue"
#: What every policy is held against: nothing but the cloud, nothing but the device.
CLOUD_ALONE, DEVICE_ALONE = "cloud alone", "device alone"


@dataclass(frozen=True)
class Policy:
    """The cloud first; the device where no first token came within `first_token_ns`, or no other within `gap_ns`.

    None waits on. A failure of the cloud hands over at once, if the policy knows the device at all.
    """

    name: str
    first_token_ns: int | None = None
    gap_ns: int | None = None
    on_failure: str = RESTART  # or CONTINUE after what has come
    asks_cloud: bool = True
    has_device: bool = True

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Policy:
        """As settings have it."""
        return cls(told["name"], told["first_token_ns"], told["gap_ns"], told["on_failure"])


ALONE = (
    Policy(CLOUD_ALONE, has_device=False),
    Policy(DEVICE_ALONE, asks_cloud=False),
)


class Patience:
    """One answer's patience. Moments are ns of one clock."""

    def __init__(self, policy: Policy, asked_ns: int, give_up_ns: int) -> None:
        self._policy = policy
        self._asked_ns = asked_ns
        self._last_ns: int | None = None  # when the newest piece came
        self._end_ns = asked_ns + give_up_ns

    def came(self, moment_ns: int) -> None:
        """A piece of the answer came."""
        self._last_ns = moment_ns

    @property
    def until_ns(self) -> int:
        """The moment at which it is over if nothing comes."""
        policy = self._policy
        if self._last_ns is None:
            own = None if policy.first_token_ns is None else self._asked_ns + policy.first_token_ns
        else:
            own = None if policy.gap_ns is None else self._last_ns + policy.gap_ns
        return self._end_ns if own is None else min(own, self._end_ns)

    def why(self, now_ns: int) -> CloudEnd | None:
        """Why it is over by now; None where it is not."""
        if now_ns < self.until_ns:
            return None
        if self.until_ns == self._end_ns:
            return CloudEnd.GIVEN_UP
        return CloudEnd.LATE_FIRST_TOKEN if self._last_ns is None else CloudEnd.SILENCE
