/*-------------------------------------------------------------------------
 *
 * stamp.c
 *	  The stamp key: who publishes, and does Redis still hold it?
 *
 * The key reco.redis_stamp_key holds
 *
 *		system:timeline:counter:instance:place:since:database
 *
 * GETSET swaps it for the next counter and gives the old one, after the
 * replies to a batch and before its keys leave the queue.  So Redis may hold
 * the last acknowledged counter, or, if the reply to the last swap was lost,
 * the one that was sent.  Another counter of our own means that Redis lost
 * something since (an older copy became the primary), no stamp that it was
 * flushed or restarted empty: everything is sent again.
 *
 * The stamp of another publisher says that Redis is his.  Two would overwrite
 * and delete each other's lists for ever, so there is one: who finds the other's
 * stamp writes nothing and looks on.  A publisher renews its stamp once a second;
 * one whose stamp does not change while we look is gone, and we take over.
 * The clocks of two hosts are never compared.  How long we look:
 *
 *	  - of an older timeline of our own system: not at all, for it is the work of
 *		a server that was left behind by a failover, which stops in its turn;
 *	  - of our own place, so most likely of this server before its last start:
 *		RENEWALS_MS.  A copy of the whole machine may have that place too, but
 *		renews its stamp if it is alive;
 *	  - of another: GONE_MS, longer than the longest pause after failures, since
 *		both may have lost Redis and one comes back before the other.
 *
 * instance is random and made with shared memory: it tells this server from
 * all clones, since none of them runs with the same memory.  A stamp that we
 * replaced though it was another's is put back with counter 0, so that he finds
 * his own again, and sends everything again: we have written meanwhile.
 *
 * Counters come from the clock, so none comes twice, also after a restart
 * that emptied shared memory.  Runs outside transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "common/compat.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/guc.h"
#include "common/hashfn.h"
#include "common/monotonic.h"
#include "common/text_clean.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "postmaster/postmaster.h"
#include "redis/stamp.h"
#include "shmem/change_queue.h"
#include "shmem/worker_status.h"
#include "utils/timestamp.h"

/* A publisher that is alive has renewed its stamp meanwhile; ms. */
#define RENEWALS_MS 5000
#define GONE_MS 20000

/* How often another's stamp is looked at, at first and later; ms. */
#define FIRST_LOOK_MS 500
#define LONGEST_LOOK_MS 5000

/* The longest stamp that is taken for one. */
#define STAMP_BYTES 320

/* What a stamp says; instance = 0: it does not say whose it is. */
typedef struct Stamp
{
	uint64		system;
	TimeLineID	timeline;
	uint64		counter;
	uint64		instance;
	uint64		place;
	int64		since;			/* seconds since 1970; 0: not told */
	char		database[NAMEDATALEN];
} Stamp;

/* Whose a stamp is; see above. */
typedef enum Whose
{
	NOBODYS, OURS, OUR_PLACES, OLDER, NEWER, OTHERS
} Whose;

/* Another's stamp that we look at. */
static struct
{
	bool		looking;
	bool		renewed;		/* it has changed meanwhile */
	RecoMoment	begun;
	RecoMoment	changed;		/* when it was first seen as it is */
	char		text[STAMP_BYTES];
}			watch;

/* A hash of the settings that say which keys reco writes where. */
uint32
reco_stamp_target(void)
{
	const char *const settings[] = {
		reco_redis_url, reco_redis_user_key, reco_redis_trending_key, reco_redis_stamp_key
	};
	uint32		hash = 0;

	for (int i = 0; i < lengthof(settings); i++)
		hash = hash_combine(hash, hash_bytes((const unsigned char *) settings[i],
											 strlen(settings[i])));
	return hash;
}

/* A hash of where this server runs, which its next start will find again. */
static uint64
own_place(void)
{
	char		text[MAXPGPATH + 400] = "";
	char		host[256] = "";
	struct stat directory = {0};

	(void) gethostname(host, sizeof(host) - 1);
	(void) stat(DataDir, &directory);
	snprintf(text, sizeof(text), "%s %d %s %llu %llu", host, PostPortNumber, DataDir,
			 (unsigned long long) directory.st_dev, (unsigned long long) directory.st_ino);
	return hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
}

static Stamp
own_stamp(const RecoStamp *own)
{
	Stamp		stamp = {
		GetSystemIdentifier(), GetWALInsertionTimeLine(), own->sent, own->instance, own_place(),
		own->owned_since / USECS_PER_SEC +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY
	};

	strlcpy(stamp.database, reco_database, sizeof(stamp.database));
	return stamp;
}

/* Returns the length. */
static size_t
print_stamp(const Stamp *stamp, char *text)
{
	return snprintf(text, STAMP_BYTES,
					UINT64_FORMAT ":%u:" UINT64_FORMAT ":%llx:%llx:" INT64_FORMAT ":%s",
					stamp->system, stamp->timeline, stamp->counter,
					(unsigned long long) stamp->instance, (unsigned long long) stamp->place,
					stamp->since, stamp->database);
}

/* False if the text is none. */
static bool
parse_stamp(const char *text, Stamp *stamp)
{
	unsigned long long system;
	unsigned long long counter;
	unsigned long long instance = 0;
	unsigned long long place = 0;
	long long	since = 0;
	int			name = 0;

	memset(stamp, 0, sizeof(*stamp));
	if (sscanf(text, "%llu:%u:%llu:%llx:%llx:%lld:%n", &system, &stamp->timeline, &counter,
			   &instance, &place, &since, &name) < 3)
		return false;
	stamp->system = system;
	stamp->counter = counter;
	stamp->instance = instance;
	stamp->place = place;
	stamp->since = since;
	if (name > 0)
		reco_text_copy(stamp->database, text + name, sizeof(stamp->database));
	return true;
}

static Whose
whose_is(const char *text, const RecoStamp *own, Stamp *stamp)
{
	TimeLineID	timeline = GetWALInsertionTimeLine();

	if (!parse_stamp(text, stamp))
		return NOBODYS;
	if (stamp->instance == own->instance)
		return OURS;
	if (stamp->system == GetSystemIdentifier() && stamp->timeline != timeline)
		return stamp->timeline < timeline ? OLDER : NEWER;
	if (stamp->system == GetSystemIdentifier() && (stamp->instance == 0 || stamp->place == own_place()))
		return OUR_PLACES;
	return OTHERS;
}

/*
 * Ask for the stamp, and if text is given leave that instead; "" if there is
 * none.  A key of another type is no stamp, and gives way to one: the setting
 * says that it is ours.
 */
static void
ask(RecoRedis *redis, const char *text, size_t length, char *found)
{
	RecoWord	key = reco_redis_word(reco_redis_stamp_key);
	RecoWord	words[] = {reco_redis_word(text ? "GETSET" : "GET"), key, {text, length}};
	RecoReply  *reply = reco_redis_try(redis, text ? 3 : 2, words);

	if (reply->type == RECO_REPLY_ERROR && strncmp(reply->text, "WRONGTYPE ", 10) == 0)
	{
		(void) reco_redis_call(redis, 2, (RecoWord[]) {reco_redis_word("DEL"), key});
		reply = reco_redis_try(redis, text ? 3 : 2, words);
	}
	if (reply->type == RECO_REPLY_ERROR)
		reco_redis_refused(redis, reply);
	if (reply->type != RECO_REPLY_TEXT && reply->type != RECO_REPLY_NIL)
		reco_redis_unexpected(redis, "GET");
	found[0] = '\0';
	if (reply->type == RECO_REPLY_TEXT)
		strlcpy(found, reply->text, STAMP_BYTES);
}

/* Everything is to be sent once there is reason to. */
static void
distrust(void)
{
	if (!reco_queue_publish_all_requested())
		reco_queue_request_publish_all();
}

/* Begin to look at a stamp. */
static void
look_at(const char *text)
{
	if (!watch.looking)
	{
		watch.begun = reco_monotonic_now();
		watch.renewed = false;
	}
	else
		watch.renewed = true;
	watch.looking = true;
	watch.changed = reco_monotonic_now();
	strlcpy(watch.text, text, sizeof(watch.text));
}

void
reco_stamp_look_away(void)
{
	watch.looking = false;
}

/* Say whose Redis is. */
static void
report(Whose whose, const Stamp *stamp)
{
	char		since[80] = "";
	char		database[NAMEDATALEN + 32] = "";

	if (whose == OUR_PLACES && !watch.renewed)
	{
		reco_status_report(RECO_PUBLISH, RECO_HEALTH_STARTING,
						 "looking whether the publisher before this one has gone");
		return;
	}
	if (stamp->since > 0)
	{
		pg_time_t	at = stamp->since;
		struct pg_tm *tm = pg_gmtime(&at);

		if (tm != NULL)
			pg_strftime(since, sizeof(since), " since %Y-%m-%d %H:%M:%S UTC", tm);
	}
	if (stamp->database[0] != '\0')
		snprintf(database, sizeof(database), "database \"%s\" of ", stamp->database);
	reco_status_report(RECO_PUBLISH, RECO_HEALTH_FAILING,
					 "stopped, for another publisher writes to this Redis");
	if (whose == NEWER)
		reco_trouble_begin(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER, RECO_HEALTH_FAILING,
						   "Another server was promoted: stop this one, or let reco.redis_url name another Redis.",
						   "a publisher on a newer timeline of this system writes to Redis: %stimeline %u%s, this server is on timeline %u",
						   database, stamp->timeline, since, GetWALInsertionTimeLine());
	else
		reco_trouble_begin(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER, RECO_HEALTH_FAILING,
						   "Stop the other, or let reco.redis_url name another Redis or database of it.",
						   "another publisher writes to Redis: %ssystem identifier " UINT64_FORMAT "%s%s",
						   database, stamp->system,
						   stamp->system == GetSystemIdentifier() ? ", a copy of this one," : "", since);
}

/* How long a stamp must stay as it is before we take over, in ms. */
static int
patience_with(Whose whose)
{
	switch (whose)
	{
		case OLDER:
			return 0;
		case NOBODYS:
			return watch.looking ? RENEWALS_MS : 0; /* his, who was here, may come back */
		case OURS:
			return RENEWALS_MS; /* we had left, and the other may not know it yet */
		case OUR_PLACES:
			return watch.renewed ? GONE_MS : RENEWALS_MS;
		default:
			return GONE_MS;
	}
}

/* Leave the next stamp of ours; what was there is found. */
static void
swap(RecoRedis *redis, RecoStamp *own, char *found)
{
	char		text[STAMP_BYTES];
	Stamp		stamp;

	own->sent = Max(own->sent + 1, (uint64) GetCurrentTimestamp());
	reco_queue_set_stamp(own);
	stamp = own_stamp(own);
	ask(redis, text, print_stamp(&stamp, text), found);
}

/* Redis has our stamp. */
static void
acknowledge(RecoStamp *own)
{
	own->acknowledged = own->sent;
	reco_queue_set_stamp(own);
}

/* Redis is another's: leave him his stamp, which we have replaced. */
static void
give_back(RecoRedis *redis, RecoStamp *own, const Stamp *his)
{
	Stamp		stamp = *his;
	char		text[STAMP_BYTES];
	RecoWord	words[] = {
		reco_redis_word("SET"), reco_redis_word(reco_redis_stamp_key), {text, 0}
	};

	own->owned_since = 0;
	reco_queue_set_stamp(own);
	distrust();
	stamp.counter = 0;
	words[2].length = print_stamp(&stamp, text);
	(void) reco_redis_call(redis, lengthof(words), words);
	look_at(text);
}

/* See the header. */
long
reco_stamp_claim(RecoRedis *redis)
{
	RecoStamp	own = reco_queue_stamp();
	char		found[STAMP_BYTES];
	char		replaced[STAMP_BYTES];
	Stamp		stamp;
	Whose		whose;

	ask(redis, NULL, 0, found);
	whose = whose_is(found, &own, &stamp);
	if (own.owned_since != 0 && (whose == OURS || whose == NOBODYS))
		return reco_stamp_swap(redis) ? 0 : FIRST_LOOK_MS;

	/* what we wrote once the other may have replaced */
	own.owned_since = 0;
	reco_queue_set_stamp(&own);
	distrust();
	if ((whose != NOBODYS || watch.looking) &&
		(!watch.looking || strcmp(found, watch.text) != 0))
		look_at(found);
	if (watch.looking && reco_monotonic_since(watch.changed) < patience_with(whose))
	{
		if (whose != NOBODYS && whose != OURS)
			report(whose, &stamp);
		return Min(LONGEST_LOOK_MS, FIRST_LOOK_MS + reco_monotonic_since(watch.begun) / 8);
	}

	own.owned_since = GetCurrentTimestamp();
	swap(redis, &own, replaced);
	if (strcmp(replaced, found) != 0 && whose_is(replaced, &own, &stamp) != NOBODYS)
	{
		/* somebody was quicker */
		give_back(redis, &own, &stamp);
		return FIRST_LOOK_MS;
	}
	acknowledge(&own);
	watch.looking = false;
	reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER);
	return 0;
}

/* See the header. */
bool
reco_stamp_swap(RecoRedis *redis)
{
	RecoStamp	own = reco_queue_stamp();
	char		found[STAMP_BYTES];
	uint64		sent = own.sent;	/* may have arrived though its answer did not */
	Stamp		stamp;
	Whose		whose;

	swap(redis, &own, found);
	whose = whose_is(found, &own, &stamp);
	if (whose == OTHERS || whose == NEWER || (whose == OUR_PLACES && stamp.instance != 0))
	{
		give_back(redis, &own, &stamp);
		report(whose, &stamp);
		return false;
	}
	if (whose != OURS || (stamp.counter != own.acknowledged && stamp.counter != sent))
		distrust();
	acknowledge(&own);
	watch.looking = false;
	reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER);
	return true;
}
