#!/bin/bash
# Brings a running Kafka to what topics.txt, acls.txt and the secrets say, and verifies that it is there. Safe to run again;
# prints what it changed. Every tool is a Java process of its own, so it asks first and changes only what differs.
set -euo pipefail
umask 077
bin=/opt/kafka/bin
here=$(dirname "$0")
properties=/tmp/admin.properties
kafka=(--bootstrap-server "${KAFKA_BOOTSTRAP:-kafka:9092}" --command-config "$properties")

cat >"$properties" <<P
security.protocol=SASL_PLAINTEXT
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$(cat /run/secrets/kafka-admin-password)";
P

say() { printf 'kafka-init: %s\n' "$*"; }

set_passwords() { # of every service that has a right; also renews one that was changed
  local user
  for user in $(sed -n 's/^User:\([a-z-]*\) .*/\1/p' "$here/acls.txt" | sort -u); do
    printf 'SCRAM-SHA-512=[password=%s]\n' "$(cat "/run/secrets/$user-kafka-password")" >"/tmp/$user"
    "$bin/kafka-configs.sh" "${kafka[@]}" --alter --entity-type users --entity-name "$user" --add-config "$(cat "/tmp/$user")" >/dev/null
    say "password of $user set"
  done
}

topics() { # what there is, as topics.txt writes it, with the settings that it names
  local name partitions settings named
  named=$(tr ' ' '\n' <"$here/topics.txt" | sed -n 's/=.*/=/p' | sort -u)
  "$bin/kafka-topics.sh" "${kafka[@]}" --describe --exclude-internal |
    sed -n 's/^Topic: *\([^ \t]*\).*PartitionCount: *\([0-9]*\).*Configs: *\(.*\)$/\1 \2 \3/p' |
    while read -r name partitions settings; do
      printf '%s %s %s\n' "$name" "$partitions" "$(tr ',' '\n' <<<"$settings" | grep -F "$named" | sort | paste -s -d ' ' -)"
    done | sort
}

make_topics() {
  local name partitions settings setting there
  there=$(topics)
  while read -r name partitions settings; do
    grep -qxF "$name $partitions $settings" <<<"$there" && continue
    if grep -q "^$name " <<<"$there"; then
      "$bin/kafka-configs.sh" "${kafka[@]}" --alter --entity-type topics --entity-name "$name" --add-config "${settings// /,}" >/dev/null
      say "topic $name: settings corrected"
    else
      local config=()
      for setting in $settings; do config+=(--config "$setting"); done
      "$bin/kafka-topics.sh" "${kafka[@]}" --create --topic "$name" --partitions "$partitions" --replication-factor 1 "${config[@]}" >/dev/null
      say "topic $name created"
    fi
  done <"$here/topics.txt"
  topics | verify topics "$here/topics.txt"
}

grants() { # what there is, as acls.txt writes it; a right that it cannot write is shown as it is, and found to be too much
  "$bin/kafka-acls.sh" "${kafka[@]}" --list | awk '
    function pascal(word,  i, n, part, out) {
      n = split(tolower(word), part, "_")
      for (i = 1; i <= n; i++) out = out toupper(substr(part[i], 1, 1)) substr(part[i], 2)
      return out
    }
    /resourceType=/ {
      kind = $0; sub(/.*resourceType=/, "", kind); sub(/,.*/, "", kind)
      name = $0; sub(/.*name=/, "", name); sub(/, patternType=.*/, "", name)
      pattern = $0; sub(/.*patternType=/, "", pattern); sub(/\).*/, "", pattern)
    }
    /principal=/ {
      principal = $0; sub(/.*principal=/, "", principal); sub(/,.*/, "", principal)
      operation = $0; sub(/.*operation=/, "", operation); sub(/,.*/, "", operation)
      plain = pattern == "LITERAL" && /host=\*,/ && /permissionType=ALLOW/
      print principal, pascal(operation), tolower(kind), name (plain ? "" : " " pattern " " $0)
    }' | sort
}

change_grants() { # change_grants --add|--remove: the rights on standard input, one call for each principal and operation
  local action=$1 principal operation kind name previous="" call=()
  [ "$action" = --remove ] && action="--remove --force"
  while read -r principal operation kind name; do
    if [ "$principal $operation" != "$previous" ] && [ ${#call[@]} -gt 0 ]; then
      "$bin/kafka-acls.sh" "${kafka[@]}" $action "${call[@]}" >/dev/null </dev/null
      call=()
    fi
    [ ${#call[@]} -gt 0 ] || call=(--allow-principal "$principal" --operation "$operation")
    call+=("--$kind" "$name")
    previous="$principal $operation"
  done
  if [ ${#call[@]} -gt 0 ]; then "$bin/kafka-acls.sh" "${kafka[@]}" $action "${call[@]}" >/dev/null </dev/null; fi
}

make_grants() {
  local there missing extra
  there=$(grants)
  missing=$(comm -23 "$here/acls.txt" <(printf '%s\n' "$there"))
  extra=$(comm -13 "$here/acls.txt" <(printf '%s\n' "$there") | sed '/^$/d')
  if [ -n "$missing" ]; then change_grants --add <<<"$missing"; say "rights given:"; printf '%s\n' "$missing"; fi
  if [ -n "$extra" ]; then change_grants --remove <<<"$extra"; say "rights taken away:"; printf '%s\n' "$extra"; fi
  if [ -n "$missing$extra" ]; then grants | verify rights "$here/acls.txt"; fi
}

verify() { # verify WHAT WANTED: standard input must be the file
  local found
  found=$(cat)
  if ! diff <(printf '%s\n' "$found") "$2" >&2; then say "the $1 are not as $2 says (< is, > should be)" >&2; exit 1; fi
}

export LC_ALL=C
set_passwords & passwords=$!
make_topics & topics=$!
make_grants & grants=$!
wait "$passwords"
wait "$topics"
wait "$grants"
say "users, topics and rights are as they should be"
