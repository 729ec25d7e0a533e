# Sourced by the scripts beside it: where things are, and how a service is started, awaited and stopped.
# A service is known by DIR/NAME.pid; it works in a folder below DIR, which is how its process is recognised.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/reco
kafka_version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
kafka_home=$cache/kafka-$kafka_version

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# The server's own tools refuse root, and return to the caller's folder, which may be closed to them.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

# Prints the pg_config to build with: $PG_CONFIG, or the machine's, if it has a server's headers.
find_pg_config() {
    local config=${PG_CONFIG:-pg_config}

    [ -e "$("$config" --pgxs 2>/dev/null)" ] && command -v "$config"
}

# A zombie has left: not every container has an init that reaps.
gone() {
    case $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) in
        '' | Z) return 0 ;;
        *) return 1 ;;
    esac
}

# alive PID DIR: is it running, and does it work below this folder?
alive() {
    local cwd

    gone "$1" && return 1
    cwd=$(readlink "/proc/$1/cwd") || return 1
    case $cwd/ in "$2"/*) return 0 ;; *) return 1 ;; esac
}

# pid_of DIR NAME: prints the pid of a running service, or fails.
pid_of() {
    local pid

    pid=$(head -n 1 "$1/$2.pid" 2>/dev/null) && [ -n "$pid" ] && alive "$pid" "$1" && echo "$pid"
}

# await SECONDS WHAT COMMAND...: polls until COMMAND succeeds; fails with WHAT when time is up.
await() {
    local end=$((SECONDS + $1)) what=$2

    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { say "waited in vain for $what"; return 1; }
        sleep 0.05
    done
}

port_is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range from which the kernel takes ports for outgoing connections.
free_port() {
    local port

    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        port_is_open "$port" || break
    done
    echo "$port"
}

# remember DIR NAME VALUE: a line of DIR/env, once.
remember() {
    touch "$1/env"
    sed -i "/^export $2=/d" "$1/env"
    printf 'export %s=%q\n' "$2" "$3" >>"$1/env"
}

# recall DIR NAME: the value remembered, or nothing.
recall() {
    [ -e "$1/env" ] && (unset "$2"; . "$1/env"; eval "printf '%s' \"\${$2:-}\"")
}

# stop_service DIR NAME SIGNAL: sends the signal to the service and waits until its process is gone.
stop_service() {
    local pid

    pid=$(pid_of "$1" "$2") || { rm -f "$1/$2.pid"; return 0; }
    kill -s "$3" "$pid"
    await 60 "$2 (pid $pid) to stop" gone "$pid" || return 1
    rm -f "$1/$2.pid"
}
