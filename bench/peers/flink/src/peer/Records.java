package peer;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;

/** Flink's own counters of records, read in this JVM: how much was taken, and whether anything moves. */
public class Records implements MetricReporter, MetricReporterFactory {
    private static final Map<Counter, String> IN = new ConcurrentHashMap<>();

    /** Records that operators took in, those whose name starts so. */
    static long taken(String operator) {
        return IN.entrySet().stream().filter(e -> e.getValue().startsWith(operator)).mapToLong(e -> e.getKey().getCount()).sum();
    }

    @Override
    public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
        String operator = group.getAllVariables().get("<operator_name>");
        if (operator != null && name.equals("numRecordsIn") && metric instanceof Counter counter) {
            IN.put(counter, operator);
        }
    }

    @Override
    public MetricReporter createMetricReporter(Properties properties) {
        return this;
    }

    @Override
    public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {}

    @Override
    public void open(MetricConfig config) {}

    @Override
    public void close() {}
}
