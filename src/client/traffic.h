/*-------------------------------------------------------------------------
 *
 * traffic.h
 *	  How much a client has received, and the end of its connections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_TRAFFIC_H
#define KAFKA_TRAFFIC_H

typedef struct KafkaTraffic KafkaTraffic;

extern KafkaTraffic *kafka_traffic_make(void);
extern void kafka_traffic_free(KafkaTraffic *traffic);
extern void kafka_traffic_end(KafkaTraffic *traffic);
extern int	kafka_traffic_socket(int domain, int type, int protocol,
								 KafkaTraffic *traffic);
extern int	kafka_traffic_close(int fd, KafkaTraffic *traffic);
extern int	kafka_traffic_connections(KafkaTraffic *traffic);
extern int64 kafka_traffic_received(KafkaTraffic *traffic);

#endif							/* KAFKA_TRAFFIC_H */
