package peer;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.functions.AggregateFunction;

/** A user's list: the first 20 products of the categories whose rank() by views is at most 3; products of categories that tie mix. */
@FunctionHint(output = @DataTypeHint(value = "ARRAY<STRING>", bridgedTo = ArrayData.class))
public class Best extends AggregateFunction<ArrayData, Best.Categories> {
    private static final int CATEGORIES = 3;

    /** A category's views and, packed and in order, what the user did not see of it. */
    public static class Part {
        public long views;
        public byte[] products;
    }

    /** A map view, so that one event reads and writes the state of one category. */
    public static class Categories {
        public MapView<String, Part> parts = new MapView<>();
    }

    @Override
    public Categories createAccumulator() {
        return new Categories();
    }

    public void accumulate(Categories categories, String category, Long views, byte[] products) throws Exception {
        Part part = new Part();
        part.views = views;
        part.products = products;
        categories.parts.put(category, part);
    }

    public void retract(Categories categories, String category, Long views, byte[] products) throws Exception {
        categories.parts.remove(category);
    }

    @Override
    public ArrayData getValue(Categories categories) {
        List<Part> parts = new ArrayList<>();
        try {
            for (Map.Entry<String, Part> entry : categories.parts.entries()) {
                parts.add(entry.getValue());
            }
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
        parts.sort(Comparator.comparingLong(part -> -part.views));
        List<BinaryStringData> list = new ArrayList<>();
        for (int at = 0, next; at < parts.size() && at < CATEGORIES && list.size() < FirstProducts.LIMIT; at = next) {
            List<BinaryStringData> tied = new ArrayList<>();
            for (next = at; next < parts.size() && parts.get(next).views == parts.get(at).views; next++) {
                Packed.unpack(parts.get(next).products, tied);
            }
            if (next > at + 1) {
                tied.sort(null);
            }
            list.addAll(tied.subList(0, Math.min(tied.size(), FirstProducts.LIMIT - list.size())));
        }
        return new GenericArrayData(list.toArray());
    }
}
