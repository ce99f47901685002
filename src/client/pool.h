/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Connections that a session keeps for its next statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_POOL_H
#define KAFKA_POOL_H

/* A connection of this session. */
typedef struct KafkaConnection
{
	Oid			serverid;
	bool		producer;
	bool		active;			/* used by a running statement */
	int64		idle;			/* ms since it was last used */
} KafkaConnection;

extern int	kafka_pool_list(KafkaConnection **connections);
extern int	kafka_pool_close_all(void);

#endif							/* KAFKA_POOL_H */
