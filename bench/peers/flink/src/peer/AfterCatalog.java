package peer;

import java.util.concurrent.CountDownLatch;
import org.apache.flink.table.functions.ScalarFunction;

/** True, once the gate is open. The cluster lives in this very JVM: a static latch reaches all of its tasks. */
public class AfterCatalog extends ScalarFunction {
    static final CountDownLatch GATE = new CountDownLatch(1);

    private transient boolean open;

    public boolean eval() throws InterruptedException {
        if (!open) {
            GATE.await();
            open = true;
        }
        return true;
    }

    /** Otherwise the planner would call it, once, itself. */
    @Override
    public boolean isDeterministic() {
        return false;
    }
}
