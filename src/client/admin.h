/*-------------------------------------------------------------------------
 *
 * admin.h
 *	  Topics: list, create, delete.
 *
 * NOTES
 *	  An admin client belongs to the memory context that is current when it is
 *	  opened.  Each request is an ERROR with Kafka's own reason when any part
 *	  of it fails.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_ADMIN_H
#define KAFKA_ADMIN_H

#include "options.h"

typedef struct KafkaAdmin KafkaAdmin;

typedef struct KafkaTopicInfo
{
	const char *name;
	int			npartitions;
	int			nreplicas;		/* of the partition with the fewest */
} KafkaTopicInfo;

extern KafkaAdmin *kafka_admin_open(const KafkaClientOptions *options);
extern void kafka_admin_close(KafkaAdmin *admin);
extern int	kafka_admin_topics(KafkaAdmin *admin, KafkaTopicInfo **topics);
extern void kafka_admin_create_topic(KafkaAdmin *admin, const char *topic,
									 int npartitions, int nreplicas,
									 const List *config);
extern void kafka_admin_delete_topic(KafkaAdmin *admin, const char *topic);

#endif							/* KAFKA_ADMIN_H */
