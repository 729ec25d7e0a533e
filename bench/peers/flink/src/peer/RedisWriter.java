package peer;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.operators.ProcessingTimeService;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.RowData;
import redis.clients.jedis.Connection;
import redis.clients.jedis.Protocol.Command;

/** Writes rows to Redis in pipelines: of one key only the newest value of the last 20 ms, or of the last 1000 keys. */
class RedisWriter implements SinkWriter<RowData> {
    private static final int KEYS = 1000;
    private static final long INTERVAL_MS = 20;
    private static final byte[] EXPIRE_IN = "EX".getBytes();
    private static final byte[] TTL_SECONDS = "93600".getBytes();

    /** The moment of the last reply of any writer, of System.nanoTime(). */
    static volatile long lastReply;

    private final Connection redis;
    private final boolean trending;
    private final ProcessingTimeService time;
    private final Map<String, byte[][]> changed = new LinkedHashMap<>();
    private boolean timerRuns;

    RedisWriter(int port, boolean trending, ProcessingTimeService time) {
        this.redis = new Connection("127.0.0.1", port);
        this.trending = trending;
        this.time = time;
    }

    /** Keeps the row as it is to be sent: rows are reused by the tasks before this one. */
    @Override
    public void write(RowData row, Context context) {
        boolean gone = switch (row.getRowKind()) {
            case DELETE, UPDATE_BEFORE -> true;
            default -> false;
        };
        if (trending) {
            changed.put("trending:" + windowStart(row), gone ? null : hash(row.getArray(1)));
        } else {
            long user = row.getLong(0);
            changed.put(Long.toString(user), gone ? null : new byte[][] {json(user, row.getArray(1))});
        }
        if (changed.size() >= KEYS) {
            send();
        } else if (!timerRuns) {
            timerRuns = true;
            time.registerTimer(time.getCurrentProcessingTime() + INTERVAL_MS, at -> {
                timerRuns = false;
                send();
            });
        }
    }

    @Override
    public void flush(boolean endOfInput) {
        send();
    }

    @Override
    public void close() throws IOException {
        redis.close();
    }

    private void send() {
        if (changed.isEmpty()) {
            return;
        }
        int replies = 0;
        for (Map.Entry<String, byte[][]> entry : changed.entrySet()) {
            replies += trending ? sendHash(bytes(entry.getKey()), entry.getValue()) : sendList(bytes(entry.getKey()), entry.getValue());
        }
        for (Object reply : redis.getMany(replies)) {
            if (reply instanceof RuntimeException refused) {
                throw refused;
            }
        }
        lastReply = System.nanoTime();
        changed.clear();
    }

    private int sendList(byte[] key, byte[][] json) {
        if (json == null) {
            redis.sendCommand(Command.DEL, key);
        } else {
            redis.sendCommand(Command.SET, key, json[0], EXPIRE_IN, TTL_SECONDS);
        }
        return 1;
    }

    /** A hash changes as a whole. */
    private int sendHash(byte[] key, byte[][] fields) {
        if (fields == null) {
            redis.sendCommand(Command.DEL, key);
            return 1;
        }
        byte[][] arguments = new byte[fields.length + 1][];
        arguments[0] = key;
        System.arraycopy(fields, 0, arguments, 1, fields.length);
        redis.sendCommand(Command.MULTI);
        redis.sendCommand(Command.DEL, key);
        redis.sendCommand(Command.HSET, arguments);
        redis.sendCommand(Command.EXEC);
        return 4;
    }

    /** 2025-02-25T10:00:00 */
    private static String windowStart(RowData row) {
        return Instant.ofEpochMilli(row.getTimestamp(0, 3).getMillisecond()).toString().replace("Z", "");
    }

    private static byte[][] hash(ArrayData products) {
        List<byte[]> fields = new ArrayList<>();
        for (int i = 0; i < products.size(); i++) {
            RowData product = products.getRow(i, 2);
            fields.add(product.getString(0).toBytes());
            fields.add(bytes(Long.toString(product.getLong(1))));
        }
        return fields.toArray(new byte[0][]);
    }

    private static byte[] json(long user, ArrayData products) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(512);
        out.writeBytes(bytes("{\"user_id\":" + user + ",\"recommended_products\":["));
        for (int i = 0; i < products.size(); i++) {
            if (i > 0) {
                out.write(',');
            }
            out.write('"');
            for (byte b : products.getString(i).toBytes()) {
                if (b == '"' || b == '\\') {
                    out.write('\\');
                    out.write(b);
                } else if (b >= 0 && b < ' ') {
                    out.writeBytes(bytes(String.format("\\u%04x", b)));
                } else {
                    out.write(b);
                }
            }
            out.write('"');
        }
        out.writeBytes(bytes("]}"));
        return out.toByteArray();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
