"""How a group divides the partitions of its topics; tried on aiokafka's own messages, without a broker."""

import random
from collections.abc import Sequence
from itertools import count

from shared.bus import PARTITIONS
from shared.kafka.assigning import TopicByTopic, assignor

TOPICS = ["intake.events", "sessions.events"]
EVERYTHING = {(topic, partition) for topic in TOPICS for partition in range(PARTITIONS)}


class Cluster:
    """What the leader asks of its cluster."""

    def topics(self) -> set[str]:
        return set(TOPICS)

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(range(PARTITIONS))


class Group:
    """Members that come and go; after each change the first of them divides, as a group's leader does."""

    def __init__(self) -> None:
        self.members: dict[str, type[TopicByTopic]] = {}
        self._numbers, self._generations = count(1), count(1)

    def join(self) -> str:
        name = f"member-{next(self._numbers)}"
        self.members[name] = assignor()
        self._divide()
        return name

    def leave(self, name: str) -> None:
        del self.members[name]
        self._divide()

    def of(self, name: str) -> set[tuple[str, int]]:
        return set(self.members[name].member_assignment)

    def counts(self, topic: str) -> list[int]:
        """How many of a topic's partitions each member has."""
        return sorted(sum(place[0] == topic for place in self.of(name)) for name in self.members)

    def _divide(self) -> None:
        leader = next(iter(self.members.values()))
        shares = leader.assign(Cluster(), {name: member.metadata(TOPICS) for name, member in self.members.items()})
        generation = next(self._generations)
        for name, share in shares.items():
            self.members[name].on_assignment(share)
            self.members[name].on_generation_assignment(generation)


def test_each_topic_is_divided_among_all_members() -> None:
    group = Group()
    for shares in ([12], [6, 6], [4, 4, 4], [3, 3, 3, 3], [2, 2, 2, 3, 3]):
        group.join()
        assert [group.counts(topic) for topic in TOPICS] == [shares, shares]


def test_who_stays_keeps_all_it_has_when_another_one_leaves() -> None:
    group = Group()
    first, second, third = group.join(), group.join(), group.join()
    before = group.of(first), group.of(second)
    group.leave(third)
    assert group.of(first) > before[0]
    assert group.of(second) > before[1]
    assert group.of(first) | group.of(second) == EVERYTHING


def test_every_partition_has_one_reader_whoever_comes_and_goes() -> None:
    chance = random.Random(20261125)
    group = Group()
    group.join()
    for _ in range(60):
        if len(group.members) > 1 and chance.random() < 0.5:
            group.leave(chance.choice(list(group.members)))
        else:
            group.join()
        read: Sequence[tuple[str, int]] = [place for name in group.members for place in group.of(name)]
        assert len(read) == len(EVERYTHING)
        assert set(read) == EVERYTHING
        assert all(group.counts(topic)[-1] - group.counts(topic)[0] <= 1 for topic in TOPICS)
