/*
 * verdict.c
 *	  What a partition went through: a table of cases for reco_verdict(), the
 *	  marks of reco_trail_extend(), and both together on logs that are drawn.
 *
 * Neither Kafka nor a server: writes TAP.  Run by test/t/022_verdict.pl.
 */
#include "postgres.h"

#include "kafka/trail.h"
#include "kafka/verdict.h"

#define LOG_MAX 100000

static int	tests = 0;
static int	failures = 0;

static void
check(bool right, const char *name)
{
	tests++;
	failures += !right;
	printf("%sok %d - %s\n", right ? "" : "not ", tests, name);
}

static const struct
{
	const char *name;
	RecoEvidence evidence;		/* next, first, low, high, same, differs, later, other_cluster */
	RecoVerdict verdict;		/* fate, next, lost, unsure */
}			cases[] =
{
	{"nothing happened", {10, 0, 0, 10, 9, -1, -1, false}, {RECO_FATE_SAME, 10, 0, 0}},
	{"more has come", {10, 0, 0, 50, 9, -1, 10, false}, {RECO_FATE_SAME, 10, 0, 0}},
	{"old messages expired, all of them read", {10, 0, 8, 50, 9, -1, 10, false}, {RECO_FATE_SAME, 10, 0, 0}},
	{"all that was read expired, nothing else", {10, 0, 10, 50, -1, -1, -1, false}, {RECO_FATE_SAME, 10, 0, 0}},
	{"the last message read was compacted away", {10, 0, 0, 12, 8, -1, -1, false}, {RECO_FATE_SAME, 10, 0, 0}},
	{"markers of transactions at the end", {12, 0, 0, 12, 9, -1, -1, false}, {RECO_FATE_SAME, 12, 0, 0}},
	{"nothing was ever read", {0, -1, 0, 5, -1, -1, -1, false}, {RECO_FATE_SAME, 0, 0, 0}},
	{"an empty partition", {0, -1, 0, 0, -1, -1, -1, false}, {RECO_FATE_SAME, 0, 0, 0}},
	{"a partition emptied by retention", {10, 0, 10, 10, -1, -1, -1, false}, {RECO_FATE_SAME, 10, 0, 0}},
	{"a row made by hand", {5, -1, 0, 9, -1, -1, -1, false}, {RECO_FATE_SAME, 5, 0, 0}},
	{"messages expired before they were read", {10, 0, 16, 50, -1, -1, -1, false}, {RECO_FATE_EXPIRED, 16, 6, 0}},
	{"all of them, and none is left", {10, 0, 50, 50, -1, -1, -1, false}, {RECO_FATE_EXPIRED, 50, 40, 0}},
	{"tail lost, first offset 0", {10, 0, 0, 8, 7, -1, -1, false}, {RECO_FATE_CUT, 8, 0, 0}},
	{"tail lost, first offset above 0", {110, 50, 60, 108, 107, -1, -1, false}, {RECO_FATE_CUT, 108, 0, 0}},
	{"tail lost among old marks", {1000, 0, 0, 700, 500, -1, -1, false}, {RECO_FATE_CUT, 700, 0, 199}},
	{"tail lost among old marks, and some new messages", {1000, 0, 0, 700, 500, -1, 690, false},
		{RECO_FATE_CUT, 690, 0, 199}},
	{"tail lost, new messages, and a clock that is behind", {1000, 0, 0, 700, 500, -1, 3, false},
		{RECO_FATE_CUT, 501, 0, 199}},
	{"tail lost, grown past what was read", {10, 0, 0, 20, 7, 8, 8, false}, {RECO_FATE_OVERWRITTEN, 8, 0, 0}},
	{"tail lost, grown again, not as far", {10, 0, 0, 9, 7, 8, 8, false}, {RECO_FATE_OVERWRITTEN, 8, 0, 0}},
	{"tail lost, grown to the same end", {10, 0, 0, 10, 7, 8, 8, false}, {RECO_FATE_OVERWRITTEN, 8, 0, 0}},
	{"the same among old marks", {1000, 0, 0, 2000, 500, 700, 650, false}, {RECO_FATE_OVERWRITTEN, 650, 0, 199}},
	{"the same, times do not tell", {1000, 0, 0, 2000, 500, 700, -1, false}, {RECO_FATE_OVERWRITTEN, 700, 0, 199}},
	{"created again, fewer messages", {100, 0, 0, 2, -1, 0, 0, false}, {RECO_FATE_NEW, 0, 0, 0}},
	{"created again, 1 read, 2 new", {1, 0, 0, 2, -1, 0, 0, false}, {RECO_FATE_NEW, 0, 0, 0}},
	{"created again, 100 read, 150 new", {100, 0, 0, 150, -1, 0, 0, false}, {RECO_FATE_NEW, 0, 0, 0}},
	{"created again, with times of old", {100, 0, 0, 150, -1, 0, -1, false}, {RECO_FATE_NEW, 0, 0, 0}},
	{"created again, and empty", {100, 0, 0, 0, -1, -1, -1, false}, {RECO_FATE_SHORT, 0, 0, 0}},
	{"created again, some expired already", {100, 0, 20, 150, -1, 20, 20, false}, {RECO_FATE_NEW, 20, 0, 0}},
	{"created again, was never read from its beginning", {1000, 900, 0, 50, -1, -1, -1, false},
		{RECO_FATE_NEW, 0, 0, 0}},
	{"tail lost, all that is the same has expired", {1000, 0, 890, 1100, -1, 936, 920, false},
		{RECO_FATE_NEW, 920, 0, 46}},
	{"ends before next, nothing tells why", {100, -1, 0, 50, -1, -1, -1, false}, {RECO_FATE_SHORT, 50, 0, 50}},
	{"ends before next, first offset above 0", {100, -1, 20, 50, -1, -1, -1, false}, {RECO_FATE_SHORT, 50, 0, 30}},
	{"the greatest offset there is", {PG_INT64_MAX, -1, 0, 50, -1, -1, -1, false}, {RECO_FATE_SHORT, 50, 0, 50}},
	{"another cluster", {100, 0, 0, 150, -1, 0, 0, true}, {RECO_FATE_FOREIGN, -1, 0, 0}},
	{"another cluster, nothing to compare", {100, -1, 0, 150, -1, -1, -1, true}, {RECO_FATE_FOREIGN, -1, 0, 0}},
	{"another cluster that parted from this one", {100, 0, 0, 150, 50, 51, 51, true}, {RECO_FATE_FOREIGN, -1, 0, 0}},
	{"another cluster that holds a copy", {100, 0, 0, 150, 99, -1, 100, true}, {RECO_FATE_SAME, 100, 0, 0}},
	{"another cluster that holds a copy without its end", {100, 0, 0, 90, 89, -1, -1, true},
		{RECO_FATE_CUT, 90, 0, 0}},
};

static void
check_cases(void)
{
	for (int i = 0; i < lengthof(cases); i++)
	{
		RecoVerdict got = reco_verdict(&cases[i].evidence);
		const RecoVerdict *expected = &cases[i].verdict;
		bool		right = got.fate == expected->fate && got.next == expected->next &&
			got.lost == expected->lost && got.unsure == expected->unsure;

		check(right, cases[i].name);
		if (!right)
			printf("# fate %d, next %lld, lost %lld, unsure %lld\n", got.fate, (long long) got.next,
				   (long long) got.lost, (long long) got.unsure);
	}
}

/* A log is the times of its messages; a message's content is its time. */
typedef struct Log
{
	int64		low;
	int64		high;
	int64		stamps[LOG_MAX];
} Log;

static RecoMessage
message_at(const Log *log, int64 offset)
{
	RecoMessage message = {0};

	message.kind = RECO_MESSAGE_DATA;
	message.offset = offset;
	message.stamp = log->stamps[offset];
	message.payload = (const char *) &log->stamps[offset];
	message.length = sizeof(int64);
	return message;
}

/* Read a log in batches of some size up to an offset. */
static void
read_log(const Log *log, RecoTrail *trail, int64 from, int64 to, int batch)
{
	RecoMessage *messages = malloc(batch * sizeof(RecoMessage));
	int		   *previous = malloc(batch * sizeof(int));

	while (from < to)
	{
		int			n = 0;

		for (; n < batch && from < to; n++)
		{
			messages[n] = message_at(log, from++);
			previous[n] = n - 1;
		}
		reco_trail_extend(trail, messages, previous, n - 1);
	}
	free(messages);
	free(previous);
}

static bool
holds(const Log *log, const RecoMark *mark)
{
	RecoMessage message = message_at(log, mark->offset);

	return reco_trail_hash(&message) == mark->hash;
}

/* What a search in the marks finds. */
static RecoEvidence
look(const Log *log, const RecoTrail *trail, int64 next)
{
	RecoEvidence evidence = {next, trail->count > 0 ? trail->marks[0].offset : -1,
	log->low, log->high, -1, -1, -1, false};

	for (int i = 0; i < trail->count; i++)
	{
		const RecoMark *mark = &trail->marks[i];

		if (mark->offset < log->low || mark->offset >= log->high)
			continue;
		if (holds(log, mark))
			evidence.same = mark->offset;
		else if (evidence.differs < 0)
			evidence.differs = mark->offset;
	}
	for (int64 i = log->low; i < log->high && evidence.later < 0; i++)
	{
		if (log->stamps[i] > trail->newest)
			evidence.later = i;
	}
	return evidence;
}

static int64
draw(int64 n)
{
	return n <= 0 ? 0 : random() % n;
}

/* Logs that are read, cut, grow again or begin anew: nothing is lost, and nothing is read twice. */
static void
check_drawn(int rounds)
{
	static Log	log;
	int			wrong = 0;
	int			most = 0;

	srandom(1);
	for (int round = 0; round < rounds; round++)
	{
		RecoTrail	trail = {-1, 0};
		int64		clock = 1000;
		int64		read = 1 + draw(round % 2 ? 200 : 20000);
		int64		from = draw(2) ? 0 : draw(read);
		int64		part;
		int64		expected;
		RecoVerdict verdict;

		log.low = 0;
		/* a producer whose clock is ahead: the latest message is not among the last */
		for (log.high = 0; log.high < read; log.high++)
			log.stamps[log.high] = clock++ + (round % 5 == 0 && log.high >= from && draw(10) == 0 ? draw(2 * LOG_MAX) : 0);
		clock += 2 * LOG_MAX;
		read_log(&log, &trail, from, read, 1 + draw(round % 3 ? 50 : 10000));
		most = Max(most, trail.count);

		/* the log parts from the one that was read; everything read is before that or gone */
		part = draw(3) == 0 ? 0 : from + draw(read - from + 1);
		log.high = part + draw(2) * draw(2 * (read - part) + 10);
		for (int64 i = part; i < log.high; i++)
			log.stamps[i] = clock++;
		expected = part;
		if (part > 0 && draw(4) == 0)
		{
			log.low = draw(part);
			expected = Max(expected, log.low);
		}
		verdict = reco_verdict(&(RecoEvidence) {0});
		{
			RecoEvidence evidence = look(&log, &trail, read);

			verdict = reco_verdict(&evidence);

			/* of what was not read before "from" nothing is known: it is too old to count */
			if (verdict.next != expected && !(part <= from && verdict.next <= part) &&
				!(log.low == log.high))
			{
				wrong++;
				printf("# round %d: read %lld..%lld, parted at %lld, %lld..%lld now: %lld (fate %d)\n", round,
					   (long long) from, (long long) read, (long long) part, (long long) log.low,
					   (long long) log.high, (long long) verdict.next, verdict.fate);
			}
		}
	}
	check(wrong == 0, "drawn logs: read on exactly where they part");
	check(most > RECO_TRAIL_DENSE && most <= RECO_TRAIL_MAX, "a trail has more marks than the dense ones, and a bound");
}

/* The distances of marks from the end, after batches of one size. */
static void
check_distances(int batch)
{
	static Log	log;
	RecoTrail	trail = {-1, 0};
	bool		dense = true;
	bool		near = true;
	char		name[80];

	for (log.high = 0; log.high < LOG_MAX; log.high++)
		log.stamps[log.high] = log.high;
	read_log(&log, &trail, 0, LOG_MAX, batch);
	for (int i = 1; i <= RECO_TRAIL_DENSE; i++)
		dense = dense && trail.marks[trail.count - i].offset == LOG_MAX - i;
	for (int i = 0; i + 1 < trail.count; i++)
		near = near && LOG_MAX - trail.marks[i].offset <= 3 * (LOG_MAX - trail.marks[i + 1].offset);
	snprintf(name, sizeof(name), "batches of %d: marks of the newest messages, of the first, and none far from the next", batch);
	check(dense && near && trail.marks[0].offset == 0, name);
	check(trail.newest == LOG_MAX - 1, "and the latest time");
}

static void
check_hash(void)
{
	RecoMessage a = {0},
				b = {0};

	a.payload = b.payload = "ab";
	a.length = b.length = 2;
	check(reco_trail_hash(&a) == reco_trail_hash(&b), "the hash of the same message");
	b.stamp = 1;
	check(reco_trail_hash(&a) != reco_trail_hash(&b), "of another time");
	b = a;
	b.key = "";
	b.key_length = 0;
	check(reco_trail_hash(&a) == reco_trail_hash(&b), "an empty key is as none");
	a.key = "a";
	a.key_length = 1;
	a.payload = "b";
	a.length = 1;
	check(reco_trail_hash(&a) != reco_trail_hash(&b), "key and payload are told apart");
	b.payload = NULL;
	b.length = 0;
	a = b;
	a.payload = "";
	check(reco_trail_hash(&a) != reco_trail_hash(&b), "a tombstone is no empty message");
}

int
main(void)
{
	check_cases();
	check_hash();
	check_distances(1);
	check_distances(7);
	check_distances(10000);
	check_drawn(2000);
	printf("1..%d\n", tests);
	return failures > 0;
}
