/*-------------------------------------------------------------------------
 *
 * stamp.c
 *	  The stamp key: which publisher owns Redis, and has Redis lost data?
 *
 * The value of the key reco.redis_stamp_key is
 *
 *		system:timeline:counter:instance:place:since:database
 *
 * GETSET replaces it by one with the next counter and returns the old one, after
 * the replies to a batch and before its keys leave the change queue.  So Redis
 * must have the last acknowledged counter, or, if the reply to the last swap was
 * lost, the one that was sent.  Another counter of our own means that Redis has
 * lost data (an older copy became the primary), no stamp that it was flushed or
 * restarted empty: then everything is sent again.
 *
 * The stamp of another publisher means that it owns Redis.  Two publishers would
 * overwrite and delete each other's keys for ever, so whoever finds the other's
 * stamp writes nothing and watches it.  A publisher renews its stamp once a
 * second; if a stamp does not change for a while, its owner is gone, and we take
 * over.  The clocks of two hosts are never compared.  How long we watch a stamp
 *
 *	  - of an older timeline of our own system: not at all, because its server was
 *		left behind by a failover, and will stop when it finds our stamp;
 *	  - of our own place, so probably of this server before its last restart:
 *		RENEWALS_MS.  A copy of the whole machine may have the same place, but
 *		renews its stamp if it is alive;
 *	  - of another server: GONE_MS, longer than the longest pause after failures,
 *		since both may have lost Redis, and one may come back before the other.
 *
 * instance is random and created with shared memory: it distinguishes this server
 * from all clones.  If we have replaced a stamp of another publisher by mistake,
 * it is put back with counter 0, so that the owner finds its own stamp again, and
 * sends everything again, since we have written meanwhile.
 *
 * Counters are taken from the clock, so they are unique even after a restart that
 * emptied shared memory.  Runs outside transactions.
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

/* Within this time a publisher that is alive renews its stamp; ms. */
#define RENEWALS_MS 5000
#define GONE_MS 20000

/* How often another's stamp is polled, at first and later; ms. */
#define FIRST_POLL_MS 500
#define LONGEST_POLL_MS 5000

/* The size of a stamp's text, including NUL. */
#define STAMP_BYTES 320

/* A parsed stamp; instance = 0: unknown. */
typedef struct Stamp
{
	uint64		system;
	TimeLineID	timeline;
	uint64		counter;
	uint64		instance;
	uint64		place;
	int64		since;			/* seconds since 1970; 0: unknown */
	char		database[NAMEDATALEN];
} Stamp;

/* The owner of a stamp; see above. */
typedef enum Whose
{
	NOBODYS, OURS, OUR_PLACES, OLDER, NEWER, OTHERS
} Whose;

/* Another's stamp that we watch. */
static struct
{
	bool		active;
	bool		renewed;		/* it has changed since we began */
	RecoMoment	begun;
	RecoMoment	changed;		/* when it last changed */
	char		text[STAMP_BYTES];
}			watch;

/* A hash of the settings for the address and the keys. */
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

/* A hash of the server's host, port and data directory, which stays the same after a restart. */
static uint64
stamp_own_place(void)
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
stamp_own(const RecoStamp *own)
{
	Stamp		stamp = {
		GetSystemIdentifier(), GetWALInsertionTimeLine(), own->sent, own->instance, stamp_own_place(),
		own->owned_since / USECS_PER_SEC +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY
	};

	strlcpy(stamp.database, reco_database, sizeof(stamp.database));
	return stamp;
}

/* Print a stamp; returns the length. */
static size_t
stamp_print(const Stamp *stamp, char *text)
{
	return snprintf(text, STAMP_BYTES,
					UINT64_FORMAT ":%u:" UINT64_FORMAT ":%llx:%llx:" INT64_FORMAT ":%s",
					stamp->system, stamp->timeline, stamp->counter,
					(unsigned long long) stamp->instance, (unsigned long long) stamp->place,
					stamp->since, stamp->database);
}

/* Parse a stamp; false if the text is none. */
static bool
stamp_parse(const char *text, Stamp *stamp)
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
stamp_whose(const char *text, const RecoStamp *own, Stamp *stamp)
{
	TimeLineID	timeline = GetWALInsertionTimeLine();

	if (!stamp_parse(text, stamp))
		return NOBODYS;
	if (stamp->instance == own->instance)
		return OURS;
	if (stamp->system == GetSystemIdentifier() && stamp->timeline != timeline)
		return stamp->timeline < timeline ? OLDER : NEWER;
	if (stamp->system == GetSystemIdentifier() && (stamp->instance == 0 || stamp->place == stamp_own_place()))
		return OUR_PLACES;
	return OTHERS;
}

/*
 * Get the stamp, and if text is given, replace it by that; "" if there is none.
 * A key of another type is deleted: by the setting it is ours.
 */
static void
stamp_exchange(RecoRedis *redis, const char *text, size_t length, char *found)
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
		reco_redis_rejected(redis, reply);
	if (reply->type != RECO_REPLY_TEXT && reply->type != RECO_REPLY_NIL)
		reco_redis_unexpected_reply(redis, "GET");
	found[0] = '\0';
	if (reply->type == RECO_REPLY_TEXT)
		strlcpy(found, reply->text, STAMP_BYTES);
}

/* Request a resync, unless one is requested already. */
static void
stamp_distrust(void)
{
	if (!reco_queue_publish_all_requested())
		reco_queue_request_publish_all();
}

/* Watch a stamp, or note that the stamp we watch has changed. */
static void
stamp_watch(const char *text)
{
	if (!watch.active)
	{
		watch.begun = reco_monotonic_now();
		watch.renewed = false;
	}
	else
		watch.renewed = true;
	watch.active = true;
	watch.changed = reco_monotonic_now();
	strlcpy(watch.text, text, sizeof(watch.text));
}

void
reco_stamp_stop_watching(void)
{
	watch.active = false;
}

/* Report that another publisher owns Redis. */
static void
stamp_report(Whose whose, const Stamp *stamp)
{
	char		since[80] = "";
	char		database[NAMEDATALEN + 32] = "";

	if (whose == OUR_PLACES && !watch.renewed)
	{
		reco_status_report(RECO_PUBLISH, RECO_HEALTH_STARTING,
						   "checking whether the previous publisher has gone");
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
					   "stopped, because another publisher writes to this Redis");
	if (whose == NEWER)
		reco_trouble_begin(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER, RECO_HEALTH_FAILING,
						   "Another server was promoted: stop this one, or let reco.redis_url name another Redis.",
						   "a publisher on a newer timeline of this system writes to Redis: %stimeline %u%s, this server is on timeline %u",
						   database, stamp->timeline, since, GetWALInsertionTimeLine());
	else
		reco_trouble_begin(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER, RECO_HEALTH_FAILING,
						   "Stop the other one, or let reco.redis_url name another Redis or another database.",
						   "another publisher writes to Redis: %ssystem identifier " UINT64_FORMAT "%s%s",
						   database, stamp->system,
						   stamp->system == GetSystemIdentifier() ? ", a copy of this one," : "", since);
}

/* How long a stamp must remain unchanged before we take over, in ms. */
static int
stamp_timeout(Whose whose)
{
	switch (whose)
	{
		case OLDER:
			return 0;
		case NOBODYS:
			return watch.active ? RENEWALS_MS : 0;	/* the one that we watched may come back */
		case OURS:
			return RENEWALS_MS; /* put back by another that may still be writing */
		case OUR_PLACES:
			return watch.renewed ? GONE_MS : RENEWALS_MS;
		default:
			return GONE_MS;
	}
}

/* Replace the stamp by our next one; *found is the old one. */
static void
stamp_swap(RecoRedis *redis, RecoStamp *own, char *found)
{
	char		text[STAMP_BYTES];
	Stamp		stamp;

	own->sent = Max(own->sent + 1, (uint64) GetCurrentTimestamp());
	reco_queue_set_stamp(own);
	stamp = stamp_own(own);
	stamp_exchange(redis, text, stamp_print(&stamp, text), found);
}

/* Note that Redis has our stamp. */
static void
stamp_acknowledge(RecoStamp *own)
{
	own->acknowledged = own->sent;
	reco_queue_set_stamp(own);
}

/* Another publisher owns Redis: put back its stamp, which we have replaced. */
static void
stamp_give_back(RecoRedis *redis, RecoStamp *own, const Stamp *his)
{
	Stamp		stamp = *his;
	char		text[STAMP_BYTES];
	RecoWord	words[] = {
		reco_redis_word("SET"), reco_redis_word(reco_redis_stamp_key), {text, 0}
	};

	own->owned_since = 0;
	reco_queue_set_stamp(own);
	stamp_distrust();
	stamp.counter = 0;
	words[2].length = stamp_print(&stamp, text);
	(void) reco_redis_call(redis, lengthof(words), words);
	stamp_watch(text);
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

	stamp_exchange(redis, NULL, 0, found);
	whose = stamp_whose(found, &own, &stamp);
	if (own.owned_since != 0 && (whose == OURS || whose == NOBODYS))
		return reco_stamp_swap(redis) ? 0 : FIRST_POLL_MS;

	/* the other may have overwritten what we wrote earlier */
	own.owned_since = 0;
	reco_queue_set_stamp(&own);
	stamp_distrust();
	if ((whose != NOBODYS || watch.active) &&
		(!watch.active || strcmp(found, watch.text) != 0))
		stamp_watch(found);
	if (watch.active && reco_monotonic_since(watch.changed) < stamp_timeout(whose))
	{
		if (whose != NOBODYS && whose != OURS)
			stamp_report(whose, &stamp);
		return Min(LONGEST_POLL_MS, FIRST_POLL_MS + reco_monotonic_since(watch.begun) / 8);
	}

	own.owned_since = GetCurrentTimestamp();
	stamp_swap(redis, &own, replaced);
	if (strcmp(replaced, found) != 0 && stamp_whose(replaced, &own, &stamp) != NOBODYS)
	{
		/* another publisher was quicker */
		stamp_give_back(redis, &own, &stamp);
		return FIRST_POLL_MS;
	}
	stamp_acknowledge(&own);
	watch.active = false;
	reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER);
	return 0;
}

/* See the header. */
bool
reco_stamp_swap(RecoRedis *redis)
{
	RecoStamp	own = reco_queue_stamp();
	char		found[STAMP_BYTES];
	uint64		sent = own.sent;	/* may have arrived though its reply did not */
	Stamp		stamp;
	Whose		whose;

	stamp_swap(redis, &own, found);
	whose = stamp_whose(found, &own, &stamp);
	if (whose == OTHERS || whose == NEWER || (whose == OUR_PLACES && stamp.instance != 0))
	{
		stamp_give_back(redis, &own, &stamp);
		stamp_report(whose, &stamp);
		return false;
	}
	if (whose != OURS || (stamp.counter != own.acknowledged && stamp.counter != sent))
		stamp_distrust();
	stamp_acknowledge(&own);
	watch.active = false;
	reco_trouble_end(RECO_PUBLISH, RECO_TROUBLE_PUBLISHER);
	return true;
}
