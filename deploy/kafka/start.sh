#!/bin/bash
# Starts the broker: server.properties with the passwords of the secrets, storage formatted at the first start.
set -euo pipefail
umask 077
bin=/opt/kafka/bin
here=$(dirname "$0")
properties=/tmp/server.properties
log=/var/lib/kafka/data/log

secret() { # secret NAME: one password; without it nothing starts
  local value
  value=$(cat "/run/secrets/$1")
  if [ ${#value} -lt 32 ]; then printf 'Refused to start. %s: needs at least 32 random bytes\n' "$1" >&2; exit 78; fi
  printf '%s' "$value"
}

random_id() { # 16 random bytes as Kafka writes ids; a leading dash would be read as an option
  local id=-
  while [ "${id#-}" != "$id" ]; do id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | head -c 22); done
  printf '%s' "$id"
}

node=$(secret kafka-node-password)
broker=$(secret kafka-broker-password)
admin=$(secret kafka-admin-password)

cp "$here/server.properties" "$properties"
cat >>"$properties" <<P
listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="node" password="$node" user_node="$node";
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="broker" password="$broker";
P

# The cluster's id is made here and kept with the log, so that a new log is never taken for the old one.
# What makes a log formatted is written last: a first start that was cut short is done again.
if [ ! -s "$log/meta.properties" ]; then
  "$bin/kafka-storage.sh" format -t "$(random_id)" -c "$properties" \
    --add-scram "SCRAM-SHA-512=[name=broker,password=$broker]" --add-scram "SCRAM-SHA-512=[name=admin,password=$admin]"
fi
exec "$bin/kafka-server-start.sh" "$properties"
