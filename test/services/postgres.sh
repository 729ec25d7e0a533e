# Sourced: one PostgreSQL server in DIR/data, run from a private installation in DIR/installation
# (links to the machine's, plus the extension), so that nothing outside DIR changes.

# private_installation DIR: prints the path of its pg_config. A server finds its files relative to itself.
private_installation() {
    local root=$1/installation config what path

    config=$(find_pg_config) || { say "no PostgreSQL server headers found; run test/services/install, or set PG_CONFIG"; return 1; }
    local bin
    bin=$("$config" --bindir)
    if [ ! -e "$root$bin/pg_config" ]; then
        mkdir -p "$root$bin"
        cp "$bin"/* "$root$bin/"
        for what in pkglibdir sharedir includedir-server; do
            path=$("$config" --$what)
            mkdir -p "$root$path"
            cp -rs "$path/." "$root$path/"
        done
        rm -f "$root$("$config" --pkglibdir)/reco.so" "$root$("$config" --sharedir)"/extension/reco[.-]*
    fi
    echo "$root$bin/pg_config"
}

# postgres_install DIR: builds the extension and installs it below DIR.
postgres_install() {
    local config

    config=$(private_installation "$1") &&
        make -s -j "$(nproc)" -C "$project" PG_CONFIG="$config" with_llvm=no >&2 &&
        make -s -C "$project" PG_CONFIG="$config" with_llvm=no install >"$1/install.log" 2>&1 ||
        { cat "$1/install.log" >&2; return 1; }
    remember "$1" RECO_PG_CONFIG "$config"
    remember "$1" PATH "$(dirname "$config"):$PATH"
}

# postgres_configure DIR: initdb, and the settings every test wants. A collation that is not "C" finds forgotten COLLATEs.
postgres_configure() {
    local dir=$1 bin=$2 port=$3 icu=() listed=''

    case $("$bin/pg_config" --configure) in
        *--with-icu*) icu=(--locale-provider=icu --icu-locale=en-US) ;;
    esac
    as_postgres "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 "${icu[@]}" \
        --no-sync >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; return 1; }
    # known from the releases 15.19, 16.15, 17.11 and 18.6 on
    case $(as_postgres "$bin/postgres" --describe-config) in
        *output_plugin_libraries*) listed="output_plugin_libraries = 'pgoutput, test_decoding, reco'" ;;
    esac
    as_postgres tee -a "$dir/data/postgresql.conf" >/dev/null <<END

port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
fsync = off
shared_buffers = 256MB
max_wal_size = 2GB
max_prepared_transactions = 4
log_line_prefix = '%m [%p] %b '
shared_preload_libraries = 'reco'
wal_level = logical
$listed
reco.database = 'shop'
END
}

# postgres_set DIR NAME=VALUE...: the last line of a name counts.
postgres_set() {
    local dir=$1 setting

    shift
    for setting in "$@"; do
        printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}" | as_postgres tee -a "$dir/data/postgresql.conf" >/dev/null
    done
}

# postgres_first_objects DIR PORT: the database, and the role that $RECO_TEST_ROLE names. CREATE EXTENSION gives reco to it.
postgres_first_objects() {
    local sql=(psql -X -q -h "$1" -p "$2" -U postgres -d postgres)

    # reads all data: the tests' catalogs belong to the superuser, and come and go
    [ -z "${RECO_TEST_ROLE:-}" ] ||
        "${sql[@]}" -c "CREATE ROLE $RECO_TEST_ROLE LOGIN REPLICATION IN ROLE pg_read_all_stats, pg_read_all_data" || return 1
    "${sql[@]}" -c 'CREATE DATABASE shop'
}

# postgres_start DIR [NAME=VALUE...]: also creates the database named by reco.database when the cluster is new.
postgres_start() {
    local dir=$1 bin port new='' redis kafka

    shift
    postgres_install "$dir" || return 1
    bin=$(dirname "$(recall "$dir" RECO_PG_CONFIG)")
    port=$(recall "$dir" PGPORT)
    if [ ! -e "$dir/data/PG_VERSION" ]; then
        new=yes
        port=${port:-$(free_port)}
        install -d -m 700 "$dir/data"
        [ "$(id -u)" != 0 ] || chown postgres: "$dir/data" "$dir"
        postgres_configure "$dir" "$bin" "$port" || return 1
        redis=$(recall "$dir" REDIS_PORT)
        kafka=$(recall "$dir" KAFKA)
        [ -z "$redis" ] || postgres_set "$dir" "reco.redis_url=redis://127.0.0.1:$redis/0"
        [ -z "$kafka" ] || postgres_set "$dir" "reco.kafka_brokers=$kafka"
        [ -z "${RECO_TEST_ROLE:-}" ] || postgres_set "$dir" "reco.role=$RECO_TEST_ROLE"
        remember "$dir" PGHOST "$dir"
        remember "$dir" PGPORT "$port"
        remember "$dir" PGUSER postgres
        remember "$dir" PGDATABASE shop
        remember "$dir" PGDATA "$dir/data"
        remember "$dir" PYTHON /usr/bin/python3
    fi
    [ $# = 0 ] || postgres_set "$dir" "$@"
    ln -sf data/postmaster.pid "$dir/postgres.pid"
    touch "$dir/postgres.log"
    [ "$(id -u)" != 0 ] || chown postgres: "$dir/postgres.log"
    as_postgres "$bin/pg_ctl" -D "$dir/data" -l "$dir/postgres.log" -w -t 120 start >"$dir/pg_ctl.log" 2>&1 </dev/null ||
        { tail -n 20 "$dir/postgres.log" >&2; return 1; }
    [ -z "$new" ] || postgres_first_objects "$dir" "$port"
}

# A fast shutdown.
postgres_stop() { stop_service "$1" postgres INT; }

# SIGKILL to all of its processes: a backend at work would notice only later that the postmaster is gone.
postgres_kill() {
    local pid children child

    pid=$(pid_of "$1" postgres) || return 0
    children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
    stop_service "$1" postgres KILL || return 1
    for child in $children; do
        if alive "$child" "$1/data"; then
            kill -s KILL "$child" 2>/dev/null || true
        fi
        await 60 "a child of postgres ($child) to leave" gone "$child" || return 1
    done
    rm -f "$1/data/postmaster.pid" "$1"/.s.PGSQL.*
}
