/*-------------------------------------------------------------------------
 *
 * consumer_config.c
 *	  The settings of the Kafka client.
 *
 * Ours come first, those of the file that reco.kafka_config names after them.
 * The file may set what it likes (addresses of proxies, SASL, TLS, sizes) but
 * not what the guarantees of reco depend on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka/consumer_config.h"

static const struct
{
	const char *name;
	const char *value;
	bool		fixed;
}			defaults[] =
{
	/* offsets are kept in reco.offsets, and a gap must be seen */
	{"enable.auto.commit", "false", true},
	{"enable.auto.offset.store", "false", true},
	{"auto.offset.reset", "error", true},
	{"enable.partition.eof", "true", true},
	{"log.queue", "true", true},

	{"client.id", "reco", false},
	{"reconnect.backoff.max.ms", "2000", false},
	{"socket.keepalive.enable", "true", false},

	/*
	 * librdkafka before 2.2 stops fetching for a second when this many
	 * messages wait: they must last longer than that.  With 150,000 a drain
	 * of 170,000 events/s waited for a fifth of its time.  The other limits
	 * bound memory, with fetches that overshoot and with large messages.
	 */
	{"queued.min.messages", "300000", false},
	{"queued.max.messages.kbytes", "49152", false},
	{"fetch.message.max.bytes", "262144", false},
	{"fetch.max.bytes", "4194304", false},
	{"fetch.queue.backoff.ms", "10", false}
};

/* Settings that come from reco.kafka_brokers. */
static const char *const brokers_names[] = {"bootstrap.servers", "metadata.broker.list"};

static RecoProperty *
make_setting(const char *name, const char *value)
{
	RecoProperty *setting = palloc0(sizeof(RecoProperty));

	setting->name = pstrdup(name);
	setting->value = pstrdup(value);
	return setting;
}

/*
 * Settings of a consumer group: harmless, but with them librdkafka would look
 * for the group's coordinator, which an ACL need not allow.
 */
static bool
is_of_group(const char *name)
{
	return strncmp(name, "group.", strlen("group.")) == 0;
}

/* May a file set this? */
static bool
is_fixed(const char *name)
{
	for (int i = 0; i < lengthof(brokers_names); i++)
	{
		if (strcmp(brokers_names[i], name) == 0)
			return true;
	}
	for (int i = 0; i < lengthof(defaults); i++)
	{
		if (defaults[i].fixed && strcmp(defaults[i].name, name) == 0)
			return true;
	}
	return false;
}

/*
 * Make the list of settings, RecoProperty with line 0 for our own; path is ""
 * when there is no file.  Returns NULL, or what is wrong.
 */
char *
reco_kafka_config_read(const char *brokers, const char *path, List **settings)
{
	List	   *from_file = NIL;
	ListCell   *cell;

	*settings = list_make1(make_setting(brokers_names[0], brokers));
	for (int i = 0; i < lengthof(defaults); i++)
		*settings = lappend(*settings, make_setting(defaults[i].name, defaults[i].value));

	if (path[0] != '\0')
	{
		char	   *problem = reco_properties_read(path, &from_file);

		if (problem != NULL)
			return problem;
	}
	foreach(cell, from_file)
	{
		RecoProperty *setting = lfirst(cell);

		if (is_fixed(setting->name))
			return psprintf("line %d of file \"%s\" sets \"%s\", which reco sets itself",
							setting->line, path, setting->name);
		if (!is_of_group(setting->name))
			*settings = lappend(*settings, setting);
	}
	return NULL;
}
