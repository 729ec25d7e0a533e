package peer;

import java.util.Set;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.FactoryUtil;

/** The connector 'redis': redis_trending writes a hash for each window, any other table a JSON value for each user. */
public class RedisTable implements DynamicTableSinkFactory {
    private static final ConfigOption<Integer> PORT = ConfigOptions.key("port").intType().noDefaultValue();

    @Override
    public String factoryIdentifier() {
        return "redis";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(PORT);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        boolean trending = context.getObjectIdentifier().getObjectName().equals("redis_trending");
        return new Table(helper.getOptions().get(PORT), trending);
    }

    private record Table(int port, boolean trending) implements DynamicTableSink {
        @Override
        public ChangelogMode getChangelogMode(ChangelogMode requested) {
            return ChangelogMode.upsert();
        }

        @Override
        public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
            int port = this.port;
            boolean trending = this.trending;
            return SinkV2Provider.of((Sink<RowData>) writer -> new RedisWriter(port, trending, writer.getProcessingTimeService()));
        }

        @Override
        public DynamicTableSink copy() {
            return this;
        }

        @Override
        public String asSummaryString() {
            return "redis";
        }
    }
}
