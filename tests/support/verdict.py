"""What became of everything that a sender has done, judged by its state and the receiver's effects alone."""

from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

from tests.support.parties import Receiver, Sender


class Verdict(NamedTuple):
    """What became of everything that the sender has done."""

    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    invented: int = 0


WHOLE = Verdict()


async def verdict_on(sender: Sender, receiver: Receiver) -> Verdict:
    """Compare the sender's state with the receiver's effects; neither knows of the other's bookkeeping."""
    stories: dict[str, list[int]] = defaultdict(list)
    for effect in await receiver.effects():
        stories[effect.key].append(effect.number)
    told = await sender.last_numbers()
    verdict = WHOLE
    for key in told.keys() | stories.keys():
        story, wanted = stories[key], set(range(1, told.get(key, 0) + 1))
        verdict = Verdict(
            verdict.lost + len(wanted - set(story)),
            verdict.doubled + len(story) - len(set(story)),
            verdict.disordered + sum(later < earlier for earlier, later in pairwise(story)),
            verdict.invented + len(set(story) - wanted),
        )
    return verdict
