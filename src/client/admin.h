/*-------------------------------------------------------------------------
 *
 * admin.h
 *	  What Kafka's own command line tools do.
 *
 * NOTES
 *	  An admin client belongs to the memory context that is current when it is
 *	  opened.  Each request is an ERROR with Kafka's own reason when any part
 *	  of it fails, takes part in interrupts, and is over when the client's
 *	  timeout has passed.  What is returned is palloc'd.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_ADMIN_H
#define KAFKA_ADMIN_H

#include "message.h"
#include "options.h"

/* an offset that stands for the high watermark, where that is allowed */
#define KAFKA_OFFSET_END (-1)

/* times that stand for offsets, as in Kafka's protocol */
#define KAFKA_TIME_LATEST (-1)
#define KAFKA_TIME_EARLIEST (-2)

typedef struct KafkaAdmin KafkaAdmin;

typedef struct KafkaTopicInfo
{
	const char *name;
	int			npartitions;
	int			nreplicas;		/* of the partition with the fewest */
} KafkaTopicInfo;

typedef struct KafkaBrokerInfo
{
	int32		id;
	const char *host;
	int			port;
	const char *rack;			/* NULL: none, or the client cannot know it */
	bool		controller;
} KafkaBrokerInfo;

typedef struct KafkaClusterInfo
{
	const char *id;				/* NULL: none (Kafka before 0.10.1) */
	int32		controller;		/* -1: not known */
	int			nbrokers;
	KafkaBrokerInfo *brokers;	/* by id */
} KafkaClusterInfo;

typedef struct KafkaPartitionInfo
{
	const char *topic;
	int32		partition;
	int32		leader;			/* -1: none */
	int			nreplicas;
	int32	   *replicas;		/* the preferred leader first */
	int			nisr;
	int32	   *isr;
} KafkaPartitionInfo;

/* A partition and one of its offsets; whose, says the function. */
typedef struct KafkaTopicPartition
{
	const char *topic;
	int32		partition;
	int64		offset;			/* or KAFKA_OFFSET_UNKNOWN */
	const char *metadata;		/* of a committed offset, or NULL */
} KafkaTopicPartition;

/* Brokers of new partitions, all with as many replicas. */
typedef struct KafkaAssignment
{
	int			npartitions;
	int			nreplicas;
	int32	   *brokers;		/* of the first partition, of the second ... */
} KafkaAssignment;

typedef struct KafkaConfigEntry
{
	const char *name;
	const char *value;			/* NULL: sensitive, or has none */
	const char *source;			/* Kafka's word, such as DEFAULT_CONFIG */
	bool		is_default;
	bool		sensitive;
	bool		read_only;
} KafkaConfigEntry;

typedef struct KafkaGroupInfo
{
	const char *name;
	const char *state;			/* Kafka's word, such as Stable */
	int			nmembers;		/* -1: not known */
	const char *assignor;		/* NULL: none */
	int32		coordinator;	/* broker, -1: not known */
} KafkaGroupInfo;

typedef struct KafkaGroupMember
{
	const char *id;
	const char *instance;		/* group.instance.id, or NULL */
	const char *client;
	const char *host;
	int			nassigned;
	KafkaTopicPartition *assigned;	/* by topic and partition */
} KafkaGroupMember;

typedef struct KafkaAcl
{
	const char *resource_type;	/* topic, group, cluster, transactional_id */
	const char *resource_name;
	const char *pattern_type;	/* literal or prefixed */
	const char *principal;
	const char *host;
	const char *operation;
	const char *permission;		/* allow or deny */
} KafkaAcl;

/* admin.c */
extern KafkaAdmin *kafka_admin_open(const KafkaClientOptions *options);
extern void kafka_admin_close(KafkaAdmin *admin);

/* admin_cluster.c */
extern KafkaClusterInfo *kafka_admin_cluster(KafkaAdmin *admin);
extern int	kafka_admin_topics(KafkaAdmin *admin, KafkaTopicInfo **topics);
extern int	kafka_admin_partitions(KafkaAdmin *admin, const char *topic,
								   KafkaPartitionInfo **partitions);
extern void kafka_admin_offsets(KafkaAdmin *admin, int64 time,
								KafkaTopicPartition *partitions, int n);
extern int	kafka_compare_topic_partitions(const void *a, const void *b);

/* admin_topics.c */
extern void kafka_admin_create_topic(KafkaAdmin *admin, const char *topic,
									 int npartitions, int nreplicas,
									 const KafkaAssignment *assignment,
									 const List *config);
extern void kafka_admin_delete_topic(KafkaAdmin *admin, const char *topic);
extern void kafka_admin_add_partitions(KafkaAdmin *admin, const char *topic,
									   int npartitions,
									   const KafkaAssignment *assignment);
extern void kafka_admin_delete_records(KafkaAdmin *admin,
									   KafkaTopicPartition *partitions, int n);

/* admin_configs.c */
extern int	kafka_admin_topic_config(KafkaAdmin *admin, const char *topic,
									 KafkaConfigEntry **entries);
extern int	kafka_admin_broker_config(KafkaAdmin *admin, int32 broker,
									  KafkaConfigEntry **entries);
extern void kafka_admin_alter_topic_config(KafkaAdmin *admin,
										   const char *topic,
										   const List *config);

/* admin_groups.c */
extern int	kafka_admin_groups(KafkaAdmin *admin, KafkaGroupInfo **groups);
extern KafkaGroupInfo *kafka_admin_group(KafkaAdmin *admin, const char *group,
										 KafkaGroupMember **members);
extern KafkaGroupInfo *kafka_admin_group_required(KafkaAdmin *admin,
												  const char *group,
												  KafkaGroupMember **members);
extern void kafka_admin_delete_group(KafkaAdmin *admin, const char *group);
extern int	kafka_admin_group_offsets(KafkaAdmin *admin, const char *group,
									  KafkaTopicPartition **partitions);
extern void kafka_admin_alter_group_offsets(KafkaAdmin *admin,
											const char *group,
											const KafkaTopicPartition *partitions,
											int n);

/* admin_acls.c */
extern int	kafka_admin_acls(KafkaAdmin *admin, KafkaAcl **acls);
extern void kafka_admin_create_acl(KafkaAdmin *admin, const KafkaAcl *acl);
extern int	kafka_admin_delete_acl(KafkaAdmin *admin, const KafkaAcl *acl);

#endif							/* KAFKA_ADMIN_H */
