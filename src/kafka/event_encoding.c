/*-------------------------------------------------------------------------
 *
 * event_encoding.c
 *	  Conversion of an event's texts to the database's encoding.
 *
 * A message is UTF-8.  The database's encoding may lack one of its characters;
 * the ERROR of an INSERT would abort the batch's transaction, so the texts are
 * converted beforehand, without raising errors.
 *
 * Needs a transaction, because conversions are looked up in the catalog.  An
 * SQL_ASCII database takes the bytes as they are, as it does from clients.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "kafka/event_encoding.h"
#include "mb/pg_wchar.h"

/* Prepare for converting the events of a transaction. */
RecoEncoding
reco_encoding_begin(void)
{
	int			server = GetDatabaseEncoding();
	RecoEncoding encoding = {server != PG_UTF8 && server != PG_SQL_ASCII, InvalidOid};

	if (encoding.needed)
		encoding.conversion = FindDefaultConversionProc(PG_UTF8, server);
	return encoding;
}

static bool
encoding_is_ascii(const RecoSlice *text)
{
	for (int i = 0; i < text->length; i++)
	{
		if (IS_HIGHBIT_SET(text->data[i]))
			return false;
	}
	return true;
}

/* Convert a text; false: the database's encoding lacks one of its characters. */
static bool
encoding_convert_text(const RecoEncoding *encoding, RecoSlice *text)
{
	int			size = text->length * MAX_CONVERSION_GROWTH + 1;
	char	   *converted;

	if (text->data == NULL || encoding_is_ascii(text))
		return true;
	if (!OidIsValid(encoding->conversion))
		return false;
	converted = palloc(size);
	if (pg_do_encoding_conversion_buf(encoding->conversion, PG_UTF8, GetDatabaseEncoding(),
									  (unsigned char *) unconstify(char *, text->data),
									  text->length, (unsigned char *) converted,
									  size, true) != text->length)
		return false;
	text->data = converted;
	text->length = strlen(converted);
	return true;
}

/*
 * Convert an event's texts, in the current memory context.  Returns NULL, or
 * why the event is rejected.
 */
const char *
reco_encoding_convert(const RecoEncoding *encoding, RecoEvent *event)
{
	if (!encoding->needed)
		return NULL;
	if (!encoding_convert_text(encoding, &event->event_type))
		return "event_type holds a character that the database's encoding lacks";
	if (!encoding_convert_text(encoding, &event->product_id))
		return "product_id holds a character that the database's encoding lacks";
	if (!encoding_convert_text(encoding, &event->query))
		return "query holds a character that the database's encoding lacks";

	/* some encodings need more bytes than UTF-8 does */
	return reco_event_check_sizes(event);
}
