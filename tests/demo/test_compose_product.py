"""What the demo makes of Kafka's own words, and of a kill that never came."""

from services.demo.compose_product import ComposeProduct, unread

GROUPS = """
GROUP      TOPIC             PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID          HOST         CLIENT-ID
sessions   intake.events     0          12              12              0    aiokafka-0.14.0-1-2  /172.20.0.4  aiokafka-0.14.0
sessions   intake.events     1          -               5               -    aiokafka-0.14.0-1-2  /172.20.0.4  aiokafka-0.14.0

Consumer group 'followup' has no active members.

GROUP      TOPIC             PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID          HOST         CLIENT-ID
followup   sessions.events   0          7               9               2    -                    -            -
"""


def test_what_no_group_has_read_is_unread_committed_or_not() -> None:
    assert unread(GROUPS) == (5 + 2, 12 + 7)


def test_a_kill_that_never_came_is_told() -> None:
    assert ComposeProduct(kill="kafka").missed() == ["never killed: kafka"]
    assert ComposeProduct().missed() == []
