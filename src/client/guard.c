/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Which addresses clients may connect to: kafka_fdw.allowed_brokers.
 *
 * NOTES
 *	  Whoever may create a server has the database server connect to an address
 *	  of his choice, and a broker's answer names the addresses that the client
 *	  connects to next.  Both are resolved by one callback of librdkafka, which
 *	  leaves out what is not allowed; so what is connected to is what has been
 *	  looked at.
 *
 *	  An address is allowed if an entry for addresses includes it, or, unless
 *	  it is link-local (where clouds keep their secrets), if an entry for names
 *	  matches the name it was found by, or if there are no entries.
 *
 *	  The callback runs in librdkafka's threads.  It reads a malloc'd copy of
 *	  the list that never changes, and uses nothing of PostgreSQL; what it has
 *	  refused becomes an ERROR in kafka_guard_raise().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "client/guard.h"

#define MAX_ENTRY 256

/* An entry of the list. */
typedef struct GuardRule
{
	int			family;			/* AF_INET, AF_INET6; 0: a name */
	int			bits;			/* of the address that count */
	int			port;			/* 0: all */
	uint8		address[16];
	char		name[MAX_ENTRY];	/* with * and ? */
} GuardRule;

enum
{
	REFUSED_NOTHING, REFUSED_NOTING, REFUSED_NOTED
};

struct KafkaGuard
{
	/* never changes */
	GuardRule  *rules;
	int			nrules;

	/* the first refusal */
	int			state;			/* REFUSED_..., atomic */
	bool		link_local;
	char		node[MAX_ENTRY];
	char		service[32];
	char		address[INET6_ADDRSTRLEN];	/* "" if it was not resolved */
};

static const char separators[] = ", \t\n\r";

static int	parse_list(const char *list, GuardRule *rules, const char **bad,
					   int *length);
static bool parse_entry(const char *entry, size_t length, GuardRule *rule);
static bool parse_port(char *entry, GuardRule *rule);
static bool parse_address(char *entry, GuardRule *rule);
static bool is_pattern(const char *entry);
static bool may_be_allowed(const KafkaGuard *guard, const char *node,
						   int port);
static bool is_allowed(const KafkaGuard *guard, const char *node, int port,
					   const struct sockaddr *address, bool *link_local);
static int	take_address(const struct sockaddr *address, uint8 *bytes);
static bool matches_address(const GuardRule *rule, int family, const uint8 *bytes);
static bool matches_name(const char *pattern, const char *name);
static struct addrinfo *copy_address(const struct addrinfo *original);
static void free_addresses(struct addrinfo *list);
static void note_refusal(KafkaGuard *guard, const char *node,
						 const char *service, const struct sockaddr *address,
						 bool link_local);

/*
 * kafka_guard_check_list
 *		Says whether a list is well-formed; if not, which entry is bad.
 */
bool
kafka_guard_check_list(const char *list, const char **bad, int *length)
{
	return parse_list(list, NULL, bad, length) >= 0;
}

/*
 * kafka_guard_make
 *		Returns a malloc'd guard for a well-formed list, or NULL if there is no
 *		memory.
 */
KafkaGuard *
kafka_guard_make(const char *list)
{
	const char *bad;
	int			length;
	KafkaGuard *guard = calloc(1, sizeof(KafkaGuard));

	if (guard == NULL)
		return NULL;
	guard->nrules = Max(parse_list(list, NULL, &bad, &length), 0);
	guard->rules = calloc(guard->nrules + 1, sizeof(GuardRule));
	if (guard->rules == NULL)
	{
		free(guard);
		return NULL;
	}
	(void) parse_list(list, guard->rules, &bad, &length);
	return guard;
}

/*
 * kafka_guard_free
 *		Frees a guard that no client uses any more; in any thread.
 */
void
kafka_guard_free(KafkaGuard *guard)
{
	if (guard == NULL)
		return;
	free(guard->rules);
	free(guard);
}

/*
 * kafka_guard_resolve
 *		In librdkafka's threads: resolves a name as getaddrinfo() does, to
 *		allowed addresses; without a name, frees what it has returned.
 */
int
kafka_guard_resolve(const char *node, const char *service,
					const struct addrinfo *hints, struct addrinfo **result,
					void *arg)
{
	KafkaGuard *guard = arg;
	struct addrinfo *all;
	struct addrinfo **link = result;
	int			port = service != NULL ? atoi(service) : 0;
	bool		link_local;
	int			rc;

	if (node == NULL && service == NULL)
	{
		free_addresses(*result);
		return 0;
	}
	*result = NULL;
	if (!may_be_allowed(guard, node, port))
	{
		note_refusal(guard, node, service, NULL, false);
		return EAI_FAIL;
	}
	rc = getaddrinfo(node, service, hints, &all);
	if (rc != 0)
		return rc;
	for (struct addrinfo *next = all; next != NULL; next = next->ai_next)
	{
		if (!is_allowed(guard, node, port, next->ai_addr, NULL))
			continue;
		*link = copy_address(next);
		if (*link == NULL)
			break;
		link = &(*link)->ai_next;
	}
	if (*result == NULL)
	{
		(void) is_allowed(guard, node, port, all->ai_addr, &link_local);
		note_refusal(guard, node, service, all->ai_addr, link_local);
		rc = EAI_FAIL;
	}
	freeaddrinfo(all);
	return rc;
}

/*
 * kafka_guard_refused
 *		Says whether an address has been refused.
 */
bool
kafka_guard_refused(const KafkaGuard *guard)
{
	return __atomic_load_n(&guard->state, __ATOMIC_ACQUIRE) == REFUSED_NOTED;
}

/*
 * kafka_guard_raise
 *		Raises an ERROR if an address has been refused.
 */
void
kafka_guard_raise(const KafkaGuard *guard)
{
	if (!kafka_guard_refused(guard))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 guard->address[0] != '\0' ?
			 errmsg("connection to broker \"%s:%s\" at address %s is not allowed",
					guard->node, guard->service, guard->address) :
			 errmsg("connection to broker \"%s:%s\" is not allowed",
					guard->node, guard->service),
			 guard->link_local ?
			 errdetail("A link-local address must be included in the parameter \"%s\".",
					   "kafka_fdw.allowed_brokers") :
			 errdetail("The parameter \"%s\" does not include it.",
					   "kafka_fdw.allowed_brokers"),
			 errhint("Addresses come from the option \"bootstrap_servers\", and from what the brokers then advertise.")));
}

/*
 * Parses the list, into rules if not NULL, and returns the number of entries,
 * or -1 and the bad one.
 */
static int
parse_list(const char *list, GuardRule *rules, const char **bad, int *length)
{
	int			n = 0;

	for (list += strspn(list, separators); *list != '\0';
		 list += strspn(list, separators))
	{
		GuardRule	rule;

		*bad = list;
		*length = (int) strcspn(list, separators);
		if (!parse_entry(list, *length, rules != NULL ? &rules[n] : &rule))
			return -1;
		list += *length;
		n++;
	}
	return n;
}

/*
 * Parses ADDRESS, ADDRESS/BITS or PATTERN, with :PORT or without; an IPv6
 * address with a port is in brackets.
 */
static bool
parse_entry(const char *entry, size_t length, GuardRule *rule)
{
	char		copy[MAX_ENTRY];

	memset(rule, 0, sizeof(GuardRule));
	if (length >= sizeof(copy))
		return false;
	memcpy(copy, entry, length);
	copy[length] = '\0';

	if (!parse_port(copy, rule))
		return false;
	if (parse_address(copy, rule))
		return true;
	if (!is_pattern(copy))
		return false;
	strcpy(rule->name, copy);
	return true;
}

/*
 * Takes the port, and brackets, off an entry.
 */
static bool
parse_port(char *entry, GuardRule *rule)
{
	char	   *colon = strrchr(entry, ':');
	char	   *end = entry + strlen(entry);

	if (entry[0] == '[')
	{
		char	   *bracket = strchr(entry, ']');

		if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
			return false;
		colon = bracket[1] == ':' ? bracket + 1 : NULL;
		end = bracket;
	}
	else if (colon != NULL && strchr(entry, ':') == colon)
		end = colon;
	else
		colon = NULL;			/* an IPv6 address, or no port */

	if (colon != NULL)
	{
		if (colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
			strlen(colon + 1) > 5)
			return false;
		rule->port = atoi(colon + 1);
		if (rule->port < 1 || rule->port > 65535)
			return false;
	}
	*end = '\0';
	if (entry[0] == '[')
		memmove(entry, entry + 1, strlen(entry));
	return true;
}

static bool
parse_address(char *entry, GuardRule *rule)
{
	char	   *slash = strchr(entry, '/');
	int			family = strchr(entry, ':') != NULL ? AF_INET6 : AF_INET;
	int			bits = family == AF_INET6 ? 128 : 32;

	if (slash != NULL)
	{
		if (strspn(slash + 1, "0123456789") != strlen(slash + 1) ||
			strlen(slash + 1) < 1 || strlen(slash + 1) > 3 ||
			atoi(slash + 1) > bits)
			return false;
		bits = atoi(slash + 1);
		*slash = '\0';
	}
	if (inet_pton(family, entry, rule->address) != 1)
	{
		if (slash != NULL)
			*slash = '/';
		return false;
	}
	rule->family = family;
	rule->bits = bits;
	return true;
}

/*
 * Says whether an entry is a name or a pattern of names, and not one of
 * addresses, which a name could match.
 */
static bool
is_pattern(const char *entry)
{
	if (entry[0] == '\0' ||
		strspn(entry, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*?") != strlen(entry))
		return false;
	return strcmp(entry, "*") == 0 ||
		strspn(entry, "0123456789.*?") != strlen(entry);
}

/*
 * Says whether it is worth while to resolve a name.
 */
static bool
may_be_allowed(const KafkaGuard *guard, const char *node, int port)
{
	for (int i = 0; i < guard->nrules; i++)
	{
		const GuardRule *rule = &guard->rules[i];

		if (rule->port != 0 && rule->port != port)
			continue;
		if (rule->family != 0 || matches_name(rule->name, node))
			return true;
	}
	return guard->nrules == 0;
}

/*
 * Says whether an address is allowed, and, if link_local is not NULL, whether
 * only its being link-local is against it.
 */
static bool
is_allowed(const KafkaGuard *guard, const char *node, int port,
		   const struct sockaddr *address, bool *link_local)
{
	uint8		bytes[16];
	int			family = take_address(address, bytes);
	bool		named = guard->nrules == 0;
	bool		is_link_local;

	for (int i = 0; i < guard->nrules; i++)
	{
		const GuardRule *rule = &guard->rules[i];

		if (rule->port != 0 && rule->port != port)
			continue;
		if (rule->family == 0)
			named |= matches_name(rule->name, node);
		else if (matches_address(rule, family, bytes))
			return true;
	}
	is_link_local =
		(family == AF_INET && bytes[0] == 169 && bytes[1] == 254) ||
		(family == AF_INET6 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
	if (link_local != NULL)
		*link_local = named && is_link_local;
	return named && !is_link_local;
}

/*
 * Takes the bytes of an address and returns its family; an IPv4 address in
 * the form of IPv6 is one of IPv4.
 */
static int
take_address(const struct sockaddr *address, uint8 *bytes)
{
	static const uint8 mapped[12] = {[10] = 0xff, 0xff};
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) address;

	if (address->sa_family == AF_INET)
	{
		memcpy(bytes, &((const struct sockaddr_in *) address)->sin_addr, 4);
		return AF_INET;
	}
	memcpy(bytes, &v6->sin6_addr, 16);
	if (memcmp(bytes, mapped, sizeof(mapped)) != 0)
		return AF_INET6;
	memmove(bytes, bytes + 12, 4);
	return AF_INET;
}

static bool
matches_address(const GuardRule *rule, int family, const uint8 *bytes)
{
	int			whole = rule->bits / 8;
	int			rest = rule->bits % 8;

	return rule->family == family &&
		memcmp(rule->address, bytes, whole) == 0 &&
		(rest == 0 ||
		 ((rule->address[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

/*
 * Says whether a name matches a pattern with * and ?, in any case.
 */
static bool
matches_name(const char *pattern, const char *name)
{
	const char *star = NULL;	/* the last * met */
	const char *from = NULL;	/* what it begins to match at */

	while (*name != '\0')
	{
		if (*pattern == '*')
		{
			star = pattern++;
			from = name;
		}
		else if (*pattern == '?' ||
				 pg_ascii_tolower(*pattern) == pg_ascii_tolower(*name))
		{
			pattern++;
			name++;
		}
		else if (star != NULL)
		{
			pattern = star + 1;
			name = ++from;
		}
		else
			return false;
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

/*
 * Returns a copy in one malloc'd piece, or NULL.
 */
static struct addrinfo *
copy_address(const struct addrinfo *original)
{
	struct addrinfo *copy = malloc(sizeof(struct addrinfo) +
								   original->ai_addrlen);

	if (copy == NULL)
		return NULL;
	*copy = *original;
	copy->ai_addr = (struct sockaddr *) (copy + 1);
	memcpy(copy->ai_addr, original->ai_addr, original->ai_addrlen);
	copy->ai_canonname = NULL;
	copy->ai_next = NULL;
	return copy;
}

static void
free_addresses(struct addrinfo *list)
{
	while (list != NULL)
	{
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

/*
 * Keeps the first refusal for the backend, which reads it when it is noted.
 */
static void
note_refusal(KafkaGuard *guard, const char *node, const char *service,
			 const struct sockaddr *address, bool link_local)
{
	int			nothing = REFUSED_NOTHING;

	if (!__atomic_compare_exchange_n(&guard->state, &nothing, REFUSED_NOTING,
									 false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	strlcpy(guard->node, node, sizeof(guard->node));
	strlcpy(guard->service, service != NULL ? service : "",
			sizeof(guard->service));
	guard->link_local = link_local;
	guard->address[0] = '\0';
	if (address != NULL)
	{
		uint8		bytes[16];
		int			family = take_address(address, bytes);

		(void) inet_ntop(family, bytes, guard->address, sizeof(guard->address));
	}
	__atomic_store_n(&guard->state, REFUSED_NOTED, __ATOMIC_RELEASE);
}
