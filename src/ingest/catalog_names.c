/*-------------------------------------------------------------------------
 *
 * catalog_names.c
 *	  How the settings of a subscription that are a choice are written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ingest/catalog.h"

static const char *const mode_names[] = {
	[KAFKA_MODE_INSERT] = "insert",
	[KAFKA_MODE_UPSERT] = "upsert"
};
static const char *const bad_message_names[] = {
	[KAFKA_BAD_STOP] = "stop",
	[KAFKA_BAD_SKIP] = "skip",
	[KAFKA_BAD_DEAD_LETTER] = "dead_letter"
};

static int	find_name(const char *const *names, int n, const char *name);

const char *
kafka_mode_name(KafkaSubscriptionMode mode)
{
	return mode_names[mode];
}

/*
 * kafka_mode_by_name
 *		Sets *mode; false when there is none of that name.
 */
bool
kafka_mode_by_name(const char *name, KafkaSubscriptionMode *mode)
{
	int			i = find_name(mode_names, lengthof(mode_names), name);

	*mode = (KafkaSubscriptionMode) Max(i, 0);
	return i >= 0;
}

const char *
kafka_bad_message_name(KafkaBadMessage on_error)
{
	return bad_message_names[on_error];
}

/*
 * kafka_bad_message_by_name
 *		Sets *on_error; false when there is none of that name.
 */
bool
kafka_bad_message_by_name(const char *name, KafkaBadMessage *on_error)
{
	int			i = find_name(bad_message_names, lengthof(bad_message_names), name);

	*on_error = (KafkaBadMessage) Max(i, 0);
	return i >= 0;
}

static int
find_name(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}
