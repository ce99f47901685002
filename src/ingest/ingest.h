/*-------------------------------------------------------------------------
 *
 * ingest.h
 *	  Topics into tables: what the module's start needs to know.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_INGEST_H
#define KAFKA_INGEST_H

extern void kafka_ingest_init(void);

#endif							/* KAFKA_INGEST_H */
