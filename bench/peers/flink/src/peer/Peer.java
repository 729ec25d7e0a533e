package peer;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;

/** Runs the SQL of a variant over the topic in a Flink cluster inside this JVM, and says how long it took. */
public class Peer {
    private static final int SLOTS = 2;
    /** How Flink calls the operator that reads the topic. */
    private static final String ACTIVITY = "Source: KafkaSource";
    private static final long CATALOG_SECONDS = 120;
    /** More than the latency of a mini-batch: only then does quiet mean that nothing waits. */
    private static final long QUIET_MS = 2500;
    /** A second, when waiting for the history and the end. */
    private static final int LOOKS = 20;

    private final Map<String, String> environment = System.getenv();
    private final String variant = environment.get("VARIANT");
    private final Path work = Path.of(environment.get("WORK"));
    private final OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    /** So many of the topic's first messages are there already when the clock starts. */
    private final long history = Long.parseLong(environment.getOrDefault("HISTORY", "0"));
    private long opened;
    private long begin;
    private long cpuBefore;
    private long takenBefore;

    public static void main(String[] args) throws Exception {
        new Peer().run();
        // A job that did not finish would hold the JVM.
        Runtime.getRuntime().halt(0);
    }

    private void run() throws Exception {
        StreamExecutionEnvironment cluster = StreamExecutionEnvironment.createLocalEnvironment(SLOTS, settings());
        StreamTableEnvironment tables = StreamTableEnvironment.create(cluster);
        StatementSet job = prepare(tables);
        if (environment.containsKey("EXPLAIN")) {
            Files.writeString(work.resolve("plan"), job.explain());
        }
        CompletableFuture<?> end = job.execute().getJobClient().orElseThrow().getJobExecutionResult();
        awaitCatalog(end);
        startClock(0);
        opened = begin;
        AfterCatalog.GATE.countDown();
        report(await(end));
    }

    private void startClock(long taken) {
        takenBefore = taken;
        begin = System.nanoTime();
        cpuBefore = system.getProcessCpuTime();
    }

    private Configuration settings() throws IOException {
        List<String> parts = List.of(variant.split("-"));
        Configuration settings = new Configuration();
        settings.setString("taskmanager.numberOfTaskSlots", Integer.toString(SLOTS));
        settings.setString("parallelism.default", Integer.toString(SLOTS));
        settings.setString("pipeline.object-reuse", "true");
        settings.setString("metrics.reporters", "records");
        settings.setString("metrics.reporter.records.factory.class", Records.class.getName());
        settings.setString("taskmanager.memory.network.min", "256m");
        settings.setString("taskmanager.memory.network.max", "256m");
        settings.setString("taskmanager.memory.managed.size", environment.get("STATE_MEMORY"));
        settings.setString("io.tmp.dirs", Files.createDirectories(work.resolve("tmp")).toString());
        settings.setString("table.local-time-zone", "UTC");
        settings.setString("state.backend.type", parts.contains("rocksdb") ? "rocksdb" : "hashmap");
        settings.setString("state.backend.rocksdb.localdir", work.resolve("state").toString());
        if (parts.contains("minibatch")) {
            settings.setString("table.exec.mini-batch.enabled", "true");
            settings.setString("table.exec.mini-batch.allow-latency", "1 s");
            settings.setString("table.exec.mini-batch.size", "20000");
        }
        if (parts.contains("checkpoint")) {
            settings.setString("execution.checkpointing.interval", "10 s");
            settings.setString("execution.checkpointing.incremental", "true");
            settings.setString("execution.checkpointing.storage", "filesystem");
            settings.setString("execution.checkpointing.dir", work.resolve("checkpoints").toUri().toString());
        }
        return settings;
    }

    private StatementSet prepare(StreamTableEnvironment tables) throws IOException {
        tables.createTemporarySystemFunction("after_catalog", AfterCatalog.class);
        tables.createTemporarySystemFunction("top_ties", TopTies.class);
        tables.createTemporarySystemFunction("first_products", FirstProducts.class);
        tables.createTemporarySystemFunction("unseen", Unseen.class);
        tables.createTemporarySystemFunction("best", Best.class);
        StatementSet job = tables.createStatementSet();
        for (String statement : statements("common.sql", variant.split("-")[0] + ".sql")) {
            if (statement.contains("INSERT INTO")) {
                job.addInsertSql(statement);
            } else {
                tables.executeSql(statement);
            }
        }
        return job;
    }

    private List<String> statements(String... files) throws IOException {
        List<String> statements = new ArrayList<>();
        for (String file : files) {
            String text = Files.readString(Path.of(environment.get("SQL"), file));
            text = Pattern.compile("\\$\\{(\\w+)}").matcher(text).replaceAll(name ->
                    Matcher.quoteReplacement(environment.get(name.group(1))));
            for (String statement : text.split(";\n")) {
                if (!statement.isBlank()) {
                    statements.add(statement);
                }
            }
        }
        return statements;
    }

    /** Until the catalog was read and nothing moves any more. */
    private void awaitCatalog(CompletableFuture<?> end) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(CATALOG_SECONDS);
        long before = -1, since = System.nanoTime();
        while (before <= 0 || System.nanoTime() - since < TimeUnit.MILLISECONDS.toNanos(QUIET_MS)) {
            if (end.isDone() || System.nanoTime() > deadline) {
                end.getNow(null);
                throw new IllegalStateException("the catalog was not taken within " + CATALOG_SECONDS + " s");
            }
            Thread.sleep(100);
            // all but what the source of activity fetched before its gate
            long taken = Records.taken("") - Records.taken(ACTIVITY);
            if (taken != before) {
                before = taken;
                since = System.nanoTime();
            }
        }
        System.err.println("flink " + variant + ": the catalog is taken, " + before + " records moved");
    }

    /** True when the job ended, which it does at the end of the topic; false at the limit, which counts from the beginning of the history. */
    private boolean await(CompletableFuture<?> end) throws Exception {
        long limit = TimeUnit.SECONDS.toNanos(Long.parseLong(environment.get("LIMIT_SECONDS")));
        for (int looks = 1; ; looks++) {
            try {
                end.get(1000 / LOOKS, TimeUnit.MILLISECONDS);
                return true;
            } catch (TimeoutException notYet) {
                if (takenBefore < history && taken() >= history) {
                    System.err.printf("flink %s: the history is taken%n", variant);
                    startClock(taken());
                }
                if (looks % LOOKS != 0) {
                    continue;
                }
                System.err.printf("flink %s: %d of %s events%n", variant, taken(), environment.get("EVENTS"));
                // for run, should this JVM die
                Files.writeString(work.resolve("progress"), line(false, (System.nanoTime() - begin) / 1e9) + "\n");
                if (System.nanoTime() - opened > limit) {
                    return false;
                }
            } catch (ExecutionException failed) {
                failed.printStackTrace();
                return false;
            }
        }
    }

    private void report(boolean ended) throws IOException {
        boolean finished = ended && taken() >= Long.parseLong(environment.get("EVENTS"));
        // The end is Redis's last reply, not that of the job: with checkpoints that waits for one more.
        System.out.println(line(finished, ((ended ? RedisWriter.lastReply : System.nanoTime()) - begin) / 1e9));
    }

    /** Where it is cut off, some of these events are still on their way to Redis. */
    private long taken() {
        return Records.taken(ACTIVITY);
    }

    private String line(boolean finished, double seconds) throws IOException {
        return String.format(Locale.ROOT,
                "{\"peer\":\"flink\",\"variant\":\"%s\",\"events\":%d,\"seconds\":%.3f,\"finished\":%b,\"cpu_seconds\":%.2f,\"rss_mb\":%d,\"leaves_out\":%s}",
                variant, taken() - takenBefore, seconds, finished, (system.getProcessCpuTime() - cpuBefore) / 1e9, residentMegabytes(), environment.get("LEAVES_OUT"));
    }

    private static long residentMegabytes() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("VmHWM:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024).findFirst().orElse(0);
    }
}
