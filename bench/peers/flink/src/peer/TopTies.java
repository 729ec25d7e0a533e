package peer;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.functions.AggregateFunction;
import org.apache.flink.types.Row;

/** Products with their counts, of which rank() by falling count is at most 10: all that tie at the tenth place stay. */
@FunctionHint(
        accumulator = @DataTypeHint(value = "RAW", bridgedTo = TopTies.Counts.class),
        output = @DataTypeHint("ARRAY<ROW<product_id STRING, view_count BIGINT>>"))
public class TopTies extends AggregateFunction<Row[], TopTies.Counts> {
    private static final int LIMIT = 10;

    /**
     * The top's counts in their order. No product loses views, it is taken away to come back with more: so what fell out of the top
     * can be forgotten. A raw object: the heap state backend keeps it as it is, and to RocksDB it is small.
     */
    public static class Counts {
        public TreeMap<Long, HashSet<String>> products = new TreeMap<>();

        void forgetTheRest() {
            int all = products.values().stream().mapToInt(HashSet::size).sum();
            while (all - products.firstEntry().getValue().size() >= LIMIT) {
                all -= products.pollFirstEntry().getValue().size();
            }
        }
    }

    @Override
    public Counts createAccumulator() {
        return new Counts();
    }

    public void accumulate(Counts counts, String product, Long count) {
        counts.products.computeIfAbsent(count, c -> new HashSet<>()).add(product);
        counts.forgetTheRest();
    }

    public void retract(Counts counts, String product, Long count) {
        HashSet<String> same = counts.products.get(count);
        if (same != null && same.remove(product) && same.isEmpty()) {
            counts.products.remove(count);
        }
    }

    @Override
    public Row[] getValue(Counts counts) {
        List<Row> top = new ArrayList<>();
        for (Map.Entry<Long, HashSet<String>> same : counts.products.descendingMap().entrySet()) {
            if (top.size() >= LIMIT) {
                break;
            }
            for (String product : same.getValue()) {
                top.add(Row.of(product, same.getKey()));
            }
        }
        return top.toArray(new Row[0]);
    }
}
