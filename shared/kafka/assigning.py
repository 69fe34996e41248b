"""Which member of a group reads which partitions: each topic is divided by itself, and who stays keeps what it has.

aiokafka's own sticky assignor divides the partitions of all topics at once. Of two members the second then takes over half of them, and
that was one whole topic: one process read all infusions and the other one none.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import (
    StickyAssignmentExecutor,
    StickyAssignorMemberMetadataV1,
    StickyPartitionAssignor,
)
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment


class TopicByTopic(StickyPartitionAssignor):  # type: ignore[misc]  # aiokafka ships no types
    """Speaks the same protocol as aiokafka's: members of either kind may meet in one group, and the group's leader divides."""

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, ConsumerProtocolMemberAssignment]:  # Any: aiokafka's own types
        """Divide the partitions; called at the group's leader."""
        known = {name: cls.parse_member_metadata(metadata) for name, metadata in members.items()}
        shares: dict[str, list[tuple[str, list[int]]]] = {name: [] for name in members}
        for topic in sorted({topic for member in known.values() for topic in member.subscription}):
            readers = {name: _about(topic, member) for name, member in known.items() if topic in member.subscription}
            executor = StickyAssignmentExecutor(cluster, readers)
            executor.perform_initial_assignment()
            executor.balance()
            for name in readers:
                shares[name] += executor.get_final_assignment(name)
        return {name: ConsumerProtocolMemberAssignment(cls.version, share, b"") for name, share in shares.items()}


def assignor() -> type[TopicByTopic]:
    """The assignor of one member. It keeps its memory on the class: every member needs a class of its own."""
    return type("Assignor", (TopicByTopic,), {})


def _about(topic: str, member: StickyAssignorMemberMetadataV1) -> StickyAssignorMemberMetadataV1:
    """What a member said of itself, as far as it concerns one topic."""
    return member._replace(subscription=[topic], partitions=[place for place in member.partitions if place.topic == topic])
