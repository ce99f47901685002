/*-------------------------------------------------------------------------
 *
 * connections.h
 *	  The session's connections, for the module's start.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_CONNECTIONS_H
#define KAFKA_CONNECTIONS_H

extern void kafka_connections_init(void);

#endif							/* KAFKA_CONNECTIONS_H */
