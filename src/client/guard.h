/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Which addresses clients may connect to: kafka_fdw.allowed_brokers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_GUARD_H
#define KAFKA_GUARD_H

#include <netdb.h>

typedef struct KafkaGuard KafkaGuard;

extern bool kafka_guard_check_list(const char *list, const char **bad,
								   int *length);
extern KafkaGuard *kafka_guard_make(const char *list);
extern void kafka_guard_free(KafkaGuard *guard);
extern int	kafka_guard_resolve(const char *node, const char *service,
								const struct addrinfo *hints,
								struct addrinfo **result, void *guard);
extern bool kafka_guard_refused(const KafkaGuard *guard);
extern void kafka_guard_raise(const KafkaGuard *guard);

#endif							/* KAFKA_GUARD_H */
