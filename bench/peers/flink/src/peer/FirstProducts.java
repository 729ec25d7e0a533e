package peer;

import java.util.Arrays;
import java.util.Comparator;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ScalarFunction;

/** The first 20 of (views of the category, product): most views first, then by product in the order of its bytes. */
public class FirstProducts extends ScalarFunction {
    static final int LIMIT = 20;

    // StringData compares UTF-8 bytes, as COLLATE "C" does; java.lang.String would compare UTF-16.
    private static final Comparator<RowData> ORDER =
            Comparator.comparingLong((RowData row) -> -row.getLong(0)).thenComparing(row -> row.getString(1));

    public @DataTypeHint(value = "ARRAY<STRING>", bridgedTo = ArrayData.class) ArrayData eval(
            @DataTypeHint(value = "ARRAY<ROW<view_count BIGINT, product_id STRING>>", bridgedTo = ArrayData.class) ArrayData collected) {
        RowData[] rows = new RowData[collected.size()];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = collected.getRow(i, 2);
        }
        Arrays.sort(rows, ORDER);
        StringData[] products = new StringData[Math.min(LIMIT, rows.length)];
        for (int i = 0; i < products.length; i++) {
            products[i] = rows[i].getString(1);
        }
        return new GenericArrayData(products);
    }
}
