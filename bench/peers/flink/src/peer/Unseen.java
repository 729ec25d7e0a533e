package peer;

import java.io.ByteArrayOutputStream;
import java.util.HashSet;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ScalarFunction;

/** The first 20 products of an array that another one does not hold, packed. */
public class Unseen extends ScalarFunction {
    private transient HashSet<StringData> held;
    private transient ByteArrayOutputStream packed;

    public byte[] eval(
            @DataTypeHint(value = "ARRAY<STRING>", bridgedTo = ArrayData.class) ArrayData products,
            @DataTypeHint(value = "ARRAY<STRING>", bridgedTo = ArrayData.class) ArrayData viewed) {
        if (held == null) {
            held = new HashSet<>();
            packed = new ByteArrayOutputStream(512);
        }
        for (int i = 0; i < viewed.size(); i++) {
            held.add(viewed.getString(i));
        }
        for (int i = 0, n = 0; i < products.size() && n < FirstProducts.LIMIT; i++) {
            StringData product = products.getString(i);
            if (!held.contains(product)) {
                Packed.add(packed, product);
                n++;
            }
        }
        byte[] result = packed.toByteArray();
        held.clear();
        packed.reset();
        return result;
    }
}
