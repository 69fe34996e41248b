"""The bus over Kafka; the only place that knows aiokafka.

Offsets live in the consumer's own database. What Kafka stores for the group is a hint for people who look at lag, so none of the
client's commit faults can lose or repeat anything. Producing is idempotent; a producer that failed a batch in any way is thrown
away, since after one refused batch the broker refuses every later one of that partition.
"""

from shared.kafka.bus import KafkaBus
from shared.kafka.settings import TOPIC_CONFIG, KafkaSettings
from shared.kafka.topics import WrongTopics, verify_topics

__all__ = ["TOPIC_CONFIG", "KafkaBus", "KafkaSettings", "WrongTopics", "verify_topics"]
