/*-------------------------------------------------------------------------
 *
 * consumer_config.c
 *	  librdkafka's configuration: reco's own settings and a file's.
 *
 * Reco's own come first, then those of the file that reco.kafka_config names,
 * which may set anything (SASL, TLS, buffer sizes) except what the guarantees of
 * reco depend on.
 *
 * The file has lines of key=value.  Blanks around key and value are ignored,
 * empty lines and lines that begin with # are skipped; a value extends to the
 * end of its line.  An unreadable file or line raises no ERROR but is returned
 * as a message to the caller, which tries again later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "common/private_file.h"
#include "common/string.h"
#include "kafka/consumer_config.h"
#include "lib/stringinfo.h"
#include "storage/fd.h"

static const struct
{
	const char *name;
	const char *value;
	bool		fixed;
}			defaults[] =
{
	/* offsets are kept in reco.offsets, and gaps must be noticed */
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
	 * messages are queued, so they must last longer than that.  With 150,000
	 * a drain of 170,000 events/s waited a fifth of its time.  The other
	 * limits bound memory for fetches that overshoot and large messages.
	 */
	{"queued.min.messages", "300000", false},
	{"queued.max.messages.kbytes", "49152", false},
	{"fetch.message.max.bytes", "262144", false},
	{"fetch.max.bytes", "4194304", false},
	{"fetch.queue.backoff.ms", "10", false}
};

/* Settings that reco.kafka_brokers replaces. */
static const char *const broker_settings[] = {"bootstrap.servers", "metadata.broker.list"};

/* Trim blanks at both ends of a string, in place. */
static char *
config_trim(char *text)
{
	char	   *end = text + strlen(text);

	while (end > text &&isspace((unsigned char) end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char) *text))
		text	  ++;
	return text;
}

/* Parse a line; returns false if it is neither empty nor key=value. */
static bool
config_parse_line(char *text, int line, List **settings)
{
	RecoConsumerSetting *setting;
	char	   *name = config_trim(text);
	char	   *equals = strchr(name, '=');

	if (name[0] == '\0' || name[0] == '#')
		return true;
	if (equals == NULL || equals == name)
		return false;
	*equals = '\0';

	setting = palloc(sizeof(RecoConsumerSetting));
	setting->name = pstrdup(config_trim(name));
	setting->value = pstrdup(config_trim(equals + 1));
	setting->line = line;
	*settings = lappend(*settings, setting);
	return true;
}

/* Is one of the settings a password, a key or the like? */
static bool
config_have_secret(const List *settings)
{
	ListCell   *cell;

	foreach(cell, settings)
	{
		const char *name = ((RecoConsumerSetting *) lfirst(cell))->name;

		if (strstr(name, "password") != NULL || strstr(name, "secret") != NULL ||
			strcmp(name, "ssl.key.pem") == 0 || strcmp(name, "sasl.oauthbearer.config") == 0)
			return true;
	}
	return false;
}

/*
 * Read a file into a list of RecoConsumerSetting, in the current memory context.
 * Returns NULL, or what is wrong.
 */
static char *
config_read_file(const char *path, List **settings)
{
	FILE	   *file = AllocateFile(path, "r");
	StringInfoData text;
	int			line = 0;
	char	   *problem = NULL;

	*settings = NIL;
	if (file == NULL)
		return psprintf("could not open file \"%s\": %m", path);

	initStringInfo(&text);
	while (problem == NULL && pg_get_line_buf(file, &text))
	{
		if (!config_parse_line(text.data, ++line, settings))
			problem = psprintf("line %d of file \"%s\" is not of the form key=value",
							   line, path);
	}
	if (problem == NULL && ferror(file))
		problem = psprintf("could not read file \"%s\": %m", path);
	if (config_have_secret(*settings))
		reco_private_file_check(file, "configuration file", path);
	FreeFile(file);
	return problem;
}

static RecoConsumerSetting *
config_make_setting(const char *name, const char *value)
{
	RecoConsumerSetting *setting = palloc0(sizeof(RecoConsumerSetting));

	setting->name = pstrdup(name);
	setting->value = pstrdup(value);
	return setting;
}

/*
 * Settings of a consumer group are ignored: they would make librdkafka look for
 * the group's coordinator, which ACLs need not allow.
 */
static bool
config_is_of_group(const char *name)
{
	return strncmp(name, "group.", strlen("group.")) == 0;
}

/* Is a setting reserved, so that the file may not have it? */
static bool
config_is_fixed(const char *name)
{
	for (int i = 0; i < lengthof(broker_settings); i++)
	{
		if (strcmp(broker_settings[i], name) == 0)
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
 * Make a list of RecoConsumerSetting; path is "" if there is no file.  Returns
 * NULL, or what is wrong.
 */
char *
reco_consumer_config_read(const char *brokers, const char *path, List **settings)
{
	List	   *from_file = NIL;
	ListCell   *cell;

	*settings = list_make1(config_make_setting(broker_settings[0], brokers));
	for (int i = 0; i < lengthof(defaults); i++)
		*settings = lappend(*settings, config_make_setting(defaults[i].name, defaults[i].value));

	if (path[0] != '\0')
	{
		char	   *problem = config_read_file(path, &from_file);

		if (problem != NULL)
			return problem;
	}
	foreach(cell, from_file)
	{
		RecoConsumerSetting *setting = lfirst(cell);

		if (config_is_fixed(setting->name))
			return psprintf("line %d of file \"%s\" sets \"%s\", which reco sets itself",
							setting->line, path, setting->name);
		if (!config_is_of_group(setting->name))
			*settings = lappend(*settings, setting);
	}
	return NULL;
}
