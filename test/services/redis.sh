# Sourced: one Redis server, on 127.0.0.1 only. It saves when it is stopped, not when it is killed.

redis_start() {
    local dir=$1 port

    port=$(recall "$dir" REDIS_PORT)
    if [ -z "$port" ]; then
        port=$(free_port)
        mkdir -p "$dir/redis"
        cat >"$dir/redis/redis.conf" <<END
bind 127.0.0.1
port $port
dir $dir/redis
save 3600 1
appendonly no
daemonize no
END
        remember "$dir" REDIS_PORT "$port"
    fi
    (cd "$dir/redis" && exec setsid redis-server "$dir/redis/redis.conf") >>"$dir/redis.log" 2>&1 </dev/null &
    echo $! >"$dir/redis.pid"
    await 30 "Redis" redis-cli -p "$port" -e ping || { tail -n 20 "$dir/redis.log" >&2; return 1; }
}

redis_stop() { stop_service "$1" redis TERM; }
redis_kill() { stop_service "$1" redis KILL; }
