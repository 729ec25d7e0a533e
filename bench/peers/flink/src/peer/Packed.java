package peer;

import java.io.ByteArrayOutputStream;
import java.util.List;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.binary.BinaryStringData;

/** Product ids in one byte array, each after two bytes that say its length: a quarter of the heap that an array of strings takes. */
final class Packed {
    private Packed() {}

    static void add(ByteArrayOutputStream out, StringData product) {
        byte[] bytes = product.toBytes();
        out.write(bytes.length >> 8);
        out.write(bytes.length);
        out.write(bytes, 0, bytes.length);
    }

    /** The strings refer to the array: nothing is copied. */
    static void unpack(byte[] packed, List<BinaryStringData> into) {
        for (int at = 0; at < packed.length; ) {
            int length = (packed[at] & 0xff) << 8 | packed[at + 1] & 0xff;
            into.add(BinaryStringData.fromBytes(packed, at + 2, length));
            at += 2 + length;
        }
    }
}
