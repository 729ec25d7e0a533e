# Sourced: one Apache Kafka broker (KRaft, broker and controller in one process).

# A class archive halves the startup time of the JVM; it is used if `install` has created one. RECO_KAFKA_COMPILER=4 lets the
# broker use its second compiler, too, for which a test is too short.
kafka_java() {
    local archive=()

    [ -e "$kafka_home/classes.jsa" ] && archive=("-XX:SharedArchiveFile=$kafka_home/classes.jsa")
    exec java "${archive[@]}" -Xshare:auto -XX:+UseSerialGC -XX:TieredStopAtLevel="${RECO_KAFKA_COMPILER:-1}" \
        -cp "$kafka_home/lib/*" "$@"
}

# kafka_tool CLASS ARGS...: runs one of Kafka's command line classes.
kafka_tool() (kafka_java -Xmx128m "$@")

# kafka_configure DIR: formats a broker's private folder.
kafka_configure() {
    local dir=$1/kafka port controller

    mkdir -p "$dir"
    port=$(free_port)
    controller=$(free_port)
    cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=500
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
END
    kafka_tool kafka.tools.StorageTool format -t "$(kafka_tool kafka.tools.StorageTool random-uuid)" \
        -c "$dir/server.properties" >"$1/kafka.log" 2>&1 || { cat "$1/kafka.log" >&2; return 1; }
    remember "$1" KAFKA "127.0.0.1:$port"
}

# kafka_start DIR [JVM OPTION...]
kafka_start() {
    local dir=$1

    shift
    [ -e "$dir/kafka/server.properties" ] || kafka_configure "$dir" || return 1
    (cd "$dir/kafka" && exec setsid bash -c '. "$0/common.sh"; . "$0/kafka.sh"; kafka_java "$@"' "$here" \
        -Xmx256m -Dlog4j2.level=INFO "$@" kafka.Kafka "$dir/kafka/server.properties") \
        >>"$dir/kafka.log" 2>&1 </dev/null &
    echo $! >"$dir/kafka.pid"
    kafka_wait "$dir" || { tail -n 20 "$dir/kafka.log" >&2; return 1; }
}

kafka_answers() {
    kcat -b "$(recall "$1" KAFKA)" -L -m 1 || gone "$(cat "$1/kafka.pid")"
}

kafka_wait() {
    await 90 "Kafka" kafka_answers "$1" && pid_of "$1" kafka >/dev/null
}

kafka_stop() { stop_service "$1" kafka TERM; }
kafka_kill() { stop_service "$1" kafka KILL; }
