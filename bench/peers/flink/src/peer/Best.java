package peer;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.functions.AggregateFunction;

/** A user's list: the first 20 products of the categories whose rank() by views is at most 3; products of categories that tie mix. */
@FunctionHint(output = @DataTypeHint(value = "ARRAY<STRING>", bridgedTo = ArrayData.class))
public class Best extends AggregateFunction<ArrayData, Best.Categories> {
    private static final int CATEGORIES = 3;
    /** Of a part: views, the lengths of category and products, both. */
    private static final int HEADER = 12;

    /**
     * All parts of a user, one after the other: a category's views and, packed and in order, what the user did not see of it. One
     * value of the state: an event reads and writes all of it, some kB, where a map view would have RocksDB look for each part.
     */
    public static class Categories {
        public byte[] parts = {};
    }

    private record Part(int views, byte[] products) {}

    @Override
    public Categories createAccumulator() {
        return new Categories();
    }

    public void accumulate(
            Categories categories,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData category,
            Long views,
            byte[] products) {
        byte[] name = category.toBytes();
        categories.parts = ByteBuffer.allocate(categories.parts.length + HEADER + name.length + products.length)
                .put(categories.parts).putInt(views.intValue()).putInt(name.length).putInt(products.length).put(name).put(products).array();
    }

    public void retract(
            Categories categories,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData category,
            Long views,
            byte[] products) {
        byte[] parts = categories.parts, name = category.toBytes();
        ByteBuffer at = ByteBuffer.wrap(parts);
        while (at.hasRemaining()) {
            int begin = at.position(), length = at.getInt(begin + 4), end = begin + HEADER + length + at.getInt(begin + 8);
            if (Arrays.equals(parts, begin + HEADER, begin + HEADER + length, name, 0, name.length)) {
                categories.parts = ByteBuffer.allocate(parts.length - (end - begin))
                        .put(parts, 0, begin).put(parts, end, parts.length - end).array();
                return;
            }
            at.position(end);
        }
    }

    private static List<Part> unpack(byte[] packed) {
        List<Part> parts = new ArrayList<>();
        for (ByteBuffer at = ByteBuffer.wrap(packed); at.hasRemaining(); ) {
            int views = at.getInt(), name = at.getInt();
            byte[] products = new byte[at.getInt()];
            at.position(at.position() + name).get(products);
            parts.add(new Part(views, products));
        }
        return parts;
    }

    @Override
    public ArrayData getValue(Categories categories) {
        List<Part> parts = unpack(categories.parts);
        parts.sort(Comparator.comparingInt(part -> -part.views()));
        List<BinaryStringData> list = new ArrayList<>();
        for (int at = 0, next; at < parts.size() && at < CATEGORIES && list.size() < FirstProducts.LIMIT; at = next) {
            List<BinaryStringData> tied = new ArrayList<>();
            for (next = at; next < parts.size() && parts.get(next).views() == parts.get(at).views(); next++) {
                Packed.unpack(parts.get(next).products(), tied);
            }
            if (next > at + 1) {
                tied.sort(null);
            }
            list.addAll(tied.subList(0, Math.min(tied.size(), FirstProducts.LIMIT - list.size())));
        }
        return new GenericArrayData(list.toArray());
    }
}
