/*-------------------------------------------------------------------------
 *
 * message_log_route.c
 *	  Numbers for where the messages of a log go.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/message_log_internal.h"
#include "common/hashfn.h"
#include "utils/memutils.h"

static LogRoute *add_route(KafkaMessageLog *log, int target,
						   const char *topic);
static HTAB *make_routes(MemoryContext context);
static uint32 hash_route(const void *key, Size size);
static int	compare_routes(const void *a, const void *b, Size size);

/*
 * kafka_log_route
 *		Returns what stands for a target and topic in this log.
 */
const LogRoute *
kafka_log_route(KafkaMessageLog *log, int target, const char *topic)
{
	LogRoute	key = {.topic = topic,.target = target};
	LogRoute   *route;

	if (log->last != NULL && log->last->target == target &&
		strcmp(log->last->topic, topic) == 0)
		return log->last;
	if (log->routes == NULL)
		log->routes = make_routes(log->context);
	route = hash_search(log->routes, &key, HASH_FIND, NULL);
	if (route == NULL)
		route = add_route(log, target, topic);
	log->last = route;
	return route;
}

static LogRoute *
add_route(KafkaMessageLog *log, int target, const char *topic)
{
	LogRoute	key = {.target = target};
	LogRoute   *route;

	if (log->nroutes == MAX_ROUTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("transaction sends messages to more than %d topics",
						MAX_ROUTES)));
	if (log->nroutes == log->max_routes)
	{
		uint32		more = Max(2 * log->max_routes, 8);
		Size		size = more * sizeof(LogRoute *);

		log->route = log->route == NULL ?
			MemoryContextAlloc(log->context, size) : repalloc(log->route, size);
		log->max_routes = more;
	}
	key.topic = MemoryContextStrdup(log->context, topic);
	route = hash_search(log->routes, &key, HASH_ENTER, NULL);
	route->number = log->nroutes;
	log->route[log->nroutes++] = route;
	return route;
}

static HTAB *
make_routes(MemoryContext context)
{
	HASHCTL		control = {0};

	control.keysize = offsetof(LogRoute, number);
	control.entrysize = sizeof(LogRoute);
	control.hash = hash_route;
	control.match = compare_routes;
	control.hcxt = context;
	return hash_create("topics of a message log", 16, &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static uint32
hash_route(const void *key, Size size)
{
	const LogRoute *route = key;

	return hash_bytes((const unsigned char *) route->topic,
					  strlen(route->topic)) + route->target;
}

static int
compare_routes(const void *a, const void *b, Size size)
{
	const LogRoute *ra = a;
	const LogRoute *rb = b;

	return ra->target != rb->target || strcmp(ra->topic, rb->topic) != 0;
}
